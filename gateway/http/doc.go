// Package http is the gateway over HTTP: devices post their telemetry, and ask for their commands. It authenticates by a
// device's bearer token, or by a client certificate where the server asks for one, and answers 202 only when a report is
// durable. Everything else is package gateway's.
package http
