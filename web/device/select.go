package device

import (
	"context"
	"net/url"
	"slices"

	"tandem"
	"tandem/web/part"
	"tandem/web/shell"
)

// batch is how many devices one call of the registry is about.
const batch = 1000

// selection is which devices something is done to.
type selection struct {
	All   bool
	Query string   // with All: what filters, as in the list's address
	IDs   []string // otherwise
	Count int
}

// selected reads a selection from a form.
func selected(c *shell.Call) (selection, error) {
	s := selection{All: c.Form("all") == "on", Query: c.Form("query")}
	if !s.All {
		s.IDs = slices.Compact(slices.Sorted(slices.Values(c.Texts("id"))))
		s.Count = len(s.IDs)
		switch {
		case s.Count == 0:
			return s, tandem.Errorf(tandem.Invalid, "select devices", "", "no device is selected").WithHint("mark some in the list first")
		case s.Count > batch:
			return s, tandem.Errorf(tandem.Invalid, "select devices", "", "%d devices are selected one by one, at most %d can be", s.Count, batch).WithHint("find them by a filter, and take all that it finds")
		}
		return s, nil
	}
	filter := s.filter()
	filter.Page = tandem.Page{Number: 1, Limit: 1}
	_, total, err := c.Registry().Devices(c.R.Context(), c.Actor, c.Org.ID, filter)
	s.Count = total
	return s, err
}

// filter gives what finds the devices.
func (s selection) filter() tandem.DeviceFilter {
	if !s.All {
		return tandem.DeviceFilter{IDs: s.IDs}
	}
	q, err := url.ParseQuery(s.Query)
	if err != nil {
		q = url.Values{}
	}
	return filterOf(q)
}

// text says how many they are.
func (s selection) text() string { return part.Count(s.Count, "device", "devices") }

// each reads the devices in batches. What is found is settled before the first is handed on, since what is done to
// devices may take them out of the filter: their ids are kept, nothing else.
func (s selection) each(ctx context.Context, c *shell.Call, most int, do func([]tandem.DeviceRow) error) error {
	ids, err := s.ids(ctx, c, most)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, batch) {
		found, _, err := c.Registry().Devices(ctx, c.Actor, c.Org.ID, tandem.DeviceFilter{IDs: some, Page: tandem.Page{Number: 1, Limit: batch}})
		if err != nil {
			return err
		}
		if err := do(found); err != nil {
			return err
		}
	}
	return nil
}

// ids gives the ids of the first ones, at most so many; 0 for all.
func (s selection) ids(ctx context.Context, c *shell.Call, most int) ([]string, error) {
	if !s.All {
		return s.IDs, nil
	}
	filter := s.filter()
	filter.Sort = "device_id"
	filter.Page = tandem.Page{Number: 1, Limit: batch}
	var ids []string
	seen := map[string]bool{}
	for ; ; filter.Page.Number++ {
		found, _, err := c.Registry().Devices(ctx, c.Actor, c.Org.ID, filter)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if id := found[i].ID; !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
		if len(found) < batch || most > 0 && len(ids) >= most {
			break
		}
	}
	if most > 0 && len(ids) > most {
		ids = ids[:most]
	}
	return ids, nil
}
