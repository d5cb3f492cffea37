// Package merge is the three-way merge: (base, local, remote, policy) → result (SYNC.md S1–S11).
// It is pure: no I/O, no context, no clock, and it never changes its input. A syncer gives it the
// sides of one device and carries out the Result; a page shows the same Result as a preview.
//
// # Units
//
// Everything comes down to units, each decided by itself. A scalar field is a unit (S1), an element
// of a set is one (S2), and so is a leaf of metadata (S3). A leaf is anything but an object, so an
// array is a leaf. Where the same path holds a leaf on one side, or in base, and a subtree on the
// other, that path is the unit, the shortest at which the structures differ: if one side still has
// what base has there, the other flows as a whole; if both changed it, the path is in conflict and
// nothing below it is looked at. A leaf that both sides turned into subtrees is gone on both, and
// what is in the subtrees goes leaf by leaf.
//
// A unit has a base pair (bl, br). The halves differ only after a person chose to keep both values
// (S10). Until the sides are equal again such a unit is left apart; a change of it is a conflict that no
// strategy settles, since that would write over a value somebody chose to keep (S1). An element that
// was kept apart stays so, since sets never conflict.
//
// A unit without a base is S4: a scalar whose field is outside Base.Local.Known, an element or a leaf
// that base does not hold. A leaf of a known field counts too, so that a conflict keeps its type
// from run to run and a merge that was cut short is finished as it began.
//
// # What is agreed
//
// Result.Base is what may be stored together with the local edits, before the remote has confirmed
// anything. A unit is in it as the sides have it where they are equal once the local edits are
// applied; everywhere else the base stays as it was. So it is always safe to be killed: whatever part
// of the plan was carried out, merging again with what the sides hold then gives the rest of it.
//
// # What is held back
//
// A direction (S7) lets edits through to one side only. What would go the other way is drift, with
// base unmoved, so that opening the direction later sends it. The values of a drift are those that
// are left when the result is carried out: the same drift has the same fingerprint in the next run.
//
// # Equality
//
// Equal is the equality of S6, and Fingerprint hashes the same canonical form: two values are Equal
// exactly when they have one fingerprint. Names, set elements and other text outside metadata are
// compared as they are spelled.
//
// Values are shared, never copied without need: a Result may hold maps and slices of its input.
// Nobody changes such a value in place.
package merge
