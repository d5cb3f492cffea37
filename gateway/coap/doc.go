// Package coap is the gateway over CoAP (RFC 7252): devices post their telemetry, and observe their commands. Over DTLS
// a device proves itself by a pre-shared key, whose identity says which device it is; without it, which is for trying
// things out and listens on this machine alone, each request names a token. A report is answered 2.04 only when it is
// durable. Block-wise transfer (RFC 7959) and observing (RFC 7641) are bounded in what they keep.
//
// A socket gives each address a link; a link has its handshake, and then a connection, which sees to messages that come
// twice or get lost, and hands requests to the resources. Everything else is package gateway's.
package coap
