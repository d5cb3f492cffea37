// Package history shows what ran: the list of runs with its timeline, and one run with all that it did, from where it
// can be undone.
package history
