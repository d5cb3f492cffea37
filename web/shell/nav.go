package shell

import (
	"encoding/json"

	"tandem"
	"tandem/registry"
)

// Section is an entry of the navigation.
type Section string

// The sections.
const (
	Overview     Section = "overview"
	Devices      Section = "devices"
	Integrations Section = "integrations"
	NotLinked    Section = "not-linked"
	Sync         Section = "sync"
	History      Section = "history"
	Conflicts    Section = "conflicts"
	Deliveries   Section = "deliveries"
	Alerts       Section = "alerts"
	Settings     Section = "settings"
)

// entry is a line of the navigation.
type entry struct {
	Section Section
	Label   string
	Icon    string
	Needs   registry.Permission // "" for everybody
}

// navigation lists the sections in the order in which they stand.
var navigation = []entry{
	{Overview, "Overview", "home", registry.ReadDevices},
	{Devices, "Devices", "devices", registry.ReadDevices},
	{Conflicts, "Conflicts", "arrows-exchange", registry.ReadConflicts},
	{Sync, "Sync", "refresh", registry.ReadServices},
	{History, "History", "history", registry.ReadRuns},
	{NotLinked, "Not linked", "unlink", registry.ReadDevices},
	{Integrations, "Integrations", "plug-connected", registry.ReadServices},
	{Deliveries, "Deliveries", "webhook", registry.ReadDeliveries},
	{Alerts, "Alerts", "bell", registry.ReadAlerts},
	{Settings, "Settings", "settings", ""},
}

// view is what the frame shows.
type view struct {
	Frame
	Call   *Call
	Toasts []toast
	Counts tandem.OpenCounts
}

// entries gives what the person may open.
func (v view) entries() []entry {
	var shown []entry
	for _, e := range navigation {
		if v.Call.Org.ID != "" && (e.Needs == "" || v.Call.May(e.Needs)) {
			shown = append(shown, e)
		}
	}
	return shown
}

// href gives a section's address.
func (v view) href(s Section) string {
	if s == Overview {
		return v.Call.Path()
	}
	return v.Call.Path(string(s))
}

// count gives what waits in a section.
func (v view) count(s Section) int {
	switch s {
	case Conflicts:
		return v.Counts.Conflicts
	case Alerts:
		return v.Counts.Alerts
	case Deliveries:
		return v.Counts.DeadDeliveries
	}
	return 0
}

// streamHeaders has the page's live stream begin where the page was made.
func (v view) streamHeaders() string {
	if v.Call.place == "" {
		return "{}"
	}
	text, err := json.Marshal(map[string]string{"Last-Event-ID": v.Call.place})
	if err != nil {
		return "{}" // a text always can be written
	}
	return string(text)
}

// RegisterFrame registers what the frame itself asks for, and where people without a page in mind are led.
func (s *Site) RegisterFrame() {
	s.Handle("GET /nav", func(c *Call) error {
		counts, err := c.Registry().OpenCounts(c.R.Context(), c.Actor, c.Org.ID)
		if err != nil {
			return err
		}
		return c.Part(badges(view{Frame: Frame{Section: Section(c.Query("at"))}, Call: c, Counts: counts}))
	})
	s.HandlePerson("GET /{$}", func(c *Call) error {
		if c.Org.ID == "" {
			return c.page(200, Frame{Title: "No organization yet"}, noOrganization(c))
		}
		return c.Go(c.Path())
	})
	s.HandlePerson("GET /alerts/{id}", func(c *Call) error {
		for _, b := range c.Orgs {
			_, err := c.Registry().Alert(c.R.Context(), c.Actor, b.Organization.ID, c.Value("id"))
			if err == nil {
				c.Org = b.Organization
				return c.Go(c.Path("alerts", c.Value("id")))
			}
			if !tandem.Is(err, tandem.NotFound) && !tandem.Is(err, tandem.Forbidden) {
				return err
			}
		}
		return tandem.Errorf(tandem.NotFound, "find alert", c.Value("id"), "there is no such alert").WithHint("it may be older than alerts are kept")
	})
	s.HandlePerson("GET /", func(c *Call) error {
		return tandem.Errorf(tandem.NotFound, "find page", "", "there is no page at this address").WithHint("the navigation has all that there is")
	})
}
