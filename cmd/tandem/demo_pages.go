package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/alecthomas/kong"

	"tandem"
	"tandem/registry"
	"tandem/server"
)

// demoEmail is who the demo is signed in as.
const demoEmail = "demo@example.com"

// pages serves the demo's pages until ctx ends.
func (c *DemoCmd) pages(ctx context.Context, a *app) (err error) {
	ctx, stop := context.WithCancel(ctx)
	projects, ended, err := demoProjects(ctx, c)
	if err != nil {
		stop()
		return err
	}
	defer func() { stop(); err = errors.Join(err, ended()) }()
	a.log = slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := a.openServing(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	cmd, err := c.serveCmd(ctx)
	if err != nil {
		return err
	}
	way := &wayIn{token: rand.Text(), password: rand.Text()}
	v, err := newServing(ctx, cmd, s, server.Route{Pattern: "GET /demo", Handler: way, Kind: server.Page})
	if err != nil {
		return err
	}
	way.base = v.base
	d := &demoWorld{desk: a.onDatabase(s), projects: projects}
	run := make(chan error, 1)
	go func() { run <- v.run(ctx) }()
	a.out.note("a fleet of %s simulated devices is being connected …\n", number(c.Devices))
	var speaking *sync.WaitGroup
	if err = d.build(ctx, v.base()); err == nil {
		if speaking, err = d.speak(ctx, v.base(), v.devices.places); speaking != nil {
			defer speaking.Wait()
			defer stop()
		}
	}
	if err == nil {
		_, err = v.registry.CreateOwner(ctx, v.actor, d.org.ID, registry.NewPerson{Email: demoEmail, Name: "Demo", Password: way.password})
	}
	if err != nil {
		stop()
		return errors.Join(err, <-run)
	}
	if err = c.welcome(a, v, way); err != nil {
		stop()
		return errors.Join(err, <-run)
	}
	return <-run
}

// serveCmd gives the server's settings: their defaults, on a port that is free.
func (c *DemoCmd) serveCmd(ctx context.Context) (*ServeCmd, error) {
	cmd := &ServeCmd{}
	if err := kong.ApplyDefaults(cmd); err != nil {
		return nil, tandem.Errorf(tandem.Internal, "demo", "", "the server has no defaults: %w", err)
	}
	cmd.Listen, cmd.AllowPrivateAddresses = c.Listen, true
	cmd.MQTTListen, cmd.CoAPListen = "127.0.0.1:0", "127.0.0.1:0" // on any free ports
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		host, _, split := net.SplitHostPort(c.Listen)
		if split != nil {
			return nil, &usageError{"--listen " + c.Listen + " is no address", "write it as 127.0.0.1:8080"}
		}
		cmd.Listen = net.JoinHostPort(host, "0") // somebody else has it
		return cmd, nil
	}
	return cmd, listener.Close()
}

// welcome says where to look.
func (c *DemoCmd) welcome(a *app, v *serving, way *wayIn) error {
	link := v.base() + "/demo?token=" + way.token
	if a.out.json {
		return a.out.value(map[string]any{"url": v.base(), "sign_in_url": link, "email": demoEmail, "password": way.password, "devices": c.Devices})
	}
	a.out.printf(`
Open the demo, signed in, with a short tour:

    %s

or sign in at %s as %s with the password %s

It is a fleet that lives: devices report through Golioth, and seven in a greenhouse by themselves over
HTTP, MQTT and CoAP; one service does not answer, a run waits for somebody, and some names were changed
on both sides. Nothing outside the demo is touched. Ctrl-C ends it.
`, a.out.bold(link), v.base(), demoEmail, way.password)
	return nil
}

// wayIn signs whoever has the demo's link in.
type wayIn struct {
	base            func() string
	token, password string
}

// ServeHTTP signs in at the server itself, hands its cookie on, and leads to the first page.
func (w *wayIn) ServeHTTP(reply http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("token")), []byte(w.token)) != 1 {
		http.Redirect(reply, r, "/sign-in", http.StatusSeeOther)
		return
	}
	cookies, err := w.signIn(r.Context())
	if err != nil {
		http.Error(reply, "The demo cannot sign you in. Use the address and password in the terminal.", http.StatusInternalServerError)
		return
	}
	for _, cookie := range cookies {
		http.SetCookie(reply, cookie)
	}
	reply.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(reply, r, "/o/demo?tour=1", http.StatusSeeOther)
}

// signIn begins a session.
func (w *wayIn) signIn(ctx context.Context) ([]*http.Cookie, error) {
	body, err := json.Marshal(map[string]string{"email": demoEmail, "password": w.password})
	if err != nil {
		return nil, err
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, w.base()+"/api/v1/session", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	ask.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return nil, err
	}
	if err := answer.Body.Close(); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, tandem.Errorf(tandem.Unauthorized, "demo", "", "signing in replied %s", answer.Status)
	}
	return answer.Cookies(), nil
}
