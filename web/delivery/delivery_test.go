package delivery_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"tandem"
	"tandem/api/client"
	"tandem/golioth/simulator"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// world is one whose service's webhook is connected.
type world struct {
	*webtest.World
	t   *testing.T
	row tandem.DeviceRow
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{World: webtest.Open(t, webtest.Devices(4), webtest.WithService(func(c *tandem.ServiceConfig) { c.Paths.Battery = "stream:sensor/battery" })), t: t}
	w.Import()
	w.row = w.Fleet()[0]
	_, err := w.API.ConnectWebhook(t.Context(), w.Org.ID, w.Service.ID, w.URL, false)
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// reported has the device report a charge, and gives the delivery that brought it, once it is processed.
func (w *world) reported(percent int) tandem.Delivery {
	w.t.Helper()
	w.must(w.Simulator.Report(webtest.Project, w.row.Assignments[0].ExternalDeviceID, simulator.Activity{Online: true, Battery: &percent}))
	var brought tandem.Delivery
	w.Wait("what the device reported", func() bool {
		for _, d := range w.newest(tandem.DeliveryProcessed, 1) {
			if strings.Contains(string(d.Body), strconv.Itoa(percent)) {
				brought = d
			}
		}
		return brought.ID != ""
	})
	return brought
}

// broken has the device send what cannot be read, n times, and gives the dead letters.
func (w *world) broken(n int) []tandem.Delivery {
	w.t.Helper()
	for i := range n {
		w.must(w.Simulator.Send(webtest.Project, w.row.Assignments[0].ExternalDeviceID, "/battery", "application/json", []byte(`{"battery": `+string(rune('a'+i)))))
	}
	return w.newest(tandem.DeliveryDead, n)
}

// newest waits for at least n deliveries with a status.
func (w *world) newest(status tandem.DeliveryStatus, n int) (found []tandem.Delivery) {
	w.t.Helper()
	w.Wait("deliveries that are "+string(status), func() bool {
		var err error
		found, _, err = w.API.Deliveries(w.t.Context(), w.Org.ID, tandem.DeliveryFilter{Status: status, Page: tandem.Page{Number: 1, Limit: 100}})
		return err == nil && len(found) >= n
	})
	return found
}

// again waits until a delivery was processed once more.
func (w *world) again(was tandem.Delivery) {
	w.t.Helper()
	w.Wait("a delivery that is processed again", func() bool {
		now, err := w.API.Delivery(w.t.Context(), w.Org.ID, was.ID)
		return err == nil && now.Status == was.Status && now.ProcessedAt != nil && (was.ProcessedAt == nil || now.ProcessedAt.After(*was.ProcessedAt))
	})
}

// died waits until a delivery was processed again, and died of something.
func (w *world) died(id, why string) {
	w.t.Helper()
	w.Wait("a dead letter: "+why, func() bool {
		now, err := w.API.Delivery(w.t.Context(), w.Org.ID, id)
		return err == nil && now.Status == tandem.DeliveryDead && strings.Contains(now.Error, why)
	})
}

// enable turns the service on or off, and waits until a dead letter tells that this counts: it is remembered for a while.
func (w *world) enable(id string, on bool, why string) {
	w.t.Helper()
	_, err := w.API.UpdateService(w.t.Context(), w.Org.ID, w.Service.ID, client.ServiceEdit{IsActive: &on})
	w.must(err)
	w.Wait("the service's switch", func() bool {
		now, err := w.API.Delivery(w.t.Context(), w.Org.ID, id)
		if err != nil || now.Status != tandem.DeliveryDead || strings.Contains(now.Error, why) {
			return err == nil && now.Status == tandem.DeliveryDead
		}
		_, err = w.API.ReplayDeliveries(w.t.Context(), w.Org.ID, []string{id})
		w.must(err)
		return false
	})
}

// TestLive: what a device sends shows without a reload, is found by its filters, and its page says what it brought.
func TestLive(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("deliveries")
	p.SeeIn("#live", "Live")
	d := w.reported(41)
	p.WaitFor("#delivery-" + d.ID)
	p.Choose("#status", "dead")
	p.See("No delivery fits")
	p.Choose("#status", "processed")
	p.WaitFor("#delivery-" + d.ID)
	p.SeeIn("#delivery-"+d.ID, w.row.Name)
	p.Fill("#device", "no-such-device")
	p.See("No delivery fits")
	p.Fill("#device", w.row.DeviceID)
	p.WaitFor("#delivery-" + d.ID)
	p.Fill("#device", "no-such-device")
	p.See("No delivery fits")
	p.Fill("#device", strings.ToUpper(w.row.Name[:len(w.row.Name)-1]))
	p.WaitFor("#delivery-" + d.ID)
	p.Fill("#device", "no-such-device")
	p.See("No delivery fits")
	p.Fill("#device", d.ExternalDeviceID)
	p.Click("#delivery-" + d.ID + " a")
	p.WaitPath(w.Path("deliveries/" + d.ID))
	p.SeeIn("#delivery pre", "41")
	p.SeeIn("#delivery", d.ExternalDeviceID)
	p.Click("#delivery dd a >> " + w.row.Name)
	p.WaitPath(w.Path("devices/" + w.row.ID))
	if got := w.Device(w.row.ID).Observed.BatteryLevel; got == nil || *got != 41 {
		t.Errorf("the API says that the charge is %v after %s %s %s", got, d.Type, d.Path, d.Body)
	}
}

// TestReplay: one is processed once more, with what it brought then.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.reported(63)
	p := w.Browser(t, webtest.Options{})
	p.Open("deliveries/" + d.ID)
	p.Click("#delivery button >> Replay")
	p.Told("processed again")
	w.again(d)
}

// TestReplayMany: what is selected is replayed, and all dead letters at once.
func TestReplayMany(t *testing.T) {
	t.Parallel()
	w := open(t)
	dead := w.broken(3)
	w.enable(dead[1].ID, false, "not active") // so that processing them again ends otherwise
	p := w.Browser(t, webtest.Options{})
	p.Open("deliveries?status=dead")
	p.WaitCount("#deliveries tr[id^=delivery-]", func(n int) bool { return n == 3 })
	p.Click("#delivery-" + dead[0].ID + " input[name=id]")
	p.Click("#delivery-" + dead[2].ID + " input[name=id]")
	p.SeeIn("#deliveries .selected-bar", "2 selected")
	p.Click("#deliveries .selected-bar button >> Replay")
	p.Told("2 deliveries are processed again.")
	w.died(dead[0].ID, "not active")
	w.died(dead[2].ID, "not active")
	w.enable(dead[1].ID, true, "not valid JSON")
	p.Open("deliveries")
	p.Click("button >> Replay the dead")
	p.Confirm(true)
	p.Told("3 deliveries are processed again.")
	for _, d := range dead {
		w.died(d.ID, "not valid JSON")
	}
}

// TestRights: who may not read deliveries is refused, and who may not replay them is not offered it.
func TestRights(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.reported(12)
	p := w.Browser(t, webtest.Options{As: w.Member(tandem.Operator)})
	p.Open("deliveries/" + d.ID)
	p.SeeIn("#delivery", "processed")
	p.WaitGone("#delivery button >> Replay")
	v := w.Browser(t, webtest.Options{As: w.Member(tandem.Viewer)})
	v.Allow(403, "/deliveries")
	v.Open("deliveries")
	v.See("Not allowed")
}
