// Package built gives tests the program as people have it: without the race detector, with which the start of each of
// their thousand commands would take a second. It serves tests only.
package built

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Program puts the program, built from the sources as they are, into a folder, and gives its path. The linked file is kept
// between test binaries, which all need the same one: where nothing changed, building takes a second.
func Program(folder string) (path string, err error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	sum := sha256.Sum256(root)
	kept := filepath.Join(os.TempDir(), fmt.Sprintf("tandem-program-for-tests-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])))
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(kept, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-tags", "codec.notfastpath,codec.notmono", "-o", filepath.Join(kept, "tandem"), "tandem/cmd/tandem")
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released, and as the tests of the pages are built
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	path = filepath.Join(folder, "tandem")
	// A name of our own: when the sources change, another process puts another file in its place.
	return path, os.Link(filepath.Join(kept, "tandem"), path)
}
