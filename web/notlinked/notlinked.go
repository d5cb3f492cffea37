package notlinked

import (
	"net/url"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// rows is how many a page of the list has.
const rows = 50

// The sides of the list.
const (
	there = "remote" // on the service and not here
	here  = "local"  // here and not on the service
)

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /not-linked", list)
	s.Handle("POST /not-linked/import", importRemote)
	s.Handle("POST /not-linked/create", create)
	s.Handle("POST /not-linked/ignore", ignore)
	s.Handle("GET /not-linked/link", chooser)
	s.Handle("POST /not-linked/link", link)
}

// listing is the list as it is shown.
type listing struct {
	c        *shell.Call
	l        part.Listing
	services []tandem.Service
	service  tandem.Service
	side     string
	remote   []tandem.NotLinked
	local    []tandem.DeviceRow
	counts   map[string]int           // how many each side has, without filters
	devices  map[string]tandem.Device // that ambiguous ones may be
	at       string                   // the query of the page
}

func list(c *shell.Call) error {
	v := listing{c: c, l: part.NewListing(c.Path("not-linked"), c.R.URL.Query(), rows), side: sideOf(c.Query("side")), counts: map[string]int{}}
	var err error
	if v.services, err = c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID); err != nil {
		return err
	}
	if len(v.services) > 0 {
		if v.service, err = chosen(c, v.services, c.Query("service")); err != nil {
			return err
		}
		if err := v.read(); err != nil {
			return err
		}
	}
	v.at = v.l.Query.Encode()
	if c.Query("part") == "list" {
		return c.Part(listPart(v))
	}
	return c.Page(frame(), listPage(v))
}

func frame() shell.Frame {
	return shell.Frame{Title: "Not linked", Section: shell.NotLinked}
}

func sideOf(text string) string {
	if text == here {
		return here
	}
	return there
}

// chosen gives the service that an address names, else the first that works.
func chosen(c *shell.Call, services []tandem.Service, ref string) (tandem.Service, error) {
	for _, s := range services {
		if s.ID == ref || ref == "" && s.IsActive {
			return s, nil
		}
	}
	if ref == "" {
		return services[0], nil
	}
	return tandem.Service{}, tandem.Errorf(tandem.NotFound, "find service", ref, "there is no such service").WithHint("it may have been deleted; choose another")
}

// read reads the page of the chosen side, and how many each side has.
func (v *listing) read() error {
	ctx, c := v.c.R.Context(), v.c
	page := tandem.Page{Number: v.l.Page, Limit: rows}
	one := tandem.Page{Limit: 1}
	var err error
	if v.side == there {
		if _, v.counts[here], err = c.Registry().Devices(ctx, c.Actor, c.Org.ID, tandem.DeviceFilter{ServiceID: v.service.ID, NotLinked: true, Page: one}); err != nil {
			return err
		}
		filter := remoteFilter(v.l.Query)
		filter.Sort, filter.Page = v.l.Sort, page
		if v.remote, v.l.Total, err = c.Registry().NotLinked(ctx, c.Actor, c.Org.ID, v.service.ID, filter); err != nil {
			return err
		}
		if v.counts[there] = v.l.Total; v.filtered() {
			_, v.counts[there], err = c.Registry().NotLinked(ctx, c.Actor, c.Org.ID, v.service.ID, tandem.NotLinkedFilter{Page: one})
		}
		if err != nil {
			return err
		}
		return v.nameCandidates()
	}
	if _, v.counts[there], err = c.Registry().NotLinked(ctx, c.Actor, c.Org.ID, v.service.ID, tandem.NotLinkedFilter{Page: one}); err != nil {
		return err
	}
	filter := localFilter(v.service.ID, v.l.Query)
	filter.Sort, filter.Page = v.l.Sort, page
	if v.local, v.l.Total, err = c.Registry().Devices(ctx, c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	if v.counts[here] = v.l.Total; v.filtered() {
		_, v.counts[here], err = c.Registry().Devices(ctx, c.Actor, c.Org.ID, tandem.DeviceFilter{ServiceID: v.service.ID, NotLinked: true, Page: one})
	}
	return err
}

func (v *listing) filtered() bool { return v.l.Filtered("search", "reason", "page") }

// remoteFilter reads which of the remote ones are meant.
func remoteFilter(q url.Values) tandem.NotLinkedFilter {
	f := tandem.NotLinkedFilter{Search: q.Get("search"), Reason: q.Get("reason")}
	if f.Reason == ignored { // whatever the reason was before
		f.Reason, f.OnlyIgnored = "", true
	}
	return f
}

// localFilter reads which of the local ones are meant: those that were never linked, or those that were unlinked.
func localFilter(service string, q url.Values) tandem.DeviceFilter {
	f := tandem.DeviceFilter{ServiceID: service, Search: q.Get("search"), NotLinked: true}
	if q.Get("reason") == unlinked {
		f.NotLinked, f.SyncStatus = false, tandem.SyncUnlinked
	}
	return f
}

// nameCandidates reads the devices that ambiguous ones may be.
func (v *listing) nameCandidates() error {
	v.devices = map[string]tandem.Device{}
	var ids []string
	for _, r := range v.remote {
		ids = append(ids, r.Candidates...)
	}
	if len(ids) == 0 {
		return nil
	}
	found, _, err := v.c.Registry().Devices(v.c.R.Context(), v.c.Actor, v.c.Org.ID, tandem.DeviceFilter{IDs: ids, Page: tandem.Page{Limit: 1000}})
	for i := range found {
		v.devices[found[i].ID] = found[i].Device
	}
	return err
}

// Reasons why something is not linked.
const (
	ignored  = "ignored"
	unlinked = "unlinked"
)

func (v *listing) reasons() []part.Option {
	if v.side == here {
		return []part.Option{{Label: "Never linked"}, {Value: unlinked, Label: "Unlinked"}}
	}
	return []part.Option{{Label: "Every reason"}, {Value: "not_imported", Label: "Not imported"}, {Value: "filtered", Label: "Left out by filters"},
		{Value: "ambiguous", Label: "May be several devices"}, {Value: ignored, Label: "Ignored"}}
}

// reasonText says why a remote device is not here.
func reasonText(n *tandem.NotLinked) string {
	switch {
	case n.Ignored:
		return "ignored"
	case n.Reason == "filtered":
		return "left out by the import filters"
	case n.Reason == "ambiguous":
		return "may be " + part.Count(len(n.Candidates), "device", "devices") + " here"
	case n.Reason == unlinked:
		return "was unlinked"
	}
	return "not imported"
}

// may says what the person may do here.
func (v *listing) may() (imports, links, creates bool) {
	return v.c.May(registry.CreateDevices), v.c.May(registry.UpdateDevices), v.c.May(registry.StartRuns)
}

// acts says whether rows of this side can be selected for anything.
func (v *listing) acts() bool {
	imports, links, creates := v.may()
	return v.side == there && (imports || links) || v.side == here && creates && v.l.Query.Get("reason") == ""
}

// sidePath is the list of a side of the service.
func (v *listing) sidePath(side string) string {
	q := url.Values{"side": {side}, "service": {v.service.ID}}
	return v.l.Path + "?" + q.Encode()
}

// linkPath opens the search for the other side of one.
func (v *listing) linkPath(key, id string) string {
	q := url.Values{"service": {v.service.ID}, key: {id}, "at": {v.at}}
	return v.c.Path("not-linked", "link") + "?" + q.Encode()
}

// back is where a browser without the script goes on after an action.
func back(c *shell.Call, at string) string {
	q, err := url.ParseQuery(at)
	if err != nil || len(q) == 0 {
		return c.Path("not-linked")
	}
	return c.Path("not-linked") + "?" + q.Encode()
}
