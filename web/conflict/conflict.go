package conflict

import (
	"net/url"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// rows is how many a page of the inbox has.
const rows = 50

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /conflicts", list)
	s.Handle("GET /conflicts/{id}", show)
	s.Handle("GET /conflicts/{id}/edit", edit)
	s.Handle("GET /conflicts/{id}/link", link)
	s.Handle("POST /conflicts/{id}/settle", settle)
	s.Handle("GET /conflicts/settle", preview)
	s.Handle("POST /conflicts/settle", settleMany)
}

// inbox is the list as it is shown.
type inbox struct {
	around
	l         part.Listing
	conflicts []tandem.Conflict
	groups    []tandem.ConflictGroup // of the open ones that the filter names
	fields    []part.Option          // to filter by
}

// around is what the rows need beside the conflicts.
type around struct {
	c        *shell.Call
	services map[string]tandem.Service
	devices  map[string]tandem.Device // that ambiguous matches may mean, by id
	editors  map[string]string        // who edited the local value last, by the conflict's id
	at       string                   // the query of the page that they stand on
}

// may says whether the person settles.
func (a around) may() bool { return a.c.May(registry.SettleConflicts) }

func (a around) service(id string) string {
	if s, ok := a.services[id]; ok {
		return s.Name
	}
	return "a service that is gone"
}

// filterOf reads which conflicts an address or a form names.
func filterOf(q url.Values) tandem.ConflictFilter {
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	f := tandem.ConflictFilter{ServiceID: get("service"), Field: tandem.Path(get("field")), Type: tandem.ConflictType(get("type")), Search: get("search")}
	if device := get("device"); device != "" {
		f.DeviceIDs = []string{device}
	}
	return f
}

// filterKeys are the values of an address that filterOf reads.
var filterKeys = []string{"service", "field", "type", "search", "device"}

func list(c *shell.Call) error {
	q := c.R.URL.Query()
	v := inbox{l: part.NewListing(c.Path("conflicts"), q, rows)}
	filter := filterOf(q)
	var err error
	if v.groups, err = c.Registry().ConflictGroups(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	filter.Status, filter.All = tandem.ResolutionStatus(q.Get("status")), q.Get("status") == "all"
	if filter.All {
		filter.Status = ""
	}
	filter.Sort, filter.Page = q.Get("sort"), tandem.Page{Number: v.l.Page, Limit: rows}
	if v.conflicts, v.l.Total, err = c.Registry().Conflicts(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	if v.around, err = lookAround(c, v.conflicts); err != nil {
		return err
	}
	v.at = v.l.Query.Encode()
	if c.Query("part") == "inbox" {
		return c.Part(inboxPart(v))
	}
	if v.fields, err = fieldOptions(c, q.Get("field")); err != nil {
		return err
	}
	return c.Page(frame("Conflicts"), inboxPage(v))
}

func frame(title string) shell.Frame {
	return shell.Frame{Title: title, Section: shell.Conflicts, Scripts: []string{"conflict.js"}}
}

// lookAround reads what the rows of conflicts need: their services, the devices that they may mean, and who edited them.
func lookAround(c *shell.Call, conflicts []tandem.Conflict) (around, error) {
	a := around{c: c, services: map[string]tandem.Service{}, devices: map[string]tandem.Device{}}
	if c.May(registry.ReadServices) {
		services, err := c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID)
		if err != nil {
			return a, err
		}
		for _, s := range services {
			a.services[s.ID] = s
		}
	}
	var err error
	if a.editors, err = c.Registry().ConflictEditors(c.R.Context(), c.Actor, c.Org.ID, conflicts); err != nil {
		return a, err
	}
	var ids []string
	for i := range conflicts {
		ids = append(ids, candidatesOf(&conflicts[i])...)
	}
	if len(ids) == 0 || !c.May(registry.ReadDevices) {
		return a, nil
	}
	found, _, err := c.Registry().Devices(c.R.Context(), c.Actor, c.Org.ID, tandem.DeviceFilter{IDs: ids, Page: tandem.Page{Limit: 1000}})
	for i := range found {
		a.devices[found[i].ID] = found[i].Device
	}
	return a, err
}

// fieldOptions are the fields that open conflicts are about.
func fieldOptions(c *shell.Call, chosen string) ([]part.Option, error) {
	groups, err := c.Registry().ConflictGroups(c.R.Context(), c.Actor, c.Org.ID, tandem.ConflictFilter{})
	options, known := []part.Option{{Label: "Every field"}}, map[string]bool{"": true}
	add := func(field string) {
		if !known[field] {
			known[field] = true
			options = append(options, part.Option{Value: field, Label: field})
		}
	}
	for _, g := range groups {
		add(string(g.Field))
	}
	add(chosen)
	return options, err
}

// The choices of the filter.
var (
	statuses = []part.Option{{Value: "", Label: "Open"}, {Value: string(tandem.ConflictResolved), Label: "Settled by a person"},
		{Value: string(tandem.ConflictIgnored), Label: "Ignored"}, {Value: string(tandem.ConflictAutoResolved), Label: "Settled by a rule"},
		{Value: string(tandem.ConflictConverged), Label: "Ended by themselves"}, {Value: string(tandem.ConflictSuperseded), Label: "Device or field gone"},
		{Value: "all", Label: "Open and settled"}}
	sorts = []part.Option{{Value: "", Label: "Newest first"}, {Value: "created_at", Label: "Oldest first"}, {Value: "field_name", Label: "By field"},
		{Value: "conflict_type", Label: "By kind"}}
)

func typeOptions() []part.Option {
	options := []part.Option{{Label: "Every kind"}}
	for _, t := range types {
		options = append(options, part.Option{Value: string(t), Label: part.Sentence(part.ConflictText(t))})
	}
	return options
}

func (a around) serviceOptions() []part.Option {
	options := []part.Option{{Label: "Every service"}}
	all := make([]tandem.Service, 0, len(a.services))
	for _, s := range a.services {
		all = append(all, s)
	}
	_ = tandem.ServiceOrder.Sort(all, "name") // a key that it has
	for _, s := range all {
		options = append(options, part.Option{Value: s.ID, Label: s.Name})
	}
	return options
}

// back is where a browser without the script goes on after an action: the page that the action was on.
func back(c *shell.Call) string {
	q, err := url.ParseQuery(c.R.PostForm.Get("at"))
	if err != nil || len(q) == 0 {
		return c.Path("conflicts")
	}
	return c.Path("conflicts") + "?" + q.Encode()
}
