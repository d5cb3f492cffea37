// Package webhook receives what Golioth and devices' events tell over HTTP (SYNC.md S34–S36).
//
// A Handler authenticates a request by its service's scheme, reads no more of it than its identity, and answers when a
// batch with the delivery is committed. A Processor, here or in another process over the same database, claims stored
// deliveries in batches and commits their effects together with their outcome: observations and history of devices,
// who came and went, and hints, which become pushes that lead to runs. What a payload says never overwrites what the
// remote's API says of a device's settings.
package webhook
