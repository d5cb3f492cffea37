// Package webhook receives what Golioth and devices' events tell over HTTP (SYNC.md S34–S36).
//
// A Handler authenticates a request by its service's scheme, reads no more of it than its identity, and answers when a
// batch with the delivery is committed. What is stored is claimed in the same transaction for the process's own
// Processor, which has it in its hands; what it is too busy for, what failed, and what a killed process left, any
// process's Processor claims from the database. It commits the effects of a batch together with their outcome:
// observations and history of devices, who came and went, and hints, which become pushes that lead to runs. What a payload
// says never overwrites what the remote's API says of a device's settings.
package webhook
