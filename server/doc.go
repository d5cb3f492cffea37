// Package server is the HTTP shell around the program's handlers: listeners and TLS, who is calling, limits, headers,
// logs, health, metrics and traces. It knows nothing of what the handlers do.
//
// A request passes, in this order: a record of it (id, address, log, metrics, what a panic becomes), the host check, the
// headers that protect browsers, the rates, and then its route with the route's limits for bodies and time. Handlers get
// the client's address as RemoteAddr, without what proxies wrote, the scheme it used as X-Forwarded-Proto, and the request
// id in the reply's header X-Request-Id.
package server
