package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tandem"
	"tandem/webhook"
)

func TestADeliveryBecomesDeviceState(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		at := w.now().Add(-time.Minute)
		w.accept(signed(event("e1", "device.data", 1, at, map[string]any{"battery_level": 55, "location": map[string]any{"lat": 1.5, "lon": 2}, "firmware": "1.2.3"})))
		w.equal(w.statuses(), "stored=1")
		w.process()
		w.equal(w.statuses(), "processed=1")
		d := w.device(id)
		w.equal(d.LastSeen, at)
		w.equal(d.BatteryLevel, 55)
		w.equal(d.Location, tandem.Location{Latitude: 1.5, Longitude: 2})
		w.equal(d.Firmware["main"].Version, "1.2.3")
		w.equal(d.FirmwareAt, at)
		w.equal(d.Version, 1)
		w.equal(len(w.history(id, "battery_level")), 1)
		w.equal(len(w.history(id, "status")), 1)
		w.equal(string(w.history(id, "status")[0].Value), `"online"`)
		w.equal(len(w.history(id, "data")), 1)
	})
}

func TestAPipelineDeliveryByItsPaths(t *testing.T) {
	pipeline := func(c *tandem.ServiceConfig) {
		c.Webhook = tandem.WebhookConfig{Scheme: tandem.HeaderScheme, Header: "X-Token",
			Paths: map[string]string{"battery_level": "sensor:power/0/level", "lat": "gps/lat", "lon": "gps/lon", "firmware": "fw", "online": "up"}}
		c.Paths.Location = "stream:sensor/place"
	}
	both(t, func(w *world) {
		id := w.linked(1)
		at := w.now().Add(-time.Minute)
		header := func(path, contentType string) map[string]string {
			return map[string]string{"X-Token": theSecret, "Content-Type": contentType, "Ce-Source": remoteID(1), "Ce-Subject": "demo",
				"Ce-Type": "io.golioth.data.v1/.s" + path, "Ce-Time": at.Format("2006-01-02T15:04:05.000000Z")}
		}
		w.accept(request{header: header("/sensor", "application/json"), body: []byte(`{"power":[{"level":70}],"gps":{"lat":1,"lon":"x"},"fw":{"modem":"7"}}`)})
		w.process()
		d := w.device(id)
		w.equal(d.BatteryLevel, 70)
		w.equal(d.LastSeen, at)
		w.equal(d.Firmware["modem"].Version, "7")
		w.equal(d.Location, nil)
		w.equal(w.deliveries(tandem.DeliveryProcessed)[0].Error, "location is not a place on earth and was left out")
		at = at.Add(time.Second)
		cbor := []byte("\xa1\x65place\xa2\x63lat\xf9\x3e\x00\x63lon\x02") // {"place": {"lat": 1.5, "lon": 2}}
		w.accept(request{header: header("/sensor", "application/cbor"), body: cbor},
			request{header: header("", "application/octet-stream"), body: []byte{0, 1, 2}}, request{header: header("/note", "text/plain"), body: []byte("hi")})
		w.process()
		w.equal(w.device(id).Location, tandem.Location{Latitude: 1.5, Longitude: 2})
		w.equal(string(w.history(id, "note")[0].Value), `"hi"`)
		w.equal(string(w.history(id, "/")[0].Value), `"AAEC"`)
		w.equal(string(w.history(id, "sensor")[0].Value), `{"place":{"lat":1.5,"lon":2}}`)
		stored := w.deliveries(tandem.DeliveryProcessed)
		w.equal(stored[1].Body, cbor)
		w.equal(stored[0].Path, "sensor")
		for _, d := range stored {
			if text := fmt.Sprint(d.Headers, d.Error); strings.Contains(text, theSecret) || strings.Contains(text, "X-Token") {
				w.Errorf("the secret is kept: %s", text)
			}
		}
		at = at.Add(time.Second)
		w.accept(request{header: header("/sensor", "application/json"), body: []byte(`{"up":false}`)})
		w.process()
		w.equal(string(w.history(id, "status")[0].Value), `"offline"`)
		w.equal(w.device(id).LastSeen, at.Add(-time.Second))
	}, config(pipeline))
}

// standard signs as the Standard Webhooks say.
func standard(w *world, secret, id string, at time.Time, body string) request {
	hook, err := standardwebhooks.NewWebhook(secret)
	w.must(err)
	sign, err := hook.Sign(id, at, []byte(body))
	w.must(err)
	return request{header: map[string]string{"Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": strconv.FormatInt(at.Unix(), 10),
		"webhook-signature": "v2,x v1,AAAA " + sign}, body: []byte(body)}
}

func TestEverySchemeLetsInWhatIsAuthentic(t *testing.T) {
	const older, newer = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	both(t, func(w *world) {
		w.linked(1)
		n := 0
		body := func() string {
			n++
			return event("e"+strconv.Itoa(n), "device.online", 1, w.now(), nil)
		}
		with := func(secret string, change func(string) string) request {
			b := body()
			q := signed(b)
			q.header[webhook.SignatureHeader] = change(signature(secret, b))
			return q
		}
		same := func(s string) string { return s }
		w.keep(older, newer)
		w.accept(with(older, same), with(newer, same), with(older, strings.ToUpper), with(older, func(s string) string { return "sha256=" + s }),
			with(newer, func(s string) string { return "SHA256=" + strings.ToUpper(s) }))
		w.equal(w.send(with(theSecret, same)).status, 401)

		w.reconfigure(func(s *tandem.Service) { s.Config.Webhook.Scheme = tandem.StandardScheme })
		w.accept(standard(w, older, "m1", w.now(), body()), standard(w, newer, "m2", w.now().Add(-4*time.Minute), body()))
		for name, q := range map[string]request{
			"too old":           standard(w, older, "m3", w.now().Add(-6*time.Minute), body()),
			"too new":           standard(w, older, "m3", w.now().Add(6*time.Minute), body()),
			"of another scheme": with(older, same),
			"another id": func() request {
				q := standard(w, older, "m3", w.now(), body())
				q.header["webhook-id"] = "m4"
				return q
			}(),
			"another time": func() request {
				q := standard(w, older, "m3", w.now().Add(-10*time.Minute), body())
				q.header["webhook-timestamp"] = strconv.FormatInt(w.now().Unix(), 10)
				return q
			}(),
			"another body": func() request { q := standard(w, older, "m3", w.now(), body()); q.body = append(q.body, ' '); return q }(),
			"another key":  standard(w, "whsec_"+base64.StdEncoding.EncodeToString([]byte("another")), "m3", w.now(), body()),
		} {
			if r := w.send(q); r.status != 401 {
				w.Errorf("%s: %d", name, r.status)
			}
		}

		w.reconfigure(func(s *tandem.Service) { s.Config.Webhook = tandem.WebhookConfig{Scheme: tandem.HeaderScheme} })
		for secret, want := range map[string]int{older: 202, newer: 202, older + "x": 401, "": 401, strings.ToUpper(older): 401} {
			q := request{header: map[string]string{"Content-Type": "application/json", webhook.DefaultHeader: secret}, body: []byte(body())}
			w.equal(w.send(q).status, want)
		}
		w.equal(w.tally.Total(webhook.Stored), 9)
	})
}

func TestWhatIsNotAuthenticIsTheSame401(t *testing.T) {
	both(t, func(w *world) {
		w.linked(1)
		idle := w.newService("idle", func(c *tandem.ServiceConfig) { c.Webhook.Scheme = "" })
		paused := w.newService("paused", func(*tandem.ServiceConfig) {})
		paused.IsActive = false
		w.must(w.store.UpdateService(w.Context(), w.org, paused))
		body := event("e", "device.online", 1, w.now(), nil)
		replies := map[string]reply{}
		for name, change := range map[string]func(*request){
			"wrong":             func(q *request) { q.header[webhook.SignatureHeader] = signature("another", body) },
			"missing":           func(q *request) { delete(q.header, webhook.SignatureHeader) },
			"not hex":           func(q *request) { q.header[webhook.SignatureHeader] = strings.Repeat("z", 64) },
			"of another body":   func(q *request) { q.body = append(q.body, '\n') },
			"no such service":   func(q *request) { q.service = newID() },
			"no service at all": func(q *request) { q.service = "%20" },
			"no scheme":         func(q *request) { q.service = idle.ID },
			"paused":            func(q *request) { q.service = paused.ID },
			"unreadable too":    func(q *request) { q.body, q.header["Content-Type"] = []byte("{"), "image/png" },
		} {
			q := signed(body)
			q.header = map[string]string{"Content-Type": "application/json", webhook.SignatureHeader: signature(theSecret, body)}
			change(&q)
			begin := time.Now()
			r := w.send(q)
			if took := time.Since(begin); took < 20*time.Millisecond {
				w.Errorf("%s: answered after %s", name, took)
			}
			r.header.Del("Date")
			r.body = strings.Replace(r.body, r.header.Get("X-Request-Id"), "ID", 1)
			r.header.Del("X-Request-Id")
			replies[name] = r
		}
		want := replies["wrong"]
		w.equal(want.status, 401)
		w.equal(want.code(), "unauthorized")
		for name, r := range replies {
			if r.status != want.status || r.body != want.body || fmt.Sprint(r.header) != fmt.Sprint(want.header) {
				w.Errorf("%s: %d %v %s", name, r.status, r.header, r.body)
			}
		}
		w.handler.Close()
		refused := w.deliveries(tandem.DeliveryRefused)
		if len(refused) < 5 {
			w.Errorf("%d refused ones are kept", len(refused))
		}
		for _, d := range refused {
			if text := fmt.Sprint(d); len(d.Body) > 0 || strings.Contains(text, signature(theSecret, body)) || strings.Contains(text, "Signature") {
				w.Errorf("kept: %s", text)
			}
		}
		w.equal(w.tally.Total(webhook.Refused), len(replies))
		w.equal(w.tally.Total(webhook.Stored), 0)
		if strings.Contains(w.log.String(), theSecret) {
			w.Error("the secret is in the log")
		}
	})
}

// TestANewSecretCountsAtOnce: another process gave the service a secret; what is signed with it is not refused here, where
// the service is remembered.
func TestANewSecretCountsAtOnce(t *testing.T) {
	both(t, func(w *world) {
		body := event("e1", "device.online", 1, w.now(), nil)
		w.accept(signed(body))
		w.mu.Lock()
		w.secrets = append([]webhook.Secret{plain("the next secret")}, w.secrets...)
		w.mu.Unlock()
		w.offset.Add(int64(300 * time.Millisecond))
		body = event("e2", "device.online", 1, w.now(), nil)
		w.accept(request{body: []byte(body), header: map[string]string{"Content-Type": "application/json", webhook.SignatureHeader: signature("the next secret", body)}})
	})
}

func TestAForgedDoubleDoesNotHideTheTrueOne(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		q := signed(event("e", "device.data", 1, w.now(), map[string]any{"battery": 5}))
		forged := q
		forged.header = map[string]string{"Content-Type": "application/json", webhook.SignatureHeader: "00"}
		w.equal(w.send(forged).status, 401)
		w.accept(q)
		w.process()
		w.equal(w.device(id).BatteryLevel, 5)
	})
}

func TestSamplesOfRefusedOnesAreFew(t *testing.T) {
	both(t, func(w *world) {
		for range 30 {
			w.send(request{header: map[string]string{"Content-Type": "application/json"}, body: []byte("{}")})
		}
		w.handler.Close()
		if n := len(w.deliveries(tandem.DeliveryRefused)); n < 20 || n > 40 { // two minutes may be met
			w.Errorf("%d are kept", n)
		}
		w.equal(w.tally.Total(webhook.Refused), 30)
	})
}

func TestWhatCannotBeTakenIsRefused(t *testing.T) {
	both(t, func(w *world) {
		large := `{"a":"` + strings.Repeat("x", 2000) + `"}`
		chunked := signed(large)
		chunked.chunked = true
		short := signed(`{}`)
		for name, c := range map[string]struct {
			q      request
			status int
			code   string
		}{
			"another method":  {request{method: http.MethodGet}, 405, "method_not_allowed"},
			"too large":       {signed(large), 413, "too_large"},
			"too large, too":  {chunked, 413, "too_large"},
			"another type":    {request{header: map[string]string{"Content-Type": "image/png", webhook.SignatureHeader: signature(theSecret, "")}}, 415, "unsupported_media_type"},
			"no type":         {request{header: map[string]string{webhook.SignatureHeader: signature(theSecret, "")}}, 415, "unsupported_media_type"},
			"nothing":         {signed(""), 400, "invalid"},
			"not JSON":        {signed("{"), 400, "invalid"},
			"a list":          {signed("[]"), 400, "invalid"},
			"no type member":  {short, 400, "invalid"},
			"no device":       {signed(`{"type":"device.online"}`), 400, "invalid"},
			"a strange one":   {signed(`{"type":"device.online","device_id":"a b"}`), 400, "invalid"},
			"a NUL":           {signed(`{"type":"device.online","device_id":"a\u0000"}`), 400, "invalid"},
			"not CBOR":        {request{header: map[string]string{"Content-Type": "application/cbor", webhook.SignatureHeader: signature(theSecret, "\xa1")}, body: []byte("\xa1")}, 400, "invalid"},
			"pipeline, none":  {request{header: map[string]string{"Ce-Type": "io.golioth.data.v1/.s/a", webhook.SignatureHeader: signature(theSecret, "")}}, 400, "invalid"},
			"other content's": {request{header: map[string]string{"Content-Type": "application/json", webhook.SignatureHeader: signature(theSecret, "x")}, body: []byte("y")}, 401, "unauthorized"},
		} {
			r := w.send(c.q)
			if r.status != c.status || r.code() != c.code || r.header.Get("Content-Type") != "application/problem+json" {
				w.Errorf("%s: %d %s %s", name, r.status, r.header.Get("Content-Type"), r.body)
			}
			var p struct {
				Type, Title, Code, Hint string
				RequestID               string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Type != "/api/docs/problems#"+p.Code || p.Title == "" || p.Hint == "" || p.RequestID == "" {
				w.Errorf("%s: %s", name, r.body)
			}
		}
		w.handler.Close()
		kept := false
		for _, d := range w.deliveries(tandem.DeliveryRefused) {
			if string(d.Body) == "{" && strings.HasPrefix(d.Error, "malformed: ") {
				kept = true // an authentic one is kept with its body
			}
		}
		w.equal(kept, true)
		w.equal(w.send(signed(`{}`)).status, 400)
		w.equal(w.send(signed(event("late", "device.online", 1, w.now(), nil))).status, 503)
	}, options(func(o *webhook.Options) { o.MaxBody = 1000 }))
}

func TestADoubleCountsOnce(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		q := signed(event("e1", "device.data", 1, w.now(), map[string]any{"n": 1}))
		for i := range 3 {
			r := w.send(q)
			w.equal(r.status, 202)
			w.equal(strings.Contains(r.body, "duplicate"), i > 0)
		}
		nameless := strings.Replace(event("", "device.data", 1, w.now().Add(-time.Second), map[string]any{"n": 1}), `"id":"",`, "", 1)
		w.accept(signed(nameless), signed(nameless), signed(strings.Replace(nameless, `"n":1`, `"n":2`, 1)))
		w.process()
		w.equal(w.statuses(), "processed=3")
		w.equal(w.tally.Total(webhook.Duplicate), 3)
		w.equal(len(w.history(id, "data")), 2) // of one instant the first counts
	})
}

func TestHintsBecomePushes(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		w.accept(signed(event("a", "device.updated", 1, w.now(), map[string]any{"name": "not to be trusted"})), signed(event("b", "device.updated", 1, w.now(), nil)),
			signed(event("c", "device.created", 2, w.now(), nil)), signed(event("d", "device.deleted", 3, w.now(), nil)))
		w.process()
		w.equal(w.statuses(), "processed=4")
		pushes, err := w.store.DuePushes(w.Context(), w.org, w.service.ID, w.now().Add(time.Minute), 10)
		w.must(err)
		about := map[string]bool{}
		for _, p := range pushes {
			about[p.DeviceID+p.ExternalDeviceID] = p.Trigger == tandem.ByWebhook
		}
		w.equal(about, map[string]bool{id: true, remoteID(2): true, remoteID(3): true})
		w.equal(w.device(id).Name, "d1")
		w.equal(w.device(id).LastSeen, nil)
	})
}

func TestUnknownDevicesWait(t *testing.T) {
	both(t, func(w *world) {
		at := w.now().Add(-time.Second)
		w.accept(signed(event("a", "device.data", 1, at, map[string]any{"battery": 7})), signed(event("b", "device.data", 2, at, nil)))
		w.process()
		w.equal(w.statuses(), "waiting=2")
		id := w.linked(1)
		w.process()
		w.equal(w.statuses(), "waiting=1 processed=1")
		w.equal(w.device(id).BatteryLevel, 7)
		// What began to wait in the moment of the link, in a process that then died.
		late := w.deliveries(tandem.DeliveryWaiting)[0]
		w.linked(2)
		w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{Deliveries: []tandem.DeliveryOutcome{{ID: late.ID, Status: tandem.DeliveryWaiting, At: w.now()}}}))
		n, err := w.processor.Wake(w.Context())
		w.must(err)
		w.equal(n, 1)
		w.process()
		w.equal(w.statuses(), "processed=2")
	})
}

func TestForeignAndMalformedOnesDie(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		foreign := strings.Replace(event("a", "device.data", 1, w.now(), nil), `"demo"`, `"other"`, 1)
		head := func(project, contentType, body string) request {
			return request{header: map[string]string{"Content-Type": contentType, "Ce-Source": remoteID(1), "Ce-Subject": project, "Ce-Type": "io.golioth.data.v1/.s/x",
				webhook.SignatureHeader: signature(theSecret, body)}, body: []byte(body)}
		}
		w.accept(signed(foreign), head("other", "application/json", "{}"), head("demo", "application/json", `{"a":`), head("demo", "application/json", "[\xff]"),
			head("demo", "application/cbor", "\xa2"), head("demo", "application/json", strings.Repeat("[", 100)), signed(event("z", "device.exploded", 1, w.now(), nil)),
			head("demo", "application/json", `{"good":1}`))
		w.process()
		w.equal(w.statuses(), "processed=1 dead=7")
		for i, want := range []string{"project other", "project other", "not valid JSON", "not valid JSON", "not valid CBOR", "nests deeper", "device.exploded"} {
			if d := w.deliveries(tandem.DeliveryDead)[i]; !strings.Contains(d.Error, want) {
				w.Errorf("%d: %s", i, d.Error)
			}
		}
		w.equal(len(w.history(id, "x")), 1)
		// A pinned project is known by either name.
		w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: w.service.ID, Pin: &tandem.ProjectIdentity{ID: "other", CreatedAt: w.now()}}}}))
		w.offset.Store(int64(10 * time.Second)) // past what is remembered of the service
		ids := []string{}
		for _, d := range w.deliveries(tandem.DeliveryDead)[:2] {
			ids = append(ids, d.ID)
		}
		_, err := w.store.ReplayDeliveries(w.Context(), w.org, ids)
		w.must(err)
		w.process()
		w.equal(w.statuses(), "processed=3 dead=5")
	})
}

func TestTimesThatDoNotCount(t *testing.T) {
	both(t, func(w *world) {
		for n, c := range []struct {
			off   time.Duration
			seen  bool // as sent
			value bool
		}{{-time.Minute, true, true}, {-2 * time.Hour, false, false}, {10 * time.Minute, false, false}, {2 * time.Minute, false, true}} {
			id := w.linked(n + 1)
			at := w.now().Add(c.off)
			before := w.now()
			w.accept(signed(event(strconv.Itoa(n), "device.data", n+1, at, map[string]any{"battery": 1})))
			w.process()
			d := w.device(id)
			if c.seen != d.LastSeen.Equal(at) || c.value != d.BatteryAt.Equal(at) {
				w.Errorf("%s: last seen %s, battery at %s", c.off, d.LastSeen, d.BatteryAt)
			}
			if d.LastSeen.After(w.now()) || (!c.seen && d.LastSeen.Before(before)) {
				w.Errorf("%s: last seen %s", c.off, d.LastSeen)
			}
		}
	})
}

func TestPresenceIsTold(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		_, cursor, err := w.store.EventsSince(w.Context(), "", 100)
		w.must(err)
		w.accept(signed(event("a", "device.online", 1, w.now(), map[string]any{"status": "online"})))
		w.process()
		w.accept(signed(event("b", "device.data", 1, w.now(), nil)))
		w.process()
		w.accept(signed(event("c", "device.status_changed", 1, w.now().Add(time.Second), map[string]any{"status": "offline"})))
		w.process()
		events, _, err := w.store.EventsSince(w.Context(), cursor, 100)
		w.must(err)
		told := []string{}
		for _, e := range events {
			if strings.HasPrefix(e.Kind, "device.") {
				told = append(told, e.Kind+" "+strings.Join(e.IDs, ","))
			}
		}
		w.equal(told, []string{"device.online " + id, "device.offline " + id})
		values := []string{}
		for _, o := range w.history(id, "status") {
			values = append(values, string(o.Value))
		}
		w.equal(values, []string{`"offline"`, `"online"`})
	})
}

func TestWhatIsOffIsNotRead(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		w.accept(signed(event("a", "device.data", 1, w.now(), map[string]any{"battery": 5, "lat": 1, "lon": 2, "firmware": "1"})))
		w.process()
		d := w.device(id)
		w.equal([]any{d.LastSeen, d.BatteryLevel, d.Location, d.FirmwareAt}, []any{nil, nil, nil, nil})
		w.equal(len(w.history(id, "data")), 1)
	}, config(func(c *tandem.ServiceConfig) { c.Fields = tandem.SharedFields }))
}

func TestCountsAndTimes(t *testing.T) {
	t.Parallel()
	var tally webhook.Tally
	tally.Count("s", webhook.Stored, "", 2)
	tally.Count("s", webhook.Refused, webhook.Unsigned, 1)
	tally.Count("s", webhook.Stored, "", 0)
	tally.Took(webhook.ToStored, 3*time.Millisecond)
	tally.Took(webhook.ToProcessed, 2*time.Hour)
	text, err := json.Marshal(tally.Counts())
	if err != nil || string(text) != `[{"service_id":"s","outcome":"refused","reason":"unsigned","n":1},{"service_id":"s","outcome":"stored","n":2}]` {
		t.Errorf("%s %v", text, err)
	}
	if s := tally.Timing(webhook.ToStored); s.Count != 1 || s.Buckets[2] != 1 || s.Sum != 3*time.Millisecond {
		t.Errorf("%+v", s)
	}
	if p := tally.Timing(webhook.ToProcessed); p.Buckets[len(webhook.Bounds)] != 1 {
		t.Errorf("%+v", p)
	}
}
