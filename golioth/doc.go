// Package golioth talks to one project of the Golioth Management API, or of anything that speaks it,
// and satisfies tandem.Remote.
//
// A call goes down through few layers, each in its own file: the operation (device.go, entity.go,
// state.go, …) says what to ask; request.go sends it and reads the reply whole, within a budget, a
// timeout and a bound; resilience.go decides whether it is sent again; errors.go says what went
// wrong in the words of the house. Reads are retried (S30). A write is sent once, whatever happens.
//
// What a failed write means is in its code. Invalid, NotFound, Exists, Stale, Unauthorized,
// Forbidden and RateLimited are refusals: nothing was changed. After any other code the effect is
// unknown and has to be read back.
package golioth
