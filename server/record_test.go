package server

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestDeliveriesInTheLog: accepted ones by the minute, refused ones one by one.
func TestDeliveriesInTheLog(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	r := start(t, nil, func(o *Options) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		o.Routes = []Route{{Pattern: "POST /webhooks/{service_id}", Kind: Webhook, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("service_id") == "none" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(http.StatusAccepted)
		})}}
	})
	deliver := func(service string) {
		t.Helper()
		if response, text := r.send(t, http.MethodPost, "/webhooks/"+service, strings.NewReader("x")); response.StatusCode/100 == 5 {
			t.Fatalf("%d %s", response.StatusCode, text)
		}
	}
	for range 5 {
		deliver("s1")
	}
	deliver("none")
	later.Store(int64(sumUpEvery))
	deliver("s1")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var told, summed []string
	for line := range strings.Lines(r.log.String()) {
		switch {
		case strings.Contains(line, `"msg":"requests of devices and deliveries were accepted"`):
			summed = append(summed, line)
		case strings.Contains(line, `"level":"INFO","msg":"request"`):
			told = append(told, line)
		}
	}
	if len(summed) != 2 || !strings.Contains(summed[0], `"n":1`) || !strings.Contains(summed[1], `"n":5`) {
		t.Errorf("summed up: %v", summed)
	}
	if len(told) != 1 || !strings.Contains(told[0], `"status":401`) {
		t.Errorf("one by one: %v", told)
	}
}
