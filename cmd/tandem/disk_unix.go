//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// freeSpace gives the bytes that may still be written in a folder; known is false where the system does not say.
func freeSpace(folder string) (free uint64, known bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return 0, false
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), true //nolint:unconvert // the types differ between systems
}
