//go:build golioth_live

package golioth_test

import (
	"os"
	"testing"

	"tandem/golioth"
	"tandem/golioth/clienttest"
)

// TestLive runs the contract against the real service, with a key from the environment. It touches only
// devices, tags, blueprints and cohorts that it made.
func TestLive(t *testing.T) {
	project, key := os.Getenv("TANDEM_GOLIOTH_PROJECT"), os.Getenv("TANDEM_GOLIOTH_KEY")
	if project == "" || key == "" {
		t.Fatal("set TANDEM_GOLIOTH_PROJECT to a project's id and TANDEM_GOLIOTH_KEY to one of its API keys; " +
			"TANDEM_GOLIOTH_URL is " + golioth.DefaultBaseURL + " unless it is set")
	}
	clienttest.Run(t, clienttest.Target{BaseURL: os.Getenv("TANDEM_GOLIOTH_URL"), Project: project, Key: golioth.Secret(key)})
}
