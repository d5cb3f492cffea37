package integration

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
)

// draft is settings as texts by the names of their form fields; a switch is "on" or "".
type draft map[string]string

// item is one setting of a tab.
type item struct {
	Name, Label string
	Switch      bool
}

// tab is a group of settings that are saved together.
type tab struct {
	Name, Label string
	Items       []item
}

// The tabs in their order. Webhooks are changed by their own actions.
var tabs = []tab{
	{"connection", "Connection", []item{{Name: "name", Label: "Name"}, {Name: "project", Label: "Project"}, {Name: "base_url", Label: "Base URL"}}},
	{"sync", "Sync", syncItems()},
	{"fields", "Fields", fieldItems()},
	{Name: "webhooks", Label: "Webhooks"},
	{"advanced", "Advanced", []item{
		{Name: "requests_per_minute", Label: "Requests a minute"}, {Name: "concurrency", Label: "Requests at the same time"}, {Name: "state_reads", Label: "State reads in a run"},
		{Name: "online_window", Label: "Online window"}, {"gateway_psk", "Devices' keys", true}, {Name: "filter_name", Label: "Name pattern"}, {Name: "filter_tags", Label: "Tags"},
		{Name: "filter_blueprint", Label: "Blueprint"}, {Name: "filter_cohort", Label: "Cohort"},
	}},
}

func syncItems() []item {
	items := []item{{"sync_enabled", "Automatic sync", true}, {Name: "interval", Label: "Interval"}, {Name: "interval_minutes", Label: "Minutes"}, {Name: "direction", Label: "Direction"},
		{"create_local", "Create here", true}, {"create_remote", "Create on Golioth", true}, {Name: "on_remote_delete", Label: "When a device is deleted on Golioth"},
		{"delete_remote", "Delete on Golioth", true}, {Name: "strategy", Label: "Conflicts"}}
	for _, f := range shared() {
		items = append(items, item{Name: "strategy." + f.String(), Label: "Conflicts in " + part.FieldLabel(f)})
	}
	return append(items, item{Name: "max_delete", Label: "Guard on deletions"}, item{Name: "max_change", Label: "Guard on enabled and cohort"})
}

func fieldItems() []item {
	var items []item
	for _, f := range fields() {
		items = append(items, item{"field." + f.String(), part.FieldLabel(f), true})
	}
	return append(items, item{Name: "path_metadata", Label: "Path of metadata"}, item{Name: "path_battery", Label: "Path of the battery level"}, item{Name: "path_location", Label: "Path of the location"})
}

// fields gives every field that a service may sync, shared those that are merged.
func fields() []tandem.Field { return among(tandem.AllFields) }
func shared() []tandem.Field { return among(tandem.SharedFields) }

func among(set tandem.Fields) []tandem.Field {
	var list []tandem.Field
	for _, name := range set.Names() {
		if f, err := tandem.ParseField(name); err == nil {
			list = append(list, f)
		}
	}
	return list
}

// tabNamed finds a tab; the first where there is none of that name.
func tabNamed(name string) tab {
	for _, t := range tabs {
		if t.Name == name {
			return t
		}
	}
	return tabs[0]
}

// intervals are the choices of how often a service syncs by itself, in seconds.
var intervals = []part.Option{{Value: "60", Label: "Every minute"}, {Value: "300", Label: "Every 5 minutes"}, {Value: "900", Label: "Every 15 minutes"}, {Value: "3600", Label: "Every hour"}, {Value: "custom", Label: "Custom"}}

// draftOf gives a service's settings as texts.
func draftOf(s *tandem.Service) draft {
	c := &s.Config
	d := draft{"name": s.Name, "project": c.Project, "base_url": c.BaseURL,
		"sync_enabled": on(s.SyncEnabled), "interval": strconv.Itoa(s.SyncInterval), "interval_minutes": number(float64(s.SyncInterval) / 60),
		"direction": string(c.Direction), "create_local": on(c.CreateLocal), "create_remote": on(c.CreateRemote), "on_remote_delete": string(c.OnRemoteDelete),
		"delete_remote": on(c.DeleteRemote), "strategy": string(c.Strategy), "max_delete": number(c.Guards.MaxDelete * 100), "max_change": number(c.Guards.MaxChange * 100),
		"path_metadata": c.Paths.Metadata, "path_battery": c.Paths.Battery, "path_location": c.Paths.Location,
		"requests_per_minute": strconv.Itoa(c.RequestsPerMinute), "concurrency": strconv.Itoa(c.Concurrency), "state_reads": strconv.Itoa(c.StateReads),
		"online_window": number(float64(c.OnlineWindow) / 60), "gateway_psk": on(c.GatewayPSK), "filter_name": c.Filters.Name, "filter_tags": strings.Join(c.Filters.Tags, ", "),
		"filter_blueprint": c.Filters.Blueprint, "filter_cohort": c.Filters.Cohort}
	if !slices.ContainsFunc(intervals, func(o part.Option) bool { return o.Value == d["interval"] }) {
		d["interval"] = "custom"
	}
	for _, f := range shared() {
		d["strategy."+f.String()] = string(c.FieldStrategies[f.String()])
	}
	for _, f := range fields() {
		d["field."+f.String()] = on(c.Fields.Has(f))
	}
	return d
}

func on(yes bool) string {
	if yes {
		return "on"
	}
	return ""
}

// number writes a number without a tail of digits that nobody typed.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64) }

// part keeps a tab's settings alone.
func (d draft) part(t tab) draft {
	kept := draft{}
	for _, i := range t.Items {
		kept[i.Name] = d[i.Name]
	}
	return kept
}

// text writes a draft to be carried by a form.
func (d draft) text() string {
	text, err := json.Marshal(d)
	if err != nil {
		return "{}" // texts always can be
	}
	return string(text)
}

// wrong says what is wrong with a form, by field; "" for what is about none.
type wrong map[string]string

// edit makes an edit of a tab's settings, and says what cannot be read.
func (d draft) edit(t tab) (registry.ServiceEdit, wrong) {
	w := wrong{}
	var e registry.ServiceEdit
	switch t.Name {
	case "connection":
		name := d["name"]
		e.Name = &name
		e.Config = func(c *tandem.ServiceConfig) { c.Project, c.BaseURL = d["project"], d["base_url"] }
	case "sync":
		d.editSync(&e, w)
	case "fields":
		e.Config = func(c *tandem.ServiceConfig) {
			c.Fields = tandem.NoFields
			for _, f := range fields() {
				if d["field."+f.String()] != "" {
					c.Fields = c.Fields.With(f)
				}
			}
			c.Paths = tandem.Paths{Metadata: d["path_metadata"], Battery: d["path_battery"], Location: d["path_location"]}
		}
	case "advanced":
		d.editAdvanced(&e, w)
	}
	return e, w
}

func (d draft) editSync(e *registry.ServiceEdit, w wrong) {
	enabled := d["sync_enabled"] != ""
	seconds := w.whole(d, "interval")
	if d["interval"] == "custom" {
		delete(w, "interval")
		seconds = int(math.Round(w.float(d, "interval_minutes") * 60))
	}
	e.SyncEnabled, e.SyncInterval = &enabled, &seconds
	guards := tandem.Guards{MaxDelete: w.float(d, "max_delete") / 100, MaxChange: w.float(d, "max_change") / 100}
	e.Config = func(c *tandem.ServiceConfig) {
		c.Direction, c.Strategy, c.OnRemoteDelete = tandem.Direction(d["direction"]), tandem.Strategy(d["strategy"]), tandem.OnRemoteDelete(d["on_remote_delete"])
		c.CreateLocal, c.CreateRemote, c.DeleteRemote = d["create_local"] != "", d["create_remote"] != "", d["delete_remote"] != ""
		c.Guards = guards
		if c.FieldStrategies == nil {
			c.FieldStrategies = map[string]tandem.Strategy{}
		}
		for _, f := range shared() {
			if s := d["strategy."+f.String()]; s != "" {
				c.FieldStrategies[f.String()] = tandem.Strategy(s)
			} else {
				delete(c.FieldStrategies, f.String())
			}
		}
		if len(c.FieldStrategies) == 0 {
			c.FieldStrategies = nil
		}
	}
}

func (d draft) editAdvanced(e *registry.ServiceEdit, w wrong) {
	perMinute, concurrency, reads := w.whole(d, "requests_per_minute"), w.whole(d, "concurrency"), w.whole(d, "state_reads")
	window := int(math.Round(w.float(d, "online_window") * 60))
	e.Config = func(c *tandem.ServiceConfig) {
		c.RequestsPerMinute, c.Concurrency, c.StateReads, c.OnlineWindow, c.GatewayPSK = perMinute, concurrency, reads, window, d["gateway_psk"] != ""
		c.Filters = tandem.Filters{Name: d["filter_name"], Tags: listed(d["filter_tags"]), Blueprint: d["filter_blueprint"], Cohort: d["filter_cohort"]}
	}
}

func (w wrong) whole(d draft, name string) int {
	n, err := strconv.Atoi(d[name])
	if err != nil {
		w[name] = "Give a whole number."
	}
	return n
}

func (w wrong) float(d draft, name string) float64 {
	n, err := strconv.ParseFloat(strings.Replace(d[name], ",", ".", 1), 64)
	if err != nil || math.IsNaN(n) || math.Abs(n) > 1e8 {
		w[name] = "Give a number."
		return 0
	}
	return n
}

// listed reads a list with commas.
func listed(text string) []string {
	var list []string
	for _, one := range strings.Split(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			list = append(list, one)
		}
	}
	return list
}

// words are what the registry calls a setting, with the form's name for it and for people.
var words = []struct{ registry, name, label string }{
	{"name", "name", "The name"}, {"project", "project", "The project"}, {"base-url", "base_url", "The base URL"}, {"interval", "interval", "The interval"},
	{"direction", "direction", "The direction"}, {"on-remote-delete", "on_remote_delete", "This"}, {"max-delete", "max_delete", "The guard"}, {"max-change", "max_change", "The guard"},
	{"requests-per-minute", "requests_per_minute", "This"}, {"concurrency", "concurrency", "This"}, {"state-reads", "state_reads", "This"}, {"online-window", "online_window", "The window"},
	{"metadata path", "path_metadata", "The path"}, {"battery path", "path_battery", "The path"}, {"location path", "path_location", "The path"}, {"filter-name", "filter_name", "The pattern"},
	{"api key", "api_key", "The API key"}, {"webhook header", "header", "The header"}, {"webhook secret", "scheme", "The secret"},
}

// refusals puts what the registry says is wrong beside the fields that it is about.
func refusals(message string, w wrong) {
	last := ""
	for _, piece := range strings.Split(message, "; ") {
		at := ""
		for _, word := range words {
			rest, ok := strings.CutPrefix(piece, word.registry+" ")
			if ok {
				at, piece = word.name, word.label+" "+rest
				break
			}
		}
		if at == "" {
			at = last
		}
		if w[at] != "" {
			w[at] += "; "
		}
		w[at] += piece
		last = at
	}
}
