// Package api is what programs and pages call over HTTP: REST under /api/v1, described by the OpenAPI document that it
// serves itself, and the routes of the original specification beside it.
//
// It decides nothing. Each route reads what a request brings, calls one use case of package registry as whoever sent it,
// and writes down what came of it; every failure becomes a problem (RFC 9457) with the code that the rest of the house uses.
//
//	api.go            the handler and what it is made of
//	problem.go        failures
//	caller.go         who calls, for which organization
//	session.go, …     signing in with a password, a second factor, or an identity provider
//	answer.go         Idempotency-Key
//	version.go        ETag and If-Match
//	listing.go        pages, sorting, selected fields
//	live.go           server-sent events
//	device.go, …      a file for each resource
//	docs/             the page that shows the document, with the library that it is made with
//	client/           the same calls from Go
package api
