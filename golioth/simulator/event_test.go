package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tandem"
)

// told are the events that a receiver got, by type.
func told(t *testing.T, got []received) map[string][]event {
	t.Helper()
	all := map[string][]event{}
	for _, r := range got {
		var e event
		if err := json.Unmarshal([]byte(r.body), &e); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
		all[e.Type] = append(all[e.Type], e)
	}
	return all
}

// newTold is a world of one device whose events go to a receiver.
func newTold(t *testing.T, to Events) *piped {
	t.Helper()
	p := &piped{world: newWorld(t, Options{Projects: bare()}), receiver: newReceiver(t)}
	t.Cleanup(p.server.Close)
	d, err := p.server.CreateDevice("demo", tandem.NewRemoteDevice{Name: "one"})
	if err != nil {
		t.Fatal(err)
	}
	p.device, to.URL = d.ID, p.receiver.url
	if err := p.server.SetEvents("demo", to); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEventsAreSigned(t *testing.T) {
	t.Parallel()
	key := []byte("a key of thirty-two bytes, about")
	sum := func(text string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	for scheme, test := range map[string]struct {
		secret string
		valid  func(received) bool
	}{
		SignatureScheme: {string(key), func(r received) bool { return r.header.Get("X-Golioth-Signature") == hex.EncodeToString(sum(r.body)) }},
		PrefixedScheme: {string(key), func(r received) bool {
			return r.header.Get("X-Golioth-Signature") == "sha256="+hex.EncodeToString(sum(r.body))
		}},
		StandardScheme: {"whsec_" + base64.StdEncoding.EncodeToString(key), func(r received) bool {
			id, at := r.header.Get("webhook-id"), r.header.Get("webhook-timestamp")
			return at == fmt.Sprint(testNow.Unix()) && strings.Contains(r.body, id) &&
				r.header.Get("webhook-signature") == "v1,"+base64.StdEncoding.EncodeToString(sum(id+"."+at+"."+r.body))
		}},
		HeaderScheme: {string(key), func(r received) bool { return r.header.Get("X-Tandem-Secret") == string(key) }},
	} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := newTold(t, Events{Secret: test.secret, Scheme: scheme})
			for _, fault := range []string{"", "wrong-secret", "corrupt-delivery"} {
				p.server.SetFaults()
				if fault != "" {
					p.server.SetFaults(Fault{Kind: Kind(fault)})
				}
				before := len(p.all())
				if err := p.server.Emit("demo", p.device, OfflineEvent, map[string]any{"status": "offline"}); err != nil {
					t.Fatal(err)
				}
				got := p.drain(t)[before:]
				if len(got) != 1 {
					t.Fatalf("%d events", len(got))
				}
				spoiled := fault == "corrupt-delivery" && scheme == HeaderScheme // which vouches for no body
				if valid := test.valid(got[0]); valid != (fault == "" || spoiled) {
					t.Errorf("%s: valid %v: %+v", fault, valid, got[0])
				}
				if (strings.HasPrefix(got[0].body, `{"id":`) && json.Valid([]byte(got[0].body))) != (fault != "corrupt-delivery") {
					t.Errorf("%s: %s", fault, got[0].body)
				}
			}
		})
	}
}

func TestEventsTellWhatHappened(t *testing.T) {
	t.Parallel()
	p := newTold(t, Events{Secret: "s"})
	battery := 55
	made := p.world.call("POST", "/devices", `{"name":"two"}`)
	p.world.call("PATCH", "/devices/"+made.id(), `{"name":"three"}`).want(t, 200)
	p.world.call("DELETE", "/devices/"+made.id(), "").want(t, 200)
	for _, err := range []error{
		p.server.Report("demo", p.device, Activity{Online: true, Battery: &battery}),
		p.server.Report("demo", p.device, Activity{Offline: true}),
		p.server.Send("demo", p.device, "/a", cborType, []byte("\xa1\x61t\x01")),
		p.server.Send("demo", p.device, "/a", "text/plain", []byte("no JSON")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	all := told(t, p.drain(t))
	for kind, want := range map[string]struct {
		device, data string
		n            int
	}{
		CreatedEvent:   {made.id(), `"name":"two"`, 1},
		UpdatedEvent:   {made.id(), `"name":"three"`, 1},
		DeletedEvent:   {made.id(), `{"name":"three"}`, 1},
		OnlineEvent:    {p.device, `{"status":"online"}`, 1},
		OfflineEvent:   {p.device, `{"status":"offline"}`, 1},
		StatusEvent:    {p.device, `"status":`, 2},
		TelemetryEvent: {p.device, `"battery":55`, 1},
		DataEvent:      {p.device, `{"t":1}`, 1},
	} {
		if got := all[kind]; len(got) != want.n || got[0].Device != want.device || !strings.Contains(string(got[0].Data), want.data) ||
			got[0].Project != "demo" || got[0].Time != "2025-06-01T08:00:00.415Z" || len(got[0].ID) != 36 {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	if err := p.server.SetEvents("demo", Events{URL: p.receiver.url, Secret: "s", Types: []string{DeletedEvent}}); err != nil {
		t.Fatal(err)
	}
	before := len(p.all())
	p.world.call("PATCH", "/devices/"+p.device, `{"name":"four"}`).want(t, 200)
	p.world.call("DELETE", "/devices/"+p.device, "").want(t, 200)
	if all := told(t, p.drain(t)[before:]); len(all) != 1 || len(all[DeletedEvent]) != 1 {
		t.Errorf("of the one type that was asked for came %+v", all)
	}
	if err := p.server.Emit("demo", p.device, "device.flown", nil); !tandem.Is(err, tandem.NotFound, tandem.Invalid) {
		t.Errorf("an unknown event: %v", err)
	}
}

func TestEventsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Projects: bare()})
	for _, to := range []Events{{URL: "here", Secret: "s"}, {URL: "https://example.com"}, {URL: "https://example.com", Secret: "s", Scheme: "handshake"},
		{URL: "https://example.com", Secret: "%", Scheme: StandardScheme}, {URL: "https://example.com", Secret: "s", Types: []string{"device.flown"}}} {
		if err := w.server.SetEvents("demo", to); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("%+v: %v", to, err)
		}
		if _, err := New(Options{Events: to}); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("at the start, %+v: %v", to, err)
		}
	}
	if _, err := New(Options{ReportType: "text/plain"}); !tandem.Is(err, tandem.Invalid) {
		t.Errorf("devices report as text: %v", err)
	}
}

func TestDeliveriesByAdministration(t *testing.T) {
	t.Parallel()
	p := newPiped(t, Options{}, "")
	p.world.call("PUT", "/simulator/events", `{"url":"`+p.receiver.url+`","secret":"s","types":["device.offline"]}`).want(t, 200)
	p.world.call("POST", "/simulator/messages", `{"ids":["`+p.device+`"],"path":"/a","body":{"t":1},"repeat":3}`).want(t, 200, `{"changed":3}`)
	p.world.call("POST", "/simulator/messages", `{"names":["one"],"path":"/c","content_type":"application/cbor","body":{"t":1}}`).want(t, 200)
	p.world.call("POST", "/simulator/messages", `{"path":"/b","content_type":"text/plain","base64":"aGk="}`).want(t, 200, `{"changed":1}`)
	p.world.call("POST", "/simulator/messages", `{"path":"/n","content_type":"application/cbor","body":{"t":1},"number":"n","repeat":2}`).want(t, 200, `{"changed":2}`)
	p.world.call("POST", "/simulator/messages", `{"path":"/n","body":[1],"number":"n"}`).want(t, 400, "can be numbered")
	p.world.call("POST", "/simulator/messages", `{"path":"/b"}`).want(t, 400, "neither body nor base64")
	p.world.call("POST", "/simulator/messages", `{"names":["two"],"body":1}`).want(t, 404)
	p.world.call("POST", "/simulator/events", `{"type":"device.offline"}`).want(t, 200, `{"changed":1}`)
	p.world.call("POST", "/simulator/events", `{"type":"device.online"}`).want(t, 400, "sends no device.online events")
	p.world.call("DELETE", "/simulator/events", "").want(t, 200)
	p.world.call("POST", "/simulator/events", `{"type":"device.offline"}`).want(t, 400)
	var bodies []string
	for _, r := range p.drain(t) {
		bodies = append(bodies, r.body)
	}
	slices.Sort(bodies)
	want := []string{"hi", `{"t":1}`, `{"t":1}`, `{"t":1}`, "\xa1\x61t\x01", "\xa2\x61n\x01\x61t\x01", "\xa2\x61n\x02\x61t\x01"}
	if len(bodies) != 8 || !slices.Equal(slices.DeleteFunc(bodies, func(b string) bool { return strings.Contains(b, "device.offline") }), want) {
		t.Errorf("%q came", bodies)
	}
	p.world.call("GET", "/simulator/deliveries", "").want(t, 200, `"made":8`, `"accepted":8`, `"by_status":{"200":8}`)
	p.world.call("DELETE", "/simulator/deliveries", "").want(t, 200, `"made":0`)
	p.world.call("PATCH", "/simulator/devices", `{"report":true}`).want(t, 200)
	if got := p.drain(t); len(got) != 9 || !strings.Contains(got[8].body, `"temp":`) || got[8].header.Get("Ce-Type") != "io.golioth.data.v1/.s/sensor" {
		t.Errorf("the report is %+v", got[len(got)-1])
	}
}

// TestLifeIsDelivered serves a fleet that lives, and asks it nothing.
func TestLifeIsDelivered(t *testing.T) {
	t.Parallel()
	heard := make(chan received, 1)
	receiver := newReceiver(t)
	server, err := New(Options{Seed: 5, LivePerSecond: 200, ReportType: cborType, Projects: []Project{{ID: "demo", OrganizationID: "acme", Keys: []string{"k1"}, Devices: 20}},
		Events: Events{URL: receiver.url, Secret: "s", Types: []string{TelemetryEvent}}})
	if err != nil {
		t.Fatal(err)
	}
	receiver.answerWith(func(int) int {
		select {
		case heard <- receiver.all()[0]:
		default:
		}
		return http.StatusOK
	})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, server, listener) }()
	first := <-heard
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(first.body, `"type":"device.telemetry"`) || server.Deliveries().Waiting != 0 {
		t.Errorf("%s; %+v", first.body, server.Deliveries())
	}
	rows := 0
	for _, x := range server.project("demo").pipelines {
		if x.definition.takes(reportPath, cborType) {
			rows++
		}
	}
	if rows == 0 || len(server.project("demo").journal.unmatched) > 0 || len(server.project("demo").rows) > 0 {
		t.Error("reports did not go through the pipelines that a project comes with, or stand twice in the stream")
	}
}
