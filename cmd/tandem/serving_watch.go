package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"tandem"
	"tandem/server"
	"tandem/webhook"
)

// health says what the server depends on.
func (v *serving) health() server.Health {
	return server.Health{
		Checks: map[string]func(context.Context) error{
			"database": func(ctx context.Context) error { _, err := v.store.Now(ctx); return err },
			"jobs": func(ctx context.Context) error {
				if v.jobs == nil {
					return tandem.Errorf(tandem.Unavailable, "check readiness", "", "the job engine is starting")
				}
				return v.jobs.Healthy(ctx)
			},
		},
		Services: v.serviceStates,
	}
}

// serviceStates gives the state of the first thousand active services.
func (v *serving) serviceStates(ctx context.Context) (map[string]tandem.ServiceState, error) {
	active, err := v.store.ActiveServices(ctx, "", 1000)
	states := make(map[string]tandem.ServiceState, len(active))
	for i := range active {
		states[active[i].ID] = active[i].State
	}
	return states, err
}

// measure adds the numbers that take a query.
func (v *serving) measure() {
	v.metrics.Scrape("jobs", "Jobs that are not done, by kind and state.", "job", func(ctx context.Context) (map[string]float64, error) {
		return floats(v.jobs.Depth(ctx))
	})
	v.metrics.Scrape("deliveries", "Webhook deliveries that are kept, by status.", "status", func(ctx context.Context) (map[string]float64, error) {
		return floats(v.store.CountDeliveries(ctx, ""))
	})
	v.metrics.Scrape("webhook_requests_waiting", "Webhook requests that wait for their commit.", "", func(context.Context) (map[string]float64, error) {
		return map[string]float64{"": float64(v.hooks.Waiting())}, nil
	})
	v.metrics.Scrape("devices", "Devices in all organizations.", "", v.countDevices)
	v.metrics.Scrape("conflicts_pending", "Conflicts that wait for a person.", "", v.countConflicts)
	v.metrics.Scrape("services", "Active services, by state.", "state", v.countServices)
}

// floats gives counts as Prometheus takes them.
func floats[K ~string](counts map[K]int, err error) (map[string]float64, error) {
	out := make(map[string]float64, len(counts))
	for k, n := range counts {
		out[string(k)] = float64(n)
	}
	return out, err
}

// overAll adds up what a listing of each organization counts.
func (v *serving) overAll(ctx context.Context, count func(org string) (int, error)) (map[string]float64, error) {
	orgs, err := v.store.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, org := range orgs {
		n, err := count(org.ID)
		if err != nil {
			return nil, err
		}
		total += n
	}
	return map[string]float64{"": float64(total)}, nil
}

func (v *serving) countDevices(ctx context.Context) (map[string]float64, error) {
	return v.overAll(ctx, func(org string) (int, error) {
		_, n, err := v.store.Devices(ctx, org, tandem.DeviceFilter{Now: v.Clock().UTC(), Page: tandem.Page{Limit: 1}})
		return n, err
	})
}

func (v *serving) countConflicts(ctx context.Context) (map[string]float64, error) {
	return v.overAll(ctx, func(org string) (int, error) {
		_, n, err := v.store.Conflicts(ctx, org, tandem.ConflictFilter{Page: tandem.Page{Limit: 1}})
		return n, err
	})
}

func (v *serving) countServices(ctx context.Context) (map[string]float64, error) {
	states, err := v.serviceStates(ctx)
	counts := map[string]float64{}
	for _, state := range states {
		counts[string(state)]++
	}
	return counts, err
}

// metered counts, times and traces the requests to a service.
type metered struct {
	http.RoundTripper
	metrics *server.Metrics
	traces  *server.Traces
}

// RoundTrip sends one request.
func (m metered) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	ctx, end := m.traces.Span(r.Context(), "call "+r.Method, "host", r.URL.Host)
	reply, err := m.RoundTripper.RoundTrip(r.WithContext(ctx))
	end(err)
	outcome := "failed"
	switch {
	case errors.Is(err, context.Canceled):
		outcome = "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		outcome = "timeout"
	case err == nil:
		outcome = strconv.Itoa(reply.StatusCode)
	}
	m.metrics.RemoteCall(outcome, time.Since(began))
	return reply, err
}

// CloseIdleConnections lets a closed client's connections go.
func (m metered) CloseIdleConnections() {
	if pool, ok := m.RoundTripper.(*http.Transport); ok {
		pool.CloseIdleConnections()
	}
}

// deliveryMeter counts webhooks.
type deliveryMeter struct{ metrics *server.Metrics }

// Count counts without naming the service: there may be very many.
func (m deliveryMeter) Count(_ string, what webhook.Outcome, why webhook.Reason, n int) {
	m.metrics.Delivery(string(what), string(why), n)
}

// Took times a stretch of a delivery's way.
func (m deliveryMeter) Took(stage webhook.Stage, d time.Duration) {
	m.metrics.DeliveryTook(string(stage), d)
}
