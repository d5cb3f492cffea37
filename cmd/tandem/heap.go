package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// roomForGarbage is how much garbage a server may make before it is collected, where more than the heap itself is not more:
// a server with a small heap and much to do would else collect many times a second.
const roomForGarbage = 96 << 20

// collector is found unreachable by each collection, and comes back to set when the next one is.
type collector struct{ live []metrics.Sample }

// collectSeldom has garbage collected by roomForGarbage, unless the environment says how.
func (a *app) collectSeldom() {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := a.LookupEnv(name); set {
			return
		}
	}
	(&collector{[]metrics.Sample{{Name: "/gc/heap/live:bytes"}}}).set()
}

func (c *collector) set() {
	metrics.Read(c.live)
	live := max(c.live[0].Value.Uint64(), 1<<20)
	debug.SetGCPercent(int(max(100, 100*roomForGarbage/live)))
	runtime.SetFinalizer(c, (*collector).set)
}
