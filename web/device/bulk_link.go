package device

import (
	"context"
	"slices"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
)

// The bounds of linking by hand.
const (
	mostPairs  = 100     // devices in one form
	mostRemote = 10_000  // remote devices looked through for the proposals of a form
	everRemote = 500_000 // likewise for those of a page that says how far it is
)

// pair is a device with the remote one that it may be.
type pair struct {
	Device   tandem.Device
	External string // proposed, or as entered
	Linked   string // it is linked already, to this one
	Why      string
}

// linkMany proposes a remote device for each that is selected, and links them.
func (m many) linkMany() error {
	if len(m.services) == 1 && m.service().ID == "" {
		m.c.R.PostForm.Set("service", m.services[0].ID)
	}
	if m.Sel.Count > mostPairs {
		return m.linkCrowd()
	}
	if m.service().ID == "" {
		return m.reply(linkForm(m))
	}
	ctx := m.c.R.Context()
	var found []tandem.DeviceRow
	if err := m.Sel.each(ctx, m.c, mostPairs, func(some []tandem.DeviceRow) error { found = append(found, some...); return nil }); err != nil {
		return err
	}
	if m.c.Form("step") == stepApply {
		m.linkPairs(ctx, found)
		if m.Result.Looked > 0 {
			return m.finish()
		}
		m.Wrong = "No remote ID was given: there is nothing to link."
	}
	known, err := m.remoteOf(ctx, m.service().ID, mostRemote)
	if err != nil {
		return err
	}
	m.Beyond = known.beyond
	for i := range found {
		m.Pairs = append(m.Pairs, m.proposal(&found[i], m.service().ID, known))
	}
	return m.reply(linkForm(m))
}

// linkPairs links what was entered.
func (m *many) linkPairs(ctx context.Context, found []tandem.DeviceRow) {
	for i := range found {
		external := m.c.Form("to." + found[i].ID)
		if external == "" {
			continue
		}
		one := registry.DeviceResult{Ref: found[i].ID, Device: found[i].Device}
		if _, _, err := m.c.Registry().Link(ctx, m.c.Actor, m.c.Org.ID, m.service().ID, found[i].ID, external); err != nil {
			one.Error, one.Refusal = err, err.Error()
		}
		m.Result.add(one, true)
	}
}

// remote is what is not linked on a service, by what a device here may share with it.
type remote struct {
	byHardware, byName map[string][]string // external ids
	beyond             int                 // how many there are, where not all were looked through
}

// remoteOf reads what is not linked on the service, at most so many.
func (m many) remoteOf(ctx context.Context, service string, most int) (remote, error) {
	known := remote{byHardware: map[string][]string{}, byName: map[string][]string{}}
	for number := 1; ; number++ {
		if (number-1)*batch >= most {
			break
		}
		found, total, err := m.c.Registry().NotLinked(ctx, m.c.Actor, m.c.Org.ID, service, tandem.NotLinkedFilter{Ignored: true, Page: tandem.Page{Number: number, Limit: batch}})
		if err != nil {
			return known, err
		}
		for i := range found {
			name, id := strings.ToLower(found[i].Name), found[i].ExternalDeviceID
			known.byName[name] = append(known.byName[name], id)
			for _, hardware := range found[i].Device.HardwareIDs {
				hardware = strings.ToLower(hardware)
				known.byHardware[hardware] = append(known.byHardware[hardware], id)
			}
		}
		if len(found) < batch {
			break
		}
		if total > most {
			known.beyond = total
		}
	}
	return known, nil
}

// proposal finds the one remote device that has a device's hardware id, or else its name. Of several none is proposed.
func (m many) proposal(d *tandem.DeviceRow, service string, known remote) pair {
	p := pair{Device: d.Device, External: m.c.Form("to." + d.ID)}
	for _, a := range d.Assignments {
		if a.ServiceID == service && a.Status != tandem.SyncUnlinked {
			p.Linked, p.Why = a.ExternalDeviceID, "linked already"
			return p
		}
		if a.ServiceID == service && p.External == "" {
			p.External, p.Why = a.ExternalDeviceID, "linked before"
			return p
		}
	}
	var same []string
	for _, id := range d.HardwareIDs {
		same = append(same, known.byHardware[strings.ToLower(id)]...)
	}
	why := "same hardware ID"
	if len(same) == 0 {
		same, why = known.byName[strings.ToLower(d.Name)], "same name"
	}
	same = slices.Compact(slices.Sorted(slices.Values(same)))
	switch {
	case len(same) == 1:
		if p.External == "" {
			p.External = same[0]
		}
		p.Why = why
	case len(same) > 1:
		p.Why = part.Number(len(same)) + " fit: " + some(same, 3)
	default:
		p.Why = "nothing there fits"
	}
	return p
}

// proposed counts the pairs that have something to link.
func (m many) proposed() int {
	n := 0
	for _, p := range m.Pairs {
		if p.Linked == "" && p.External != "" {
			n++
		}
	}
	return n
}
