package delivery

import (
	"strconv"
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// How much the pages show.
const (
	rows    = 50
	rateFor = 3 * time.Hour
	// replayed bounds how many dead letters one click replays.
	replayed = 1000
)

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /deliveries", list)
	s.Handle("GET /deliveries/{id}", show)
	s.Handle("POST /deliveries/replay", replayMany)
	s.Handle("POST /deliveries/{id}/replay", replayOne)
}

// listing is the list as it is shown.
type listing struct {
	c          *shell.Call
	l          part.Listing
	deliveries []tandem.Delivery
	devices    map[string]tandem.Device // by the delivery's id; of linked ones
	services   []tandem.Service
	rate       []tandem.DeliveryBucket
	dead       int
	fit        int // devices that the filter's text finds, where they are more than are looked at
}

func list(c *shell.Call) error {
	ctx := c.R.Context()
	v := listing{c: c, l: part.NewListing(c.Path("deliveries"), c.R.URL.Query(), rows)}
	filter := tandem.DeliveryFilter{ServiceID: c.Query("service"), Status: tandem.DeliveryStatus(c.Query("status")), Type: c.Query("type"),
		Page: tandem.Page{Number: v.l.Page, Limit: rows}}
	var err error
	if filter.AboutAny, v.fit, err = about(c, c.Query("device")); err != nil {
		return err
	}
	if v.deliveries, v.l.Total, err = c.Registry().Deliveries(ctx, c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	v.l.CountedSome()
	if c.May(registry.ReadDevices) {
		if v.devices, err = c.Registry().DeliveryDevices(ctx, c.Actor, c.Org.ID, v.deliveries...); err != nil {
			return err
		}
	}
	open, err := c.Registry().OpenCounts(ctx, c.Actor, c.Org.ID)
	if err != nil {
		return err
	}
	v.dead = open.DeadDeliveries
	if c.May(registry.ReadServices) {
		if v.services, err = c.Registry().Services(ctx, c.Actor, c.Org.ID); err != nil {
			return err
		}
	}
	until := c.Now().Truncate(time.Minute).Add(time.Minute)
	if v.rate, err = c.Registry().DeliveryRate(ctx, c.Actor, c.Org.ID, filter.ServiceID, until.Add(-rateFor), until, time.Minute); err != nil {
		return err
	}
	if c.Query("part") == "list" {
		return c.Part(table(v))
	}
	return c.Page(shell.Frame{Title: "Deliveries", Section: shell.Deliveries, Scripts: []string{"uplot.js", "plot.js"}, Styles: []string{"uplot.css"}}, listPage(v))
}

// mostAbout is how many devices a text may stand for.
const mostAbout = 100

// about gives the remote devices that a text stands for: the one with this id, and those linked to the devices here in
// whose name or ids it is found. Where these are too many it also says how many.
func about(c *shell.Call, text string) (remote []string, many int, err error) {
	if text == "" {
		return nil, 0, nil
	}
	remote = []string{text}
	if !c.May(registry.ReadDevices) {
		return remote, 0, nil
	}
	found, total, err := c.Registry().Devices(c.R.Context(), c.Actor, c.Org.ID, tandem.DeviceFilter{Search: text, Sort: "name", Page: tandem.Page{Number: 1, Limit: mostAbout}})
	if err != nil {
		return nil, 0, err
	}
	for i := range found {
		for _, a := range found[i].Assignments {
			remote = append(remote, a.ExternalDeviceID)
		}
	}
	if total > mostAbout {
		many = total
	}
	return remote, many, nil
}

// one is a delivery as it is shown.
type one struct {
	c       *shell.Call
	d       tandem.Delivery
	device  tandem.Device // empty where none is linked
	service tandem.Service
}

func show(c *shell.Call) error {
	ctx := c.R.Context()
	v := one{c: c}
	var err error
	if v.d, err = c.Registry().Delivery(ctx, c.Actor, c.Org.ID, c.Value("id")); err != nil {
		return err
	}
	if c.May(registry.ReadServices) && v.d.ServiceID != "" {
		if v.service, err = c.Registry().Service(ctx, c.Actor, c.Org.ID, v.d.ServiceID); err != nil && !tandem.Is(err, tandem.NotFound) {
			return err
		}
	}
	if c.May(registry.ReadDevices) {
		devices, err := c.Registry().DeliveryDevices(ctx, c.Actor, c.Org.ID, v.d)
		if err != nil {
			return err
		}
		v.device = devices[v.d.ID]
	}
	if c.Query("part") == "delivery" {
		return c.Part(card(v))
	}
	return c.Page(shell.Frame{Title: "Delivery", Section: shell.Deliveries}, showPage(v))
}

func replayOne(c *shell.Call) error {
	n, err := c.Registry().ReplayDeliveries(c.R.Context(), c.Actor, c.Org.ID, []string{c.Value("id")})
	if err != nil {
		return err
	}
	if n == 0 {
		return tandem.Errorf(tandem.Stale, "replay delivery", c.Value("id"), "this delivery is not replayed: one that was refused never was authentic, and one that is under way comes through by itself")
	}
	return c.Done("It is processed again, right now.", c.Path("deliveries", c.Value("id")), "deliveries")
}

// replayMany replays what was selected, or all that are dead.
func replayMany(c *shell.Call) error {
	ids := c.Texts("id")
	if c.Form("all") == "dead" {
		dead, _, err := c.Registry().Deliveries(c.R.Context(), c.Actor, c.Org.ID, tandem.DeliveryFilter{Status: tandem.DeliveryDead, Page: tandem.Page{Limit: replayed}})
		if err != nil {
			return err
		}
		ids = nil
		for i := range dead {
			ids = append(ids, dead[i].ID)
		}
	}
	if len(ids) == 0 {
		return tandem.Errorf(tandem.Invalid, "replay deliveries", "", "nothing is selected").WithHint("select some first")
	}
	n, err := c.Registry().ReplayDeliveries(c.R.Context(), c.Actor, c.Org.ID, ids)
	if err != nil {
		return err
	}
	text := part.Count(n, "delivery is", "deliveries are") + " processed again."
	if n < len(ids) {
		text += " " + strconv.Itoa(len(ids)-n) + " were left: refused ones are never replayed."
	}
	return c.Done(text, c.Path("deliveries"), "deliveries")
}
