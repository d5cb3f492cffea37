// Package simtest runs the whole system from a seed: people edit devices on both sides, the remote fails in
// every way that the simulator knows, and the program, a separate process, is killed at the edges of its
// writes and at any instant. After the next clean run the world is read and compared with what people did.
//
//	story.go      what happened, in words, for whoever replays a seed
//	facts.go      one side of one device as paths and values
//	ledger.go     every change of either side: who made it, when, from what to what
//	gate.go       the only way to the remote: it writes the ledger, and things happen at its moments
//	program.go    the program as a process that can be killed
//	world.go      one organization, one database, one project, one program
//	settings.go   what a seed chooses
//	people.go     what people do
//	picture.go    the world after the last run, read from the database and the simulator
//	check*.go     the laws that a picture must keep
//
// The laws know nothing of how the engine works. A remote value that a person wrote between the engine's
// fresh read and its write is the one loss that SYNC.md S23 admits; the gate sees it and the laws leave it out.
package simtest
