package alert

import (
	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// rows is how many a page of the list has.
const rows = 50

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /alerts", list)
	s.Handle("GET /alerts/{id}", show)
	s.Handle("POST /alerts/{id}/acknowledge", acknowledge)
	s.Handle("POST /alerts/{id}/resolve", resolve)
}

// listing is the list as it is shown.
type listing struct {
	c        *shell.Call
	l        part.Listing
	alerts   []tandem.Alert
	services map[string]tandem.Service
}

func list(c *shell.Call) error {
	v := listing{c: c, l: part.NewListing(c.Path("alerts"), c.R.URL.Query(), rows)}
	filter := tandem.AlertFilter{Kind: tandem.AlertKind(c.Query("kind")), Status: tandem.AlertStatus(c.Query("status")), ServiceID: c.Query("service"),
		All: c.Query("status") == "all", Page: tandem.Page{Number: v.l.Page, Limit: rows}}
	if filter.All {
		filter.Status = ""
	}
	var err error
	if v.alerts, v.l.Total, err = c.Registry().Alerts(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	if v.services, err = servicesByID(c); err != nil {
		return err
	}
	if c.Query("part") == "list" {
		return c.Part(table(v))
	}
	return c.Page(shell.Frame{Title: "Alerts", Section: shell.Alerts}, listPage(v))
}

// servicesByID gives the organization's services, where the person may read them.
func servicesByID(c *shell.Call) (map[string]tandem.Service, error) {
	found := map[string]tandem.Service{}
	if !c.May(registry.ReadServices) {
		return found, nil
	}
	services, err := c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID)
	for _, s := range services {
		found[s.ID] = s
	}
	return found, err
}

func show(c *shell.Call) error {
	a, err := c.Registry().Alert(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	services, err := servicesByID(c)
	if err != nil {
		return err
	}
	if c.Query("part") == "alert" {
		return c.Part(card(c, a, services[a.ServiceID]))
	}
	return c.Page(shell.Frame{Title: "Alert", Section: shell.Alerts}, showPage(c, a, services[a.ServiceID]))
}

func acknowledge(c *shell.Call) error {
	a, err := c.Registry().AcknowledgeAlert(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	return c.Done("Acknowledged: nobody else is called about it.", c.Path("alerts", a.ID), "alerts")
}

func resolve(c *shell.Call) error {
	a, err := c.Registry().ResolveAlert(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	return c.Done("Resolved. It is raised again if it happens again.", c.Path("alerts", a.ID), "alerts")
}

// statuses are the filter's choices.
var statuses = []part.Option{{Value: "", Label: "Open"}, {Value: "raised", Label: "Raised"}, {Value: "acknowledged", Label: "Acknowledged"}, {Value: "resolved", Label: "Resolved"}, {Value: "all", Label: "All"}}
