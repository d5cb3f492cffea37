// Package audit seals an organization's audit into a hash chain, and checks that nothing in it was changed,
// removed, inserted or re-ordered since (S37).
//
// Entries are written with the change that they are about, in any order that transactions happen to commit in, and
// have no place yet. A sealer gives them one: the hash of a place is over the hash before it, the number of the
// place, and the entry. Whoever changes an entry would have to seal everything after it anew, and then no head that
// was exported earlier would fit any more. So keep heads where the database's owner cannot reach them.
package audit
