// Package tandem is the language of the house: the types that every other package speaks,
// the error that all of them return, and the small interfaces at which they meet.
//
// It imports nothing but the standard library. The words are those of the sync contract:
// a device is the local registry's entry, a service is one project on an IoT platform, an
// assignment links the two and carries their base, and a run is one execution of a sync.
// Rules live in merge, syncer and registry; this package only says what things are.
package tandem
