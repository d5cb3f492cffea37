// Package simulator is a Golioth project server for tests, demonstrations and benchmarks:
// the Management API with the shapes, nulls, string numbers, id formats, ordering, filters,
// error bodies and status codes of the real one, a believable fleet made from a seed,
// devices that live, and faults on demand.
//
// A Server is an http.Handler. A call passes these stations, each in a file of its own:
//
//	ServeHTTP (server.go)   count, read the body, wait the latency
//	fault.go, chaos.go      what goes wrong before and after the call
//	route.go                404 for an unknown path, 501 for a wrong method
//	auth.go                 401 and 403
//	*_routes.go             one file a family of paths, over project.go, which holds the world
//
// What a device sends goes another way:
//
//	message.go              a report or message, through the pipelines that take it (pipeline.go, transform.go)
//	event.go                the same and other things as device events, when they are asked for
//	outbox.go               to webhooks, with what goes wrong on the way
//
// What nobody outside Golioth knows is a switch (Unknowns). Nothing here imports the
// client: their mistakes must not cancel out.
//
// # Faults
//
// A fault is a line of text (ParseFault):
//
//	KIND[:[METHOD] PATH][:KEY=VALUE,…]
//	reset-after:POST /devices:every=7,count=3
//	503:GET /devices:rate=0.05,retry-after=2s
//	latency:*:p50=40ms,p99=400ms
//
// PATH is below the project (/devices, /devices/{id}, /devices/*, / for the project itself)
// or whole when it begins with /v1/. {…} stands for one segment, a final * for one or more.
// METHOD may be left out or be *. See the Kind constants for what each kind does, and Fault
// for the keys. Faults can be changed while the server runs, by SetFaults or through
// /simulator/faults (see admin.go).
package simulator
