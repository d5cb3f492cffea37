package clienttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem"
	"tandem/golioth"
)

// secretName gives a name under the prefix, which may hold no hyphens.
func (s *suite) secretName(name string) string { return strings.ReplaceAll(s.prefix+name, "-", "_") }

// secrets puts one, puts it again with another value, and deletes it.
func (s *suite) secrets(t *testing.T) {
	ctx := within(t)
	name := s.secretName("secret")
	listed := func(want bool) {
		t.Helper()
		s.eventually(t, func() string {
			names, err := s.client.Secrets(ctx)
			if err != nil || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) != want {
				return fmt.Sprintf("of %d secrets one is ours is not %v (%v)", len(names), want, err)
			}
			return ""
		})
	}
	value := golioth.Secret(random(t, 16))
	if err := s.client.PutSecret(ctx, name, value); err != nil {
		t.Fatal(err)
	}
	listed(true)
	if err := s.client.PutSecret(ctx, strings.ToUpper(name), golioth.Secret(random(t, 16))); err != nil {
		t.Errorf("with another value, under the same name in capitals: %v", err)
	}
	listed(true)
	name = strings.ToUpper(name)
	if err := s.client.DeleteSecret(ctx, name); err != nil {
		t.Error(err)
	}
	listed(false)
	fails(t, "deleting it again", s.client.DeleteSecret(ctx, name), tandem.NotFound, tandem.Invalid)
	err := s.client.PutSecret(ctx, "9 lives", value)
	fails(t, "a name that cannot be", err, tandem.Invalid)
}

// pipelines follows one from its creation to its end. It posts to an address that nobody can have, and takes a
// path that no device sends on.
func (s *suite) pipelines(t *testing.T) {
	ctx := within(t)
	secret, name := s.secretName("header"), s.prefix+"pipeline"
	t.Cleanup(func() {
		ctx, cancel := after()
		defer cancel()
		s.sweepPipelines(t, ctx)
	})
	if err := s.client.PutSecret(ctx, secret, golioth.Secret(random(t, 16))); err != nil {
		t.Fatal(err)
	}
	_, err := s.client.PipelineByName(ctx, name)
	fails(t, "a pipeline before it is there", err, tandem.NotFound)

	text := golioth.WebhookPipeline("https://tandem.invalid/webhooks/golioth/x", "X-Tandem-Secret", secret, "/"+s.prefix+"nothing")
	made, err := s.client.PutPipeline(ctx, name, text, false)
	if err != nil {
		t.Fatal(err)
	}
	if made.ID == "" || made.Name != name || made.Enabled || made.YAML != text || made.CreatedAt.IsZero() {
		t.Errorf("created as %+v", made)
	}
	s.reads(t, made.ID, text, false)

	text = golioth.WebhookPipeline("https://tandem.invalid/webhooks/golioth/y", "X-Tandem-Secret", secret, "/"+s.prefix+"other")
	again, err := s.client.PutPipeline(ctx, name, text, false)
	if err != nil || again.ID != made.ID || again.YAML != text || again.Enabled {
		t.Errorf("replaced by %+v, %v", again, err)
	}
	s.reads(t, made.ID, text, false)
	for _, enabled := range []bool{true, true, false} {
		p, err := s.client.EnablePipeline(ctx, made.ID, enabled)
		if err != nil || p.Enabled != enabled || p.YAML != text || p.Name != name {
			t.Errorf("enabled %v: %+v, %v", enabled, p, err)
		}
		s.reads(t, made.ID, text, enabled)
	}
	if failed, err := s.client.PipelineErrors(ctx, made.ID, made.CreatedAt, 10); err != nil || len(failed) != 0 {
		t.Errorf("a pipeline that nothing came to has the errors %v, %v", failed, err)
	}

	if err := s.client.DeletePipeline(ctx, made.ID); err != nil {
		t.Error(err)
	}
	s.eventually(t, func() string {
		if _, err := s.client.PipelineByName(ctx, name); !tandem.Is(err, tandem.NotFound) {
			return fmt.Sprintf("it is still there (%v)", err)
		}
		return ""
	})
	if err := s.client.DeletePipeline(ctx, made.ID); !gone(err) {
		t.Errorf("deleting it again: %v", err)
	}
}

// reads waits until a pipeline reads back as it was written.
func (s *suite) reads(t *testing.T, id, text string, enabled bool) {
	t.Helper()
	ctx := within(t)
	s.eventually(t, func() string {
		p, err := s.client.Pipeline(ctx, id)
		if err != nil || p.YAML != text || p.Enabled != enabled {
			return fmt.Sprintf("it reads as %+v, %v", p, err)
		}
		return ""
	})
}

// sweepPipelines deletes the pipelines and secrets under the prefix.
func (s *suite) sweepPipelines(t *testing.T, ctx context.Context) {
	t.Helper()
	pipelines, err := s.client.Pipelines(ctx)
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, p := range pipelines {
		if strings.HasPrefix(p.Name, s.prefix) {
			if err := s.client.DeletePipeline(ctx, p.ID); err != nil && !gone(err) {
				t.Errorf("clean up: %v", err)
			}
		}
	}
	names, err := s.client.Secrets(ctx)
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, name := range names {
		if strings.HasPrefix(strings.ToLower(name), s.secretName("")) {
			if err := s.client.DeleteSecret(ctx, name); err != nil && !gone(err) {
				t.Errorf("clean up: %v", err)
			}
		}
	}
}
