package simulator

import (
	"math"
	"sync"
	"time"
)

// journal keeps what went wrong in pipelines, and which messages none of them took. It has a lock of its own,
// since deliveries end when nobody holds the project.
type journal struct {
	mu        sync.Mutex
	errors    []pipelineError // oldest first
	unmatched []unmatched
}

// mostKept bounds each list; the oldest go.
const mostKept = 1000

// pipelineError is one message that failed in one step.
type pipelineError struct {
	pipeline string
	at       time.Time
	kind     string // transformer or destination
	source   string // its type
	step     int
	message  string
}

type unmatched struct {
	at                time.Time
	path, contentType string
}

func (j *journal) fail(e pipelineError) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.errors = kept(append(j.errors, e))
}

func (j *journal) miss(m unmatched) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.unmatched = kept(append(j.unmatched, m))
}

// kept drops the older half of a list that is twice as long as what is shown of it.
func kept[T any](list []T) []T {
	if len(list) < 2*mostKept {
		return list
	}
	return append(list[:0:0], list[mostKept:]...)
}

// between reads start and end.
func (c *call) between() (from, to time.Time, err error) {
	to = time.Unix(math.MaxInt32, 0)
	for key, into := range map[string]*time.Time{"start": &from, "end": &to} {
		if text := c.param(key); text != "" {
			if *into, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return from, to, invalid("parsing field %q: %v", key, err)
			}
		}
	}
	return from, to, nil
}

// journaled gives the errors of a time, newest first.
func (c *call) journaled() ([]pipelineError, error) {
	from, to, err := c.between()
	if err != nil {
		return nil, err
	}
	j := &c.project.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []pipelineError
	for i := len(j.errors) - 1; i >= 0 && len(list) < mostKept; i-- {
		if e := j.errors[i]; !e.at.Before(from) && !e.at.After(to) {
			list = append(list, e)
		}
	}
	return list, nil
}

func listPipelineErrors(c *call) (reply, error) {
	limit, err := c.queryUint("limit")
	if err != nil {
		return reply{}, err
	}
	all, err := c.journaled()
	if err != nil {
		return reply{}, err
	}
	return c.withPipeline(func(p *project, at int) (reply, error) {
		list := []map[string]any{}
		for _, e := range all {
			if e.pipeline == p.pipelines[at].id && (limit == 0 || len(list) < limit) {
				list = append(list, map[string]any{"timestamp": stamp(e.at), "type": e.kind, "source": e.source, "step": e.step, "error": e.message})
			}
		}
		return jsonReply(map[string]any{"errors": list})
	})
}

// countPipelineErrors counts by hour and pipeline; what the keys are is inferred (API.md §12).
func countPipelineErrors(c *call) (reply, error) {
	all, err := c.journaled()
	if err != nil {
		return reply{}, err
	}
	hours := map[string]map[string]int{}
	for _, e := range all {
		hour := stamp(e.at.Truncate(time.Hour))
		if hours[hour] == nil {
			hours[hour] = map[string]int{}
		}
		hours[hour][e.pipeline]++
	}
	summaries := map[string]any{}
	for hour, counts := range hours {
		list := []map[string]any{}
		for id, n := range counts {
			list = append(list, map[string]any{"id": id, "errors": n})
		}
		summaries[hour] = map[string]any{"errors": list}
	}
	return jsonReply(map[string]any{"errors": summaries})
}

func listUnmatched(c *call) (reply, error) {
	c.project.lock(c.now) // so that what devices did up to now is among it
	defer c.project.mu.Unlock()
	j := &c.project.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	list := []map[string]any{}
	for i := len(j.unmatched) - 1; i >= 0 && len(list) < mostKept; i-- {
		u := j.unmatched[i]
		list = append(list, map[string]any{"path": u.path, "contentType": u.contentType, "timestamp": stamp(u.at)})
	}
	return jsonReply(map[string]any{"list": list})
}
