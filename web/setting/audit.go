package setting

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/a-h/templ"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// auditList is the tab of who did what.
type auditList struct {
	c       *shell.Call
	l       part.Listing
	entries []tandem.SealedEntry
	wrong   map[string]string // by parameter
}

// thingTypes are what the audit tells of.
var thingTypes = []string{"alert", "assignment", "channel", "conflict", "delivery", "device", "invitation", "organization", "plan", "run", "service", "token", "user"}

// filters are the parameters that narrow the audit.
var filters = []string{"search", "actor", "action", "thing", "thing_id", "run", "since", "until"}

func registerAudit(s *shell.Site) {
	s.Handle("GET /settings/audit", showAudit)
	s.Handle("POST /settings/audit/verify", verify)
	s.Handle("GET /settings/audit/verify", func(c *shell.Call) error { return c.Go(c.Path("settings", "audit")) })
	s.Handle("GET /settings/audit/export", export)
}

func showAudit(c *shell.Call) error {
	v := auditList{c: c, l: part.NewListing(c.Path("settings", "audit"), c.R.URL.Query(), rows), wrong: map[string]string{}}
	filter := tandem.AuditFilter{Search: c.Query("search"), Actor: c.Query("actor"), Action: c.Query("action"), ThingType: c.Query("thing"), ThingID: c.Query("thing_id"),
		RunID: c.Query("run"), Since: v.instant("since"), Until: v.instant("until"), Page: tandem.Page{Number: v.l.Page, Limit: rows}}
	var err error
	if v.entries, v.l.Total, err = c.Registry().Audit(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	if c.Query("part") == "list" {
		return c.Part(auditTable(v))
	}
	return show(c, "audit", "Audit", auditPage(v))
}

// instant reads a time of the address, in UTC; a day alone is its beginning.
func (v *auditList) instant(name string) time.Time {
	value := v.c.Query(name)
	if value == "" {
		return time.Time{}
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339, "2006-01-02"} {
		if at, err := time.Parse(layout, value); err == nil {
			return at.UTC()
		}
	}
	v.wrong[name] = "is not a time"
	return time.Time{}
}

// verify walks the chain and says what it found; large ones take a while, so it says how far it is.
func verify(c *shell.Call) error {
	if !c.May(registry.ReadAudit) {
		_, err := c.Registry().VerifyAudit(c.R.Context(), c.Actor, c.Org.ID, nil) // which refuses with words
		return err
	}
	return c.Working(shell.Frame{Title: "Audit", Section: shell.Settings}, verifyHead(c), c.Path("settings", "audit"), func(ctx context.Context, say func(templ.Component)) (templ.Component, error) {
		say(verifyStep(0, 0))
		verdict, err := c.Registry().VerifyAudit(ctx, c.Actor, c.Org.ID, func(done, of int64) { say(verifyStep(done, of)) })
		if err != nil {
			return nil, err
		}
		return verdictPage(c, verdict), nil
	})
}

// export writes the sealed audit, as `tandem audit verify --export` reads it.
func export(c *shell.Call) error {
	if c.May(registry.ReadAudit) {
		c.File("audit-"+c.Org.Slug+"-"+c.Now().Format("2006-01-02")+".jsonl", "application/x-ndjson")
	}
	return c.Registry().ExportAudit(c.R.Context(), c.Actor, c.Org.ID, c.W)
}

// change is one value that an action changed.
type change struct {
	Name          string
	Before, After json.RawMessage
}

// changesOf gives what an entry's values before and after differ in, down to the values inside of objects. ok is false
// where they are not both objects.
func changesOf(e *tandem.SealedEntry) (list []change, ok bool) {
	before, ok := object(orObject(e.Before))
	after, also := object(orObject(e.After))
	if !ok || !also {
		return nil, false
	}
	return differing("", before, after), true
}

// differing gives the members that differ; the names of those inside of others follow a prefix.
func differing(prefix string, before, after map[string]json.RawMessage) []change {
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	var list []change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if prefix == "" && (name == "version" || name == "updated_at") || same(before[name], after[name]) {
			continue
		}
		was, inside := object(before[name])
		is, also := object(after[name])
		if inside && also {
			list = append(list, differing(prefix+words(name)+" › ", was, is)...)
			continue
		}
		list = append(list, change{prefix + words(name), before[name], after[name]})
	}
	return list
}

// object reads an object.
func object(text json.RawMessage) (m map[string]json.RawMessage, ok bool) {
	err := json.Unmarshal(text, &m)
	return m, err == nil && m != nil
}

// same compares JSON without the space between its parts.
func same(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	if len(a) == 0 || len(b) == 0 || json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}

func orObject(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return json.RawMessage("{}")
	}
	return text
}

// thingPath gives the page of what an entry is about, "" where there is none.
func thingPath(c *shell.Call, e *tandem.SealedEntry) string {
	if e.ThingID == "" {
		return ""
	}
	switch e.ThingType {
	case "device":
		return c.Path("devices", e.ThingID)
	case "service":
		return c.Path("integrations", e.ThingID)
	case "run":
		return c.Path("history", e.ThingID)
	case "alert":
		return c.Path("alerts", e.ThingID)
	case "channel":
		return c.Path("settings", "notifications", e.ThingID)
	case "user":
		return c.Path("settings", "people", e.ThingID)
	}
	return ""
}

// thingName names it.
func thingName(e *tandem.SealedEntry) string {
	if e.Thing != "" {
		return e.Thing
	}
	return e.ThingID
}
