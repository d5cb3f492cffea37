package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDeliveryUnknownsAreSwitches(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		unknowns Unknowns
		path     string
		want     map[string]string
	}{
		"root":              {Unknowns{}, "", map[string]string{"Ce-Type": "io.golioth.data.v1/.s", "Ce-Id": "", "Ce-Specversion": ""}},
		"root with a slash": {Unknowns{WebhookRoot: "/.s/"}, "/", map[string]string{"Ce-Type": "io.golioth.data.v1/.s/"}},
		"no leading slash":  {Unknowns{}, "temp/in", map[string]string{"Ce-Type": "io.golioth.data.v1/.s/temp/in"}},
		"no time":           {Unknowns{WebhookTime: "omit"}, "/a", map[string]string{"Ce-Time": ""}},
		"an id":             {Unknowns{WebhookID: "send"}, "/a", map[string]string{"Ce-Specversion": "1.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPiped(t, Options{Unknowns: test.unknowns}, "")
			p.send(t, test.path, "application/json", "1")
			p.send(t, test.path, "application/json", "2")
			got := p.drain(t)
			if len(got) != 2 {
				t.Fatalf("%d deliveries", len(got))
			}
			for header, want := range test.want {
				if have := got[0].header.Get(header); have != want {
					t.Errorf("%s is %q, not %q", header, have, want)
				}
			}
			if a, b := got[0].header.Get("Ce-Id"), got[1].header.Get("Ce-Id"); test.unknowns.WebhookID == "send" && (len(a) != 36 || a == b) {
				t.Errorf("the ids are %q and %q", a, b)
			}
		})
	}
}

func TestDeliveryIsRepeatedAsSwitched(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		retry, success string
		answers        []int // the last for ever
		sent           int
		accepted       int
	}{
		{"none", "2xx", []int{500}, 1, 0},
		{"none", "2xx", []int{202}, 1, 1},
		{"none", "200", []int{202}, 1, 0},
		{"failures", "2xx", []int{500, 429, 204}, 3, 1},
		{"failures", "2xx", []int{503}, 4, 0},
		{"failures", "2xx", []int{401, 200}, 1, 0},
		{"always", "2xx", []int{401, 302, 200}, 3, 1},
		{"always", "200", []int{202}, 4, 0},
	} {
		t.Run(fmt.Sprint(test.retry, test.success, test.answers), func(t *testing.T) {
			t.Parallel()
			p := newPiped(t, Options{Unknowns: Unknowns{WebhookRetry: test.retry, WebhookSuccess: test.success, WebhookBackoff: time.Millisecond}}, "")
			p.answerWith(func(n int) int { return test.answers[min(n, len(test.answers))-1] })
			p.send(t, "/a", "application/json", "1")
			got := p.drain(t)
			n := p.server.Deliveries()
			if len(got) != test.sent || n.Sent != test.sent || n.Accepted != test.accepted || n.GivenUp != 1-test.accepted || n.Refused != test.sent-test.accepted {
				t.Errorf("%d requests, %+v", len(got), n)
			}
			told := p.world.call("GET", organization+"/pipelines/errors", "")
			if failed := strings.Contains(told.text, `"errors":1`); failed != (test.accepted == 0) {
				t.Errorf("the pipeline's errors are %s", told.text)
			}
		})
	}
}

func TestDeliveryWithoutAnAnswerFails(t *testing.T) {
	t.Parallel()
	p := newPiped(t, Options{Unknowns: Unknowns{WebhookTimeout: 20 * time.Millisecond}}, "")
	p.pipe("nobody", "steps: [{destination: {type: webhook, parameters: {url: 'http://127.0.0.1:1/'}}}]").want(t, 200)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	p.answerWith(func(int) int { <-hang; return 200 })
	p.send(t, "/a", "application/json", "1")
	p.drain(t)
	if n := p.server.Deliveries(); n.Failed != 2 || n.GivenUp != 2 || n.Accepted != 0 {
		t.Errorf("%+v", n)
	}
}

func TestDeliveryFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault string
		check func([]received, Deliveries) bool
	}{
		{"lost-delivery:*:every=2", func(got []received, n Deliveries) bool { return len(got) == 2 && n.Lost == 2 && n.Made == 4 }},
		{"double-delivery:/a", func(got []received, _ Deliveries) bool { return len(got) == 8 }},
		{"double-delivery:/b/*", func(got []received, _ Deliveries) bool { return len(got) == 4 }},
		{"late-delivery:*:count=1,time=500ms", func(got []received, _ Deliveries) bool { return len(got) == 4 && got[3].body == "0" }},
		{"wrong-secret:*:count=1", func(got []received, _ Deliveries) bool {
			return has(got, func(r received) bool { return r.header.Get("X-Token") == "not-s3cret" }) == 1
		}},
		{"corrupt-delivery:/a:after=1", func(got []received, _ Deliveries) bool {
			return has(got, func(r received) bool { return r.body == "{" }) == 3
		}},
		{"503:POST /a", func(got []received, _ Deliveries) bool { return len(got) == 4 }}, // about calls, not deliveries
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			p := newPiped(t, Options{}, "")
			f, err := ParseFault(test.fault)
			if err != nil || f.String() != test.fault {
				t.Fatalf("%s, %v", f, err)
			}
			p.server.SetFaults(f)
			for i := range 4 {
				p.send(t, "/a", "application/json", fmt.Sprint(i))
			}
			if got, n := p.drain(t), p.server.Deliveries(); !test.check(got, n) {
				t.Errorf("%+v\n%+v", got, n)
			}
		})
	}
	for _, text := range []string{"lost-delivery:POST /a", "late-delivery", "double-delivery:a"} {
		if _, err := ParseFault(text); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}

func has(got []received, fits func(received) bool) (n int) {
	for _, r := range got {
		if fits(r) {
			n++
		}
	}
	return n
}

func TestManyDeliveriesComeOnceEach(t *testing.T) {
	t.Parallel()
	const many = 3000
	p := newPiped(t, Options{}, "")
	for i := range many {
		p.send(t, "/a", "application/json", fmt.Sprint(i))
	}
	seen := map[string]bool{}
	for _, r := range p.drain(t) {
		seen[r.body] = true
	}
	n := p.server.Deliveries()
	if len(seen) != many || n.Accepted != many || n.Sent != many || n.MaxAtOnce > outboxWorkers || n.MaxAtOnce < 2 {
		t.Errorf("%d came, %+v", len(seen), n)
	}
}

func TestClosingCallsDeliveriesOff(t *testing.T) {
	t.Parallel()
	p := newPiped(t, Options{}, "")
	hang, began := make(chan struct{}), make(chan struct{}, 1)
	t.Cleanup(func() { close(hang) })
	p.answerWith(func(int) int {
		select {
		case began <- struct{}{}:
		default:
		}
		<-hang
		return http.StatusOK
	})
	for range 100 {
		p.send(t, "/a", "application/json", "1")
	}
	<-began
	p.server.Close()
	if n := p.server.Deliveries(); n.Waiting != 0 || n.Accepted != 0 {
		t.Errorf("%+v", n)
	}
	p.answerWith(func(int) int { return http.StatusOK })
	p.send(t, "/a", "application/json", "again")
	p.drain(t)
	if n := p.server.Deliveries(); n.Accepted != 1 {
		t.Errorf("after it was closed: %+v", n)
	}
	p.server.Reset()
	if n := p.server.Deliveries(); n.Made != 0 || len(p.server.project("demo").pipelines) != 0 || len(p.server.project("demo").secrets) != 0 {
		t.Errorf("after a reset: %+v", n)
	}
}
