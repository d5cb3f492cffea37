package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem"
)

// maxState bounds what is read of a server's state.
const maxState = 1 << 20

// server checks a server that runs: what it says of itself, whether the token is good, and each service's project.
func (c *checkup) server(ctx context.Context, offline bool) error {
	if !c.ready(ctx) {
		return nil
	}
	s, err := c.dial()
	if err != nil {
		return err
	}
	orgs, err := s.Organizations(ctx)
	if err != nil {
		c.problem("token", err)
		return nil
	}
	c.ok("token", "it is good for %s", count(len(orgs), "organization", "organizations"))
	for i := range orgs {
		services, err := s.Services(ctx, orgs[i].ID)
		if err != nil {
			c.problem("services", err)
			continue
		}
		for j := range services {
			c.serviceThere(ctx, s, &orgs[i], &services[j], offline)
		}
	}
	return nil
}

// ready asks the server how it is, which needs no token; false when it does not answer.
func (c *checkup) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.flags.Server, "/")+"/readyz", nil)
	if err != nil {
		c.problem("server", tandem.Errorf(tandem.Invalid, "ask server", c.flags.Server, "this is no address of a server"))
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		c.problem("server", &tandem.Error{Code: tandem.Unavailable, Op: "ask server", Thing: request.URL.Host, Message: "it does not answer", Hint: "is it running, and is this its address?", Err: err})
		return false
	}
	defer func() { _ = answer.Body.Close() }()
	var state struct {
		Status       string
		Dependencies map[string]struct{ Status, Code string }
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxState)).Decode(&state); err != nil || state.Status == "" {
		c.problem("server", tandem.Errorf(tandem.Malformed, "ask server", request.URL.Host, "what answers there is no Tandem server"))
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(state.Dependencies)) {
		at := state.Dependencies[name]
		if at.Status == "up" {
			c.ok("server "+name, "up")
			continue
		}
		c.problem("server "+name, tandem.Errorf(tandem.Code(at.Code), "ask server", "", "%s", strings.TrimSpace(at.Status+" "+at.Code)).WithHint("look into the server's log"))
	}
	c.ok("server", "%s says that it is %s", request.URL.Host, strings.ReplaceAll(state.Status, "_", " "))
	return true
}

// serviceThere has the server ask a service's project.
func (c *checkup) serviceThere(ctx context.Context, s *desk, org *tandem.Organization, v *tandem.Service, offline bool) {
	name := "service " + org.Slug + "/" + v.Name
	switch {
	case !v.IsActive:
		c.ok(name, "paused")
		return
	case v.State != tandem.ServiceOK:
		c.warn(name, fmt.Sprintf("tandem service show %s --org %s", word(v.Name), org.Slug), "%s", c.stateText(v))
	}
	if offline {
		return
	}
	project, took, err := s.TestService(ctx, org.ID, v)
	if err != nil {
		c.problem(name, err)
		return
	}
	c.ok(name, "the project %s answers in %s and takes the key", project.ID, duration(took))
}
