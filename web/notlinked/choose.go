package notlinked

import (
	"net/url"

	"tandem"
	"tandem/web/pick"
	"tandem/web/shell"
)

// choosing is the search for the other side of one that is not linked: of a remote device for one here, or the other way.
type choosing struct {
	c        *shell.Call
	service  tandem.Service
	external tandem.NotLinked // what is to be linked …
	device   tandem.Device    // … or this
	search   string           // as it was typed
	found    []tandem.DeviceRow
	remote   []tandem.NotLinked
	more     int
	suggests bool // found by name and hardware ids, not by a search
	at       string
}

// mostShown is how many remote devices are offered.
const mostShown = 8

func chooser(c *shell.Call) error {
	v := choosing{c: c, search: c.Query("search"), at: c.Query("at")}
	services, err := c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID)
	if err == nil && len(services) > 0 {
		v.service, err = chosen(c, services, c.Query("service"))
	}
	if err != nil {
		return err
	}
	if c.Query("device") != "" {
		err = v.forLocal(c.Query("device"))
	} else {
		err = v.forRemote(c.Query("external"))
	}
	if err != nil {
		return err
	}
	switch {
	case c.Query("part") == "found":
		return c.Part(foundPart(v))
	case c.Partial():
		return c.Part(dialog("Link", chooserForm(v)))
	}
	return c.Page(frame(), alone("Link", chooserForm(v)))
}

// forRemote finds devices here: of the search, or those that look like it.
func (v *choosing) forRemote(external string) error {
	c := v.c
	rows, _, err := c.Registry().NotLinked(c.R.Context(), c.Actor, c.Org.ID, v.service.ID, tandem.NotLinkedFilter{ExternalDeviceIDs: []string{external}, Ignored: true, Page: tandem.Page{Limit: 1}})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return tandem.Errorf(tandem.NotFound, "link", external, "it is not among those that are not linked any more").WithHint("somebody may have linked or imported it meanwhile")
	}
	v.external = rows[0]
	if v.search == "" {
		if v.found, err = v.alike(); err != nil || len(v.found) > 0 {
			v.suggests = true
			return err
		}
	}
	v.found, v.more, err = pick.Find(c, v.service.ID, v.search)
	return err
}

// alike gives the devices that the remote one may be: those that a run found, and those that share its name or a hardware id.
func (v *choosing) alike() (found []tandem.DeviceRow, err error) {
	known := map[string]bool{}
	add := func(filter tandem.DeviceFilter) error {
		filter.Page = tandem.Page{Limit: mostShown}
		some, _, err := v.c.Registry().Devices(v.c.R.Context(), v.c.Actor, v.c.Org.ID, filter)
		for _, one := range some {
			if !known[one.ID] && pick.LinkedTo(&one, v.service.ID) == "" && len(found) < mostShown {
				known[one.ID] = true
				found = append(found, one)
			}
		}
		return err
	}
	if len(v.external.Candidates) > 0 {
		if err := add(tandem.DeviceFilter{IDs: v.external.Candidates}); err != nil {
			return nil, err
		}
	}
	words := append([]string{v.external.Name}, v.external.Device.HardwareIDs...)
	for _, word := range words[:min(len(words), 4)] {
		if word == "" {
			continue
		}
		if err := add(tandem.DeviceFilter{Search: word}); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// forLocal finds remote devices for one here.
func (v *choosing) forLocal(id string) error {
	c := v.c
	var err error
	if v.device, err = c.Registry().Device(c.R.Context(), c.Actor, c.Org.ID, id); err != nil {
		return err
	}
	find := func(search string) (int, error) {
		var total int
		v.remote, total, err = c.Registry().NotLinked(c.R.Context(), c.Actor, c.Org.ID, v.service.ID, tandem.NotLinkedFilter{Search: search, Page: tandem.Page{Limit: mostShown}})
		v.more = total - len(v.remote)
		return total, err
	}
	if v.search == "" {
		for _, word := range []string{v.device.Name, v.device.DeviceID} {
			if n, err := find(word); err != nil || n > 0 {
				v.suggests = true
				return err
			}
		}
	}
	_, err = find(v.search)
	return err
}

// path is where the search goes.
func (v *choosing) path() string {
	q := url.Values{"part": {"found"}}
	return v.c.Path("not-linked", "link") + "?" + q.Encode()
}
