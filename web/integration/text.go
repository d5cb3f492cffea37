package integration

import (
	"time"

	"tandem/registry"
)

// clockApart is how far the clocks may be apart before somebody is told.
const clockApart = 5 * time.Second

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// action is where a tab's form is sent.
func (v *view) action() string {
	if v.isNew() {
		return v.c.Path("integrations")
	}
	return v.path("save", v.tab.Name)
}

func (v *view) keyHint() string {
	if v.isNew() {
		return "Made in the Golioth console, under the project's API keys. It is stored encrypted, and never shown again."
	}
	return "One is stored; it is never shown. Give another to replace it, or leave this empty to keep it."
}

// fieldHints say what a field is about, where its name does not.
var fieldHints = map[string]string{
	"enabled": "Whether the device may talk to Golioth.", "hardware_ids": "What a device is recognized by.", "blueprint": "By name.", "cohort": "By name: it decides which firmware a device gets.",
	"metadata": "A part of LightDB State that both sides may change; needs a path below.", "status": "When it was last heard of.", "battery": "Needs a path below, or webhooks.",
	"location": "Needs a path below, or webhooks.", "firmware": "What its components report.",
}

// byField reports whether a field has a strategy of its own.
func (v *view) byField() bool {
	for _, f := range shared() {
		if v.d["strategy."+f.String()] != "" {
			return true
		}
	}
	return false
}

// starts says whether the person may let settings run.
func (v *view) starts() bool { return v.c.May(registry.StartRuns) && v.c.May(registry.ApproveRuns) }

// device gives the address of a device's page.
func (v *view) device(id string) string { return v.c.Path("devices", id) }
