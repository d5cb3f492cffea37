package device

import (
	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// foundRows is how many remote devices a search shows.
const foundRows = 20

// linking is a device that is to be linked to one on a service.
type linking struct {
	p        *page
	services []tandem.Service // on which it has no link
	service  tandem.Service
	search   string
	found    []tandem.NotLinked
	total    int
	proposal pair
	typed    string
	Wrong    string
}

// linkPage searches what is not linked on a service.
func linkPage(c *shell.Call) error {
	if !c.May(registry.UpdateDevices) {
		return notAllowed("link devices")
	}
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	l := linking{p: p, search: c.Query("search")}
	if err := l.read(c.Query("service")); err != nil {
		return err
	}
	switch {
	case c.Query("part") == "found":
		return c.Part(foundList(l))
	case c.Partial():
		return c.Part(linkDialog(l))
	}
	return l.page()
}

func (l linking) page() error {
	return l.p.c.Page(shell.Frame{Title: "Link " + l.p.d.Name, Section: shell.Devices}, linkWhole(l))
}

// read finds the services to choose from and, on the chosen one, what fits the search.
func (l *linking) read(service string) error {
	c, on := l.p.c, map[string]bool{}
	for _, a := range l.p.linked() {
		on[a.ServiceID] = true
	}
	all, err := services(c)
	if err != nil {
		return err
	}
	for _, s := range all {
		if !on[s.ID] {
			l.services = append(l.services, s)
		}
	}
	for i, s := range l.services {
		if i == 0 || s.ID == service {
			l.service = s
		}
	}
	if l.service.ID == "" {
		return nil
	}
	l.found, l.total, err = c.Registry().NotLinked(c.R.Context(), c.Actor, c.Org.ID, l.service.ID, tandem.NotLinkedFilter{Search: l.search, Ignored: true, Page: tandem.Page{Number: 1, Limit: foundRows}})
	if err != nil || l.search != "" {
		return err
	}
	l.proposal, err = proposalFor(c, &l.p.d, l.service)
	return err
}

// linkTo links the device by a person's word.
func linkTo(c *shell.Call) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	external := c.Form("external")
	if external == "" {
		external = c.Form("typed")
	}
	if external != "" {
		_, _, err = c.Registry().Link(c.R.Context(), c.Actor, c.Org.ID, c.Form("service"), p.d.ID, external)
	} else {
		err = tandem.Errorf(tandem.Invalid, "link device", p.d.Name, "no remote device was chosen").WithHint("choose one of the list, or type its ID")
	}
	if err == nil {
		return c.Done(p.d.Name+" is linked to "+external+" on "+p.serviceName(c.Form("service"))+"; a sync now compares the two.", p.path(), "device-here", "sides", "close-dialogs")
	}
	if !tandem.Is(err, tandem.Invalid, tandem.NotFound, tandem.Exists) || c.Form("external") != "" && c.Partial() {
		return err
	}
	l := linking{p: p, search: c.Form("search"), typed: c.Form("typed"), Wrong: reason(err)}
	if err := l.read(c.Form("service")); err != nil {
		return err
	}
	return c.Invalid(linkForm1(l), l.page)
}

// unlink keeps both devices and stops syncing them.
func unlink(c *shell.Call) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	if _, err := c.Registry().Unlink(c.R.Context(), c.Actor, c.Org.ID, c.Form("service"), p.d.ID); err != nil {
		return err
	}
	return c.Done(p.d.Name+" is unlinked from "+p.serviceName(c.Form("service"))+". It can be linked again at any time.", p.path(), "device-here", "sides")
}

// proposalFor gives the one remote device that a device seems to be.
func proposalFor(c *shell.Call, d *tandem.DeviceRow, service tandem.Service) (pair, error) {
	m := many{c: c, services: []tandem.Service{service}}
	known, err := m.remoteOf(c.R.Context(), service.ID, mostRemote)
	if err != nil {
		return pair{}, err
	}
	return m.proposal(d, service.ID, known), nil
}

// more says how many fit beyond those shown.
func (l linking) more() string {
	if l.total <= len(l.found) {
		return ""
	}
	return part.Number(l.total-len(l.found)) + " more fit; search for a longer part of the name."
}
