package registry

import (
	"sync"

	"golang.org/x/crypto/argon2"
)

// Hurry makes passwords cheap to hash, before tests that make many of them, and counts how often each is.
func Hurry() {
	hashing = cost{memory: 64, passes: 1, threads: 1}
	idKey = func(password, salt []byte, passes, memory uint32, threads uint8, size uint32) []byte {
		hashed.Lock()
		if hashed.times == nil {
			hashed.times = map[string]map[cost]int{}
		}
		if hashed.times[string(password)] == nil {
			hashed.times[string(password)] = map[cost]int{}
		}
		hashed.times[string(password)][cost{memory, passes, threads}]++
		hashed.Unlock()
		return argon2.IDKey(password, salt, passes, memory, threads, size)
	}
}

var hashed struct {
	sync.Mutex
	times map[string]map[cost]int // by password
}

// Hashed says how often a password was hashed at the usual cost, and whether it was at another.
func Hashed(password string) (times int, otherwise bool) {
	hashed.Lock()
	defer hashed.Unlock()
	by := hashed.times[password]
	times = by[hashing]
	return times, len(by) > 1 || len(by) == 1 && times == 0
}
