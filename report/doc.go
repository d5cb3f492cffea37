// Package report reads what devices say of themselves, whichever way it comes: a webhook's body or what a device sends
// the gateway. It decodes payloads within bounds, finds the values in them, and decides what a report leads to:
// observations, history, and whether the device came or went (SYNC.md S5). It is pure: no I/O and no clock.
package report
