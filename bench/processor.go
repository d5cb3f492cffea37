package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is the processor time that this process took.
func usage() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// times reads of a process who started it, and the processor time that it took so far, and that those of its children
// took that have ended; zeroes when it has ended.
func times(pid string) (parent int, own, ended time.Duration) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, 0, 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0, 0, 0
	}
	number := func(i int) int {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			return 0
		}
		return n
	}
	const tick = 10 * time.Millisecond // hundredths of a second, on every platform that has this file
	return number(1), time.Duration(number(11)+number(12)) * tick, time.Duration(number(13)+number(14)) * tick
}

// cpu is the processor time that the database server took so far; 0 where the database is a part of the program.
func (d *databases) cpu() time.Duration {
	if d.cluster == nil {
		return 0
	}
	_, own, total := times(strconv.Itoa(d.cluster.Process()))
	total += own
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0
	}
	for _, path := range all {
		if parent, own, _ := times(filepath.Base(path)); parent == d.cluster.Process() {
			total += own
		}
	}
	return total
}
