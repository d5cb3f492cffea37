package server

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	t.Parallel()
	r := start(t, ok, func(o *Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		o.Limits = Limits{AddressRate: 0.1, AddressBurst: 5, TokenRate: 0.1, TokenBurst: 2, WebhookRate: 0.1, WebhookBurst: 8}
		o.Routes = append(o.Routes, Route{Pattern: "POST /webhooks/golioth/{service_id}", Handler: http.HandlerFunc(ok), Kind: Webhook})
	})
	// passed sends n requests and says how many were let through.
	passed := func(n int, method, path string, header ...string) (let int) {
		t.Helper()
		for range n {
			response, text := r.send(t, method, path, nil, header...)
			switch response.StatusCode {
			case http.StatusOK:
				let++
			case http.StatusTooManyRequests:
				if after, err := strconv.Atoi(response.Header.Get("Retry-After")); err != nil || after < 1 || after > 10 || code(t, text) != "rate_limited" {
					t.Errorf("Retry-After %q, %s", response.Header.Get("Retry-After"), text)
				}
			default:
				t.Errorf("%s: %d", path, response.StatusCode)
			}
		}
		return let
	}
	from := func(address string, more ...string) []string {
		return append([]string{"X-Forwarded-For", address}, more...)
	}
	for _, test := range []struct {
		name   string
		n      int
		method string
		path   string
		header []string
		want   int
	}{
		{"one address", 7, "GET", "/api/", from("198.51.100.1"), 5},
		{"another address", 1, "GET", "/api/", from("198.51.100.2"), 1},
		{"one token", 4, "GET", "/api/", from("198.51.100.3", "Authorization", "Bearer a"), 2},
		{"another token, of the same address", 1, "GET", "/api/", from("198.51.100.3", "Authorization", "Bearer b"), 1},
		{"the first token from elsewhere", 1, "GET", "/api/", from("198.51.100.4", "Authorization", "Bearer a"), 0},
		{"invented tokens free no address", 1, "GET", "/api/", from("198.51.100.1", "Authorization", "Bearer c"), 0},
		{"a network of IPv6", 3, "GET", "/api/", from("2001:db8::1"), 3},
		{"the same network", 3, "GET", "/api/", from("2001:db8::ffff:2"), 2},
		{"deliveries of an address that is used up", 6, "POST", "/webhooks/golioth/s1", from("198.51.100.1"), 6},
		{"deliveries to the same service from elsewhere", 6, "POST", "/webhooks/golioth/s1", from("198.51.100.5"), 2},
		{"deliveries to another service", 3, "POST", "/webhooks/golioth/s2", from("198.51.100.1"), 2},
		{"probes", 20, "GET", "/healthz", from("198.51.100.1"), 20},
	} {
		if got := passed(test.n, test.method, test.path, test.header...); got != test.want {
			t.Errorf("%s: %d of %d passed, want %d", test.name, got, test.n, test.want)
		}
	}
}

func TestBucketsFillAgainAndAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	b := newBuckets(2, 1)
	if _, ok := b.take("a", now); !ok {
		t.Fatal("the first is refused")
	}
	wait, ok := b.take("a", now)
	if ok || wait != 500*time.Millisecond {
		t.Fatalf("the second: %v, wait %v", ok, wait)
	}
	if _, ok := b.take("a", now.Add(wait)); !ok {
		t.Error("refused after the wait")
	}
	for i := range 2 * shards * perShard {
		b.take(strconv.Itoa(i), now.Add(time.Duration(i)))
	}
	total := 0
	for i := range b.shard {
		total += len(b.shard[i].all)
	}
	if total > shards*perShard {
		t.Errorf("%d buckets are kept", total)
	}
	if _, ok := (*buckets)(nil).take("a", now); !ok {
		t.Error("no limit refuses")
	}
	if newBuckets(-1, 5) != nil {
		t.Error("a negative rate limits")
	}
}
