package registry

// Hurry makes passwords cheap to hash, before tests that make many of them.
func Hurry() { hashing = cost{memory: 64, passes: 1, threads: 1} }
