// Package jobs is the background work: it has queued runs performed, follows each service's schedule, sends local edits
// on their way, takes over what a dead process left, and does the chores of time (retention, sealing, escalation).
// It is thin over River, a job engine in the database that the store uses too: that is what spreads the work over
// processes.
//
// # How work gets here
//
// Whoever changes something hands its jobs over with the change ([tandem.Along]): the store keeps them in the same
// transaction, and each process looks every tenth of a second for some that are to go into the job engine. A job is
// told apart by the id that it was stored with, so that two processes that look at once make one job.
//
// What follows from time instead of from a change is found by looking: each process looks at what is due (services,
// pushes, unsealed audit), which is cheap and says nothing when there is nothing, and asks for one job a thing. A key
// has the database refuse the second of two equal jobs while the first is not done. So the processes need no leader
// for it, and a process that dies takes nothing with it. Chores that may wait for a leader are River's periodic jobs.
//
// Streams of many small things (received deliveries, notifications) are no jobs at all: each process claims rows in batches.
//
// # Why nothing is done twice
//
// A run is done under its service's lease, once, whoever else tries (S19): a second job for it finds that it began.
// All other jobs read again what they are about and do what is still to be done, so that doing one twice is doing it
// once. Therefore a job that may have died is simply made again: the sweep looks every two seconds for runs at which no
// living process is.
//
// # Time
//
// What is due is decided by the [tandem.Clock]; the job engine and the pace of the loops have the machine's.
package jobs
