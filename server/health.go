package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
)

// The bounds of a readiness check: how long an answer counts, how long a dependency may take, and how many services
// are listed.
const (
	healthLife    = time.Second
	healthPatient = 2 * time.Second
	healthMost    = 1000
)

// Health says what the server depends on.
type Health struct {
	// Checks must all pass for the server to be ready: the database, the job engine.
	Checks map[string]func(ctx context.Context) error
	// Services gives the state of each service, by id. It is told, and decides nothing: a service that is away does not
	// make this server one that should get no requests. Nil for none.
	Services func(ctx context.Context) (map[string]tandem.ServiceState, error)
}

// dependency is the state of one dependency, as replied. Why it is away is in the log: strangers may ask this.
type dependency struct {
	Status string      `json:"status"` // up or down
	Code   tandem.Code `json:"code,omitempty"`
	MS     float64     `json:"duration_ms"`
}

// serviceHealth is the state of one service, as replied.
type serviceHealth struct {
	ID    string              `json:"id"`
	State tandem.ServiceState `json:"state"`
}

// readiness is the reply.
type readiness struct {
	Status       string                `json:"status"` // ready, not_ready or stopping
	Dependencies map[string]dependency `json:"dependencies"`
	Services     []serviceHealth       `json:"services,omitempty"`
	More         int                   `json:"more_services,omitempty"`
}

// health answers whether this process lives, and whether it is ready.
type health struct {
	Health
	clock    tandem.Clock
	log      *slog.Logger
	stopping func() bool

	waits map[string]*patience // by check; "" for the services

	mu   sync.Mutex
	last readiness
	at   time.Time
	was  string // the status that was logged last
}

// newHealth makes it.
func newHealth(h Health, clock tandem.Clock, log *slog.Logger, stopping func() bool) *health {
	waits := map[string]*patience{"": {}}
	for name := range h.Checks {
		waits[name] = &patience{}
	}
	return &health{Health: h, clock: clock, log: log, stopping: stopping, waits: waits}
}

// live answers as long as the process can.
func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

// ready answers 200 when every dependency is there, else 503.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	now := h.look(r.Context())
	if h.stopping() {
		now.Status = "stopping"
	}
	status := http.StatusOK
	if now.Status != "ready" {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, now)
}

// look gives the state, asking at most once a second. Who asks meanwhile waits for the same answer.
func (h *health) look(ctx context.Context) readiness {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.at.IsZero() && h.clock().Sub(h.at) < healthLife {
		return h.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthPatient)
	defer cancel()
	type answer struct {
		name string
		dependency
		err error
	}
	answers := make(chan answer, len(h.Checks))
	for name, check := range h.Checks {
		go func() {
			began := h.clock()
			err := h.waits[name].call(ctx, check)
			a := answer{name: name, err: err, dependency: dependency{Status: "up", MS: float64(h.clock().Sub(began).Microseconds()) / 1000}}
			if err != nil {
				a.Status, a.Code = "down", tandem.CodeOf(err)
			}
			answers <- a
		}()
	}
	state := readiness{Status: "ready", Dependencies: map[string]dependency{}}
	for range h.Checks {
		a := <-answers
		state.Dependencies[a.name] = a.dependency
		if a.err != nil {
			state.Status = "not_ready"
			h.log.Debug("a dependency is away", "dependency", a.name, "error", a.err.Error())
			if h.was != "not_ready" {
				h.log.Warn("the server is not ready", "dependency", a.name, "error", a.err.Error())
			}
		}
	}
	if state.Status == "ready" {
		h.services(ctx, &state)
	}
	if h.was == "not_ready" && state.Status == "ready" {
		h.log.Info("the server is ready again")
	}
	h.last, h.at, h.was = state, h.clock(), state.Status
	return state
}

// services adds the states of the services, where they can be had in time.
func (h *health) services(ctx context.Context, state *readiness) {
	if h.Services == nil {
		return
	}
	var states map[string]tandem.ServiceState
	found := make(chan map[string]tandem.ServiceState, 1)
	err := h.waits[""].call(ctx, func(ctx context.Context) error {
		all, err := h.Services(ctx)
		found <- all
		return err
	})
	if err != nil {
		h.log.Debug("the services' states cannot be had", "error", err.Error())
		return
	}
	states = <-found
	for id, s := range states {
		state.Services = append(state.Services, serviceHealth{id, s})
	}
	slices.SortFunc(state.Services, func(a, b serviceHealth) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	if len(state.Services) > healthMost {
		state.More, state.Services = len(state.Services)-healthMost, state.Services[:healthMost]
	}
}

// patience calls something that may hang, and does not wait for it longer than ctx, even when it does not look at ctx.
// While one call hangs there is no other.
type patience struct{ hanging atomic.Bool }

// call calls a function.
func (p *patience) call(ctx context.Context, do func(ctx context.Context) error) error {
	if !p.hanging.CompareAndSwap(false, true) {
		return tandem.Errorf(tandem.Timeout, "server: ask", "", "the last question is not answered yet")
	}
	done := make(chan error, 1)
	go func() {
		err := do(ctx)
		p.hanging.Store(false)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return tandem.Errorf(tandem.Timeout, "server: ask", "", "no answer in time: %w", ctx.Err())
	}
}

// writeJSON replies a value.
func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a reader who is gone is noticed by the server
}
