package golioth

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem"
)

func TestErrorMap(t *testing.T) {
	const html = "<!DOCTYPE html><html><body>hello</body></html>"
	for name, test := range map[string]struct {
		status int
		body   string
		code   tandem.Code
		says   string
	}{
		"bad field":          {400, `{"code":3,"message":"name can use only use characters a-z","details":[]}`, tandem.Invalid, "can use only use characters"},
		"bad id":             {400, `{"code":3,"message":"the provided hex string is not a valid ObjectID","details":[]}`, tandem.Invalid, "ObjectID"},
		"wrong key":          {401, `{"code":16,"message":"error identifying user ` + testKey + `","details":[]}`, tandem.Unauthorized, "error identifying user [redacted]"},
		"other project":      {403, `{"code":7,"message":"user not allowed to call method","details":[]}`, tandem.Forbidden, "my project"},
		"gone":               {404, `{"code":5,"message":"device not found","details":[]}`, tandem.NotFound, "device not found"},
		"404 without proof":  {404, `{"message":"nothing here"}`, tandem.Malformed, "does not look like Golioth"},
		"404 page":           {404, html, tandem.Malformed, "does not look like Golioth"},
		"taken":              {409, `{"code":6,"message":"","details":[]}`, tandem.Exists, "taken"},
		"taken, as 400":      {400, `{"code":3,"message":"blueprint name already being used"}`, tandem.Exists, "already being used"},
		"aborted":            {409, `{"code":10,"message":"try again"}`, tandem.Stale, "another change"},
		"no reason":          {418, ``, tandem.Invalid, "418"},
		"too many":           {429, `{"code":8,"message":"slow down"}`, tandem.RateLimited, "fewer"},
		"failing":            {500, `{"code":13,"message":"boom"}`, tandem.Unavailable, "boom"},
		"unknown call":       {501, `{"code":12,"message":"Method Not Allowed"}`, tandem.Unavailable, "does not know this call"},
		"proxy without host": {502, html, tandem.Timeout, "in time"},
		"too slow behind":    {504, `{"code":4,"message":"deadline"}`, tandem.Timeout, "deadline"},
		"a web page":         {200, html, tandem.Malformed, "does not look like Golioth"},
		"another shape":      {200, `{"result":{}}`, tandem.Malformed, "cannot be read"},
		"another device":     {200, `{"data":` + bare + `}`, tandem.Malformed, "cannot be read"},
		"nothing":            {200, ``, tandem.Malformed, "cannot be read"},
		"a redirect":         {302, ``, tandem.Invalid, "https://elsewhere.example"},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "https://elsewhere.example/secret?token=x")
				say(w, test.status, test.body)
			})
			_, err := c.Device(soon(t), goodID)
			wants(t, err, test.code, test.says)
			if strings.Contains(err.Error(), "token=x") {
				t.Error("the whole address shows in", err)
			}
		})
	}
}

// S15: a missing tag, cohort or blueprint is not a missing device.
func TestS15NotFoundIsAboutTheDevice(t *testing.T) {
	c := serve(t, status(404, `{"code":5,"message":"cohort not found","details":[]}`))
	name := "x"
	_, err := c.UpdateDevice(soon(t), goodID, tandem.RemotePatch{CohortID: &name})
	wants(t, err, tandem.Invalid, "cohort not found")
}

func TestS30ReadsAreRetried(t *testing.T) {
	for name, bad := range map[string]func(http.ResponseWriter, *http.Request){
		"500":       status(500, `{}`),
		"503":       status(503, `<html>`),
		"429":       status(429, `{"code":8}`),
		"reset":     reset,
		"truncated": truncated,
		"silence":   silent,
		"damaged":   status(200, `{"data":{"id":"a1",,}}`),
		"cut short": status(200, `{"data":{"id":"a1"`),
		"slow drip": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				timer := time.NewTimer(5 * time.Millisecond)
				select {
				case <-timer.C:
				case <-r.Context().Done():
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := &answers{replies: []func(http.ResponseWriter, *http.Request){bad, bad, good}}
			c := serve(t, a.handle, func(o *Options) { o.ReadTimeout = 100 * time.Millisecond })
			if d, err := c.Device(soon(t), goodID); err != nil || d.ID != goodID {
				t.Error(err)
			}
			if a.asked() != 3 {
				t.Errorf("asked %d times", a.asked())
			}
		})
	}
}

// A body that is no JSON may have been damaged on its way; one of another shape is how this service speaks.
func TestS30DamagedPagesAreRead(t *testing.T) {
	a := &answers{replies: []func(http.ResponseWriter, *http.Request){status(200, `{"list":[{"id":`), status(200, wirePage(0, 100, 1, bare))}}
	if _, devices, err := list(t, serve(t, a.handle), tandem.RemoteListing{}); err != nil || devices != 1 || a.asked() != 2 {
		t.Errorf("%d devices, asked %d times, %v", devices, a.asked(), err)
	}
	for _, body := range []string{`<html></html>`, `{"result":{}}`, `[]`} {
		a := &answers{replies: []func(http.ResponseWriter, *http.Request){status(200, body)}}
		_, err := serve(t, a.handle).Device(soon(t), goodID)
		wants(t, err, tandem.Malformed)
		if a.asked() != 1 {
			t.Errorf("%s: asked %d times", body, a.asked())
		}
	}
}

func TestS30OtherRefusalsAreNot(t *testing.T) {
	for _, code := range []int{302, 400, 404, 409, 418, 501} {
		a := &answers{replies: []func(http.ResponseWriter, *http.Request){status(code, `{"code":5,"message":"x"}`)}}
		if _, err := serve(t, a.handle).Device(soon(t), goodID); err == nil || a.asked() != 1 {
			t.Errorf("HTTP %d: asked %d times, %v", code, a.asked(), err)
		}
	}
}

func TestS30ReadsGiveUp(t *testing.T) {
	for name, test := range map[string]struct {
		bad  func(http.ResponseWriter, *http.Request)
		code tandem.Code
	}{
		"500": {status(500, `{}`), tandem.Unavailable}, "429": {status(429, `{}`), tandem.RateLimited}, "reset": {reset, tandem.Unavailable},
		"truncated": {truncated, tandem.Malformed}, "silence": {silent, tandem.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			a := &answers{replies: []func(http.ResponseWriter, *http.Request){test.bad}}
			_, err := serve(t, a.handle, func(o *Options) { o.ReadTimeout = 50 * time.Millisecond }).Device(soon(t), goodID)
			wants(t, err, test.code)
			if a.asked() != 6 {
				t.Errorf("asked %d times", a.asked())
			}
		})
	}
}

// A stream query travels as a POST and is a read all the same.
func TestS30StreamQueriesAreReads(t *testing.T) {
	a := &answers{replies: []func(http.ResponseWriter, *http.Request){status(503, ``), status(200, wirePage(0, 100, 0))}}
	for _, err := range serve(t, a.handle).Stream(soon(t), tandem.StreamQuery{Paths: []string{"a"}}) {
		t.Error(err)
	}
	if a.asked() != 2 {
		t.Errorf("asked %d times", a.asked())
	}
}

// S23: a write is sent once, and what is not known of it is said.
func TestS23WritesAreSentOnce(t *testing.T) {
	for name, test := range map[string]struct {
		bad  func(http.ResponseWriter, *http.Request)
		code tandem.Code
		says string
	}{
		"500":       {status(500, `{}`), tandem.Unavailable, "failing"},
		"429":       {status(429, `{}`), tandem.RateLimited, ""},
		"409":       {status(409, `{"code":6,"message":"already exists"}`), tandem.Exists, ""},
		"reset":     {reset, tandem.Timeout, "effect unknown"},
		"truncated": {truncated, tandem.Timeout, "effect unknown"},
		"silence":   {silent, tandem.Timeout, "effect unknown"},
		"no JSON":   {status(200, `<html>`), tandem.Malformed, "may have been made"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &answers{replies: []func(http.ResponseWriter, *http.Request){func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Error(err)
				}
				test.bad(w, r)
			}}}
			c := serve(t, a.handle, func(o *Options) { o.WriteTimeout = 100 * time.Millisecond })
			ctx, name := soon(t), "x"
			_, create := c.CreateDevice(ctx, tandem.NewRemoteDevice{Name: "x"})
			_, update := c.UpdateDevice(ctx, goodID, tandem.RemotePatch{Name: &name})
			for i, err := range []error{create, update, c.DeleteDevice(ctx, goodID), c.SetState(ctx, goodID, "a", 1), c.DeleteState(ctx, goodID, "a")} {
				wants(t, err, test.code, test.says)
				if a.asked() < i+1 {
					t.Error("not sent")
				}
			}
			if a.asked() != 5 {
				t.Errorf("5 writes were sent %d times", a.asked())
			}
		})
	}
}

// budget grants after a wait, and counts.
type budget struct {
	block    bool
	acquired int
	released int
}

func (b *budget) Acquire(ctx context.Context) (func(), error) {
	if b.block {
		<-ctx.Done()
		return nil, tandem.Errorf(tandem.Timeout, "budget", "", "no room: %w", ctx.Err())
	}
	b.acquired++
	return func() { b.released++ }, nil
}

// S19: waiting for the budget is a part of the write's timeout, so that a write never starts late.
func TestS19WriteDoesNotStartLate(t *testing.T) {
	a := &answers{replies: []func(http.ResponseWriter, *http.Request){good}}
	c := serve(t, a.handle, func(o *Options) { o.Budget, o.WriteTimeout = &budget{block: true}, 20*time.Millisecond })
	wants(t, c.DeleteDevice(soon(t), goodID), tandem.RateLimited, "nothing was sent")
	if a.asked() != 0 {
		t.Error("it was sent")
	}
}

func TestS32EveryRequestTakesFromTheBudget(t *testing.T) {
	a := &answers{replies: []func(http.ResponseWriter, *http.Request){status(500, ``), status(429, ``), good}}
	b := &budget{}
	c := serve(t, a.handle, func(o *Options) { o.Budget = b })
	if _, err := c.Device(soon(t), goodID); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(soon(t), goodID); err != nil {
		t.Fatal(err)
	}
	if b.acquired != 4 || b.released != 4 || a.asked() != 4 {
		t.Errorf("%d requests, %d acquired, %d released", a.asked(), b.acquired, b.released)
	}
}

func TestS31KeyIsConfirmedRefusedOnce(t *testing.T) {
	refuse := status(401, `{"code":16,"message":"error identifying user"}`)
	a := &answers{replies: []func(http.ResponseWriter, *http.Request){refuse}}
	_, err := serve(t, a.handle).Device(soon(t), goodID)
	wants(t, err, tandem.Unauthorized)
	if a.asked() != 2 {
		t.Errorf("asked %d times", a.asked())
	}
	a = &answers{replies: []func(http.ResponseWriter, *http.Request){status(403, `{}`), good}}
	if _, err := serve(t, a.handle).Device(soon(t), goodID); err != nil {
		t.Error(err)
	}

	writes := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			writes++
			refuse(w, r)
			return
		}
		say(w, 200, `{"data":{"id":"my project","name":"x","createdAt":"2025-01-02T03:04:05Z","organizationId":"acme"}}`)
	})
	wants(t, c.DeleteDevice(soon(t), goodID), tandem.RateLimited, "accepted right afterwards")
	if writes != 1 {
		t.Errorf("the write was sent %d times", writes)
	}
	wants(t, serve(t, refuse).DeleteDevice(soon(t), goodID), tandem.Unauthorized)
}

func TestS33RepliesAreBounded(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		block := strings.Repeat(" ", 1<<20)
		for range 17 {
			if _, err := io.WriteString(w, block); err != nil {
				return // the client had enough
			}
		}
	})
	_, err := c.Device(soon(t), goodID)
	wants(t, err, tandem.Malformed, "larger than 16 MiB")
}

func TestUnreachable(t *testing.T) {
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of the refused handshake
	tls.StartTLS()
	defer tls.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		base string
		via  http.RoundTripper
		says []string
	}{
		"refused":        {"http://" + closed, nil, []string{closed + " was refused", "port"}},
		"not trusted":    {tls.URL, nil, []string{"certificate of 127.0.0.1", "not trusted", "clock"}},
		"http for https": {strings.Replace(plain.URL, "http:", "https:", 1), nil, []string{"plain http where https was expected"}},
		"no such host": {"https://golioth.example", transport(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "golioth.example", IsNotFound: true}}
		}), []string{"golioth.example was not found", "DNS"}},
		"bad certificate": {"https://golioth.example", transport(func(*http.Request) (*http.Response, error) {
			return nil, x509.HostnameError{Certificate: &x509.Certificate{}, Host: "golioth.example"}
		}),
			[]string{"not trusted"}},
		"not permitted": {"https://inside.example", &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: tandem.Errorf(tandem.Invalid, "connect", "10.0.0.7", "this is a private address, which may not be called").WithHint("allow it")}
		}}, []string{"inside.example is not called", "a private address", "allow it"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(Options{BaseURL: test.base, Project: "p", Key: testKey, Retry: quick, Transport: test.via})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Project(soon(t))
			wants(t, err, tandem.Unavailable, test.says...)
			// A write that never left is no Timeout: nothing happened.
			wants(t, c.DeleteDevice(soon(t), goodID), tandem.Unavailable, test.says...)
		})
	}
}

func TestCanceled(t *testing.T) {
	c := serve(t, silent)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := c.Device(ctx, goodID)
	wants(t, err, tandem.Timeout)
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, err = c.Device(ctx, goodID)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, err := range c.Devices(ctx, tandem.RemoteListing{}) {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
