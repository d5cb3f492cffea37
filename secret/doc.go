// Package secret keeps credentials encrypted at rest and unprintable in memory.
//
// A Keyring is a small file of AES-256 keys beside the database, readable by its owner only. It seals a
// credential for one place (organization, table, column, row): what was sealed for one row does not open
// in another. Sealed bytes carry the format's version and the id of their key, so that a rotation adds a
// key and re-seals row by row while older rows stay readable. A Text is a credential in memory: it
// prints, logs and marshals as "[redacted]", and only Reveal gives it.
//
// It imports the root package alone. What is sealed is stored by package store; who may see it is decided
// elsewhere.
package secret
