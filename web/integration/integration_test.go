package integration_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"tandem"
	"tandem/api/client"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// world is an organization, with a service unless a test adds one itself.
type world struct {
	*webtest.World
	t *testing.T
}

func open(t *testing.T, options ...webtest.Option) *world {
	t.Helper()
	return &world{webtest.Open(t, append([]webtest.Option{webtest.WithService(nil)}, options...)...), t}
}

// settings opens a tab of the service.
func (w *world) settings(o webtest.Options, tab string) *webtest.Page {
	w.t.Helper()
	p := w.Browser(w.t, o)
	p.Open("integrations/" + w.Service.ID + "?tab=" + tab)
	return p
}

// stored reads the service again.
func (w *world) stored() client.Service {
	w.t.Helper()
	s, err := w.API.Service(w.t.Context(), w.Org.ID, w.Service.ID)
	w.must(err)
	return s
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// hides fails the test where the page holds a secret, in its text or anywhere else.
func hides(t *testing.T, p *webtest.Page, secret string) {
	t.Helper()
	var html string
	p.Eval("document.documentElement.outerHTML", &html)
	if strings.Contains(html, secret) {
		t.Errorf("%s holds a secret", p.Path())
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Import()
	w.AddService("second", webtest.OtherProject, nil)
	w.Each(t, func(t *testing.T, p *webtest.Page) {
		p.Open("integrations")
		p.See("second")
		p.Axe()
		p.Fits()
		p.Shot("integrations")
		p.Open("integrations/new")
		p.Axe()
		p.Fits()
		p.Shot("integration-new")
		for _, tab := range []string{"connection", "sync", "fields", "webhooks", "advanced"} {
			p.Open("integrations/" + w.Service.ID + "?tab=" + tab)
			p.WaitFor(".tabs [aria-current] >> " + tab)
			p.Axe()
			p.Fits()
			p.Named()
			p.Shot("integration-" + tab)
		}
	})
}

func TestAProjectIsTestedAndConnected(t *testing.T) {
	t.Parallel()
	w := &world{webtest.Open(t), t}
	p := w.Browser(t, webtest.Options{})
	p.Open("integrations")
	p.Click("main a >> Connect a project")
	p.WaitPath(w.Path("integrations/new"))
	p.Fill("label >> Name", "production")
	p.Fill("label >> Project", webtest.Project)
	p.Fill("label >> Base URL", w.RemoteURL)
	p.Fill("label >> API key", "not the key at all")
	p.Click("button >> Test")
	p.SeeIn("#tested", "does not answer as it should")
	p.Click("button >> Connect")
	p.See("Connect it although")
	p.SeeIn("#tested", "does not answer")
	if got := p.Value("label >> Name"); got != "production" {
		t.Errorf("the name that was typed is now %q", got)
	}
	hides(t, p, "not the key at all")
	key := webtest.Key(webtest.Project)
	p.Fill("label >> API key", key)
	p.Click("button >> Test")
	p.SeeIn("#tested", "First project")
	if all, err := w.API.Services(t.Context(), w.Org.ID); err != nil || len(all) != 0 {
		t.Fatalf("a test stored %d services, %v", len(all), err)
	}
	p.Click("button >> Connect")
	p.Told("is connected")
	p.WaitFor(".tabs [aria-current] >> Sync")
	hides(t, p, key)
	all, err := w.API.Services(t.Context(), w.Org.ID)
	w.must(err)
	if len(all) != 1 || all[0].Name != "production" || all[0].Config.Project != webtest.Project || all[0].SyncEnabled {
		t.Errorf("the service is %+v", all)
	}
	if _, _, err := w.API.TestService(t.Context(), w.Org.ID, "production"); err != nil {
		t.Errorf("its key is not the one that was typed: %v", err)
	}
	p.Open("integrations/" + all[0].ID + "?tab=connection")
	hides(t, p, key)
	p.Click("button >> Test") // with the stored key
	p.SeeIn("#tested", "First project")
	p.Fill("label >> Base URL", "http://127.0.0.1:1")
	p.Click("button >> Test")
	p.SeeIn("#tested", "needs the API key again")
}

func TestAConnectionIsRefusedBesideItsFields(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("integrations/new")
	p.Fill("label >> Name", "golioth") // taken
	p.Fill("label >> Project", webtest.EmptyProject)
	p.Fill("label >> Base URL", "ftp://example.com")
	p.Fill("label >> API key", webtest.Key(webtest.EmptyProject))
	p.Click("button >> Connect")
	p.SeeIn("#f-base_url-error", "does not begin with https://")
	p.Fill("label >> Base URL", w.RemoteURL)
	p.Fill("label >> API key", webtest.Key(webtest.EmptyProject))
	p.Click("button >> Connect")
	p.See("exists already")
	if got := p.Value("label >> Project"); got != webtest.EmptyProject {
		t.Errorf("the project that was typed is now %q", got)
	}
}

func TestTheIntervalIsChanged(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.settings(webtest.Options{}, "sync")
	p.Click("label >> Sync by itself")
	p.Choose("label >> How often", "Every hour")
	p.Click("button >> Save")
	p.Told("Saved")
	if s := w.stored(); !s.SyncEnabled || s.SyncInterval != 3600 {
		t.Errorf("it is %t, every %d s", s.SyncEnabled, s.SyncInterval)
	}
	if p.Count("label >> Custom: minutes") != 0 {
		t.Error("the custom interval is asked for without a reason")
	}
	p.Choose("label >> How often", "Custom")
	p.Fill("label >> Custom: minutes", "999999")
	p.Click("button >> Save")
	p.SeeIn("#f-interval_minutes-error", "between 1m")
	if got := p.Value("label >> Custom: minutes"); got != "999999" {
		t.Errorf("what was typed is now %q", got)
	}
	p.Fill("label >> Custom: minutes", "7.5")
	p.Click("button >> Save")
	p.Told("Saved")
	if s := w.stored(); s.SyncInterval != 450 {
		t.Errorf("it is every %d s", s.SyncInterval)
	}
	p.Fill("label >> Custom: minutes", "0") // which keeps nobody from another choice
	p.Choose("label >> How often", "Every 15 minutes")
	p.Click("button >> Save")
	w.Wait("another interval", func() bool { return w.stored().SyncInterval == 900 })
}

func TestEverySettingIsStored(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.settings(webtest.Options{}, "sync")
	p.Choose("label >> Direction", "import")
	p.Choose("label >> When both sides changed the same", "newest_wins")
	p.Click("summary >> Otherwise for some fields")
	p.Choose("label >> cohort", "remote_wins")
	p.Click("label >> Create here")
	p.Click("label >> Create on Golioth what")
	p.Click("label >> Delete on Golioth")
	p.Choose("label >> When a device is deleted", "recreate")
	p.Fill("label >> Guard: deletions", "25")
	p.Fill("label >> Guard: changes", "12.5")
	p.Click("button >> Save")
	p.Told("Saved")
	p.Open("integrations/" + w.Service.ID + "?tab=fields")
	p.Click("label >> firmware")
	p.Click("label >> tags")
	p.Fill("#f-path_battery", "stream:power/level")
	p.Click("button >> Save")
	p.Told("Saved")
	p.Open("integrations/" + w.Service.ID + "?tab=advanced")
	p.Fill("label >> Requests a minute", "1200")
	p.Fill("label >> Requests at the same time", "4")
	p.Fill("label >> State reads", "50")
	p.Fill("label >> Online window", "2")
	p.Click("label >> Let devices use")
	p.Fill("label >> Name pattern", "pump-*")
	p.Fill("label >> Tags", "north, roof")
	p.Fill("label >> Blueprint", "pump")
	p.Fill("label >> Cohort", "beta")
	p.Click("button >> Save")
	p.Told("Saved")
	want := tandem.DefaultServiceConfig()
	want.BaseURL, want.Project, want.Direction, want.Strategy = w.RemoteURL, webtest.Project, tandem.Import, tandem.NewestWins
	want.FieldStrategies = map[string]tandem.Strategy{"cohort": tandem.RemoteWins}
	want.CreateLocal, want.CreateRemote, want.DeleteRemote, want.OnRemoteDelete = false, true, true, tandem.RecreateRemote
	want.Guards = tandem.Guards{MaxDelete: 0.25, MaxChange: 0.125}
	want.Fields = tandem.AllFields.Without(tandem.FieldFirmware).Without(tandem.FieldTags)
	want.Paths = tandem.Paths{Metadata: "state:metadata", Battery: "stream:power/level", Location: "state:location"}
	want.RequestsPerMinute, want.Concurrency, want.StateReads, want.OnlineWindow = 1200, 4, 50, 120
	want.GatewayPSK = true
	want.Filters = tandem.Filters{Name: "pump-*", Tags: []string{"north", "roof"}, Blueprint: "pump", Cohort: "beta"}
	if got := w.stored().Config; text(got) != text(want) {
		t.Errorf("stored is\n%s\nwant\n%s", text(got), text(want))
	}
}

func text(v any) string {
	b, _ := json.MarshalIndent(v, "", " ")
	return string(b)
}

func TestWhatSettingsAloneWouldDoIsShownFirst(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Import()
	w.Sync()
	name := "only here"
	_, err := w.API.CreateDevice(t.Context(), w.Org.ID, registry.DeviceEdit{Name: &name})
	w.must(err)
	p := w.settings(webtest.Options{}, "sync")
	p.Click("label >> Create on Golioth what")
	p.Click("button >> Save")
	p.SeeIn("#effect", "make 1 change")
	p.See("only here")
	p.Axe()
	if w.stored().Config.CreateRemote {
		t.Fatal("it is stored before it is confirmed")
	}
	p.Click("button >> Back to the settings")
	p.WaitFor("label >> Create on Golioth what")
	if p.Value("#f-create_remote") != "true" {
		t.Error("what was chosen is lost on the way back")
	}
	p.Click("button >> Save")
	p.Click("button >> Save and sync now")
	p.Told("is starting")
	if !w.stored().Config.CreateRemote {
		t.Error("it is not stored")
	}
	w.Wait("the device at the other end", func() bool { _, err := w.Simulator.DeviceByName(webtest.Project, name); return err == nil })
	// What decides nothing is stored without a preview.
	p.Open("integrations/" + w.Service.ID + "?tab=advanced")
	p.Fill("label >> Requests at the same time", "8")
	p.Click("button >> Save")
	p.Told("Saved")
}

func TestSettingsAreSavedWhereTheirPreviewFails(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Sync()
	w.Simulator.SetFaults(simulator.Fault{Kind: "401"})
	p := w.settings(webtest.Options{}, "fields")
	p.Click("label >> tags")
	p.Click("button >> Save")
	p.See("could not be found out")
	p.Click("button >> Save")
	p.Told("Saved")
	if w.stored().Config.Fields.Has(tandem.FieldTags) {
		t.Error("it is not stored")
	}
}

func TestTwoPeopleChangeTheSameSettings(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.settings(webtest.Options{}, "advanced")
	other := func(edit func(*tandem.ServiceConfig)) {
		_, err := w.API.UpdateService(t.Context(), w.Org.ID, w.Service.ID, client.ServiceEdit{Config: edit})
		w.must(err)
	}
	other(func(c *tandem.ServiceConfig) { c.Concurrency, c.StateReads = 5, 100 })
	p.Fill("label >> Requests at the same time", "7")
	p.Click("button >> Save")
	p.See("Somebody else saved these settings meanwhile")
	if s := w.stored(); s.Config.Concurrency != 5 {
		t.Fatalf("theirs is gone: %d", s.Config.Concurrency)
	}
	p.SeeIn(".alert-warning tr >> Requests at the same time", "7 5")
	p.SeeIn(".alert-warning tr >> State reads", "theirs is taken over")
	if got := p.Value("label >> State reads"); got != "100" {
		t.Errorf("what only they changed is %q in the form", got)
	}
	p.Click("button >> Save")
	p.Told("Saved")
	if c := w.stored().Config; c.Concurrency != 7 || c.StateReads != 100 {
		t.Errorf("stored is %d and %d", c.Concurrency, c.StateReads)
	}
	// Another tab's settings are nobody's business here.
	other(func(c *tandem.ServiceConfig) { c.Strategy = tandem.LocalWins })
	p.Fill("label >> Requests at the same time", "9")
	p.Click("button >> Save")
	w.Wait("the setting", func() bool { return w.stored().Config.Concurrency == 9 })
	if c := w.stored().Config; c.Strategy != tandem.LocalWins {
		t.Errorf("the strategy is %s", c.Strategy)
	}
}

func TestServicesAreSwitched(t *testing.T) {
	t.Parallel()
	w := open(t)
	second := w.AddService("second", webtest.OtherProject, nil)
	p := w.Browser(t, webtest.Options{})
	p.Open("integrations")
	p.Click("#service-" + w.Service.ID + " button")
	p.Told("Disabled")
	p.SeeIn("#service-"+w.Service.ID, "disabled")
	active := func() (n int) {
		all, err := w.API.Services(t.Context(), w.Org.ID)
		w.must(err)
		for _, s := range all {
			if s.IsActive {
				n++
			}
		}
		return n
	}
	if active() != 1 || w.stored().IsActive {
		t.Errorf("%d are active", active())
	}
	p.Click("button >> Disable all")
	p.Confirm(true)
	p.SeeIn("#service-"+second.ID, "disabled")
	if active() != 0 {
		t.Errorf("%d are active", active())
	}
	p.Click("button >> Enable all")
	p.Told("Enabled: 2 of 2")
	if active() != 2 {
		t.Errorf("%d are active", active())
	}
}

func TestAServiceIsRemoved(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Import()
	p := w.settings(webtest.Options{}, "advanced")
	p.See("Its 24 linked devices are unlinked")
	p.Click("label >> Unlink 24 devices and remove golioth")
	p.Click("button >> Remove")
	p.Told("24 devices were unlinked")
	p.See("Nothing is connected yet")
	if all, err := w.API.Services(t.Context(), w.Org.ID); err != nil || len(all) != 0 {
		t.Errorf("%d services are left, %v", len(all), err)
	}
	if _, n, err := w.API.Devices(t.Context(), w.Org.ID, tandem.DeviceFilter{}); err != nil || n != 24 {
		t.Errorf("%d devices are here, %v", n, err)
	}
	if n, err := w.Simulator.DeviceCount(webtest.Project); err != nil || n != 24 {
		t.Errorf("%d devices are there, %v", n, err)
	}
}

func TestAnotherProjectIsTakenWhenItIsMeant(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.Import()
	w.Simulator.SetFaults(simulator.Fault{Kind: simulator.SwapFault})
	p := w.settings(webtest.Options{}, "connection")
	p.Click("button >> Test")
	p.SeeIn("#tested", "another project than the one")
	p.Click("button >> It is meant")
	p.Confirm(true)
	p.Told("24 devices were unlinked")
	for _, row := range w.Fleet() {
		for _, a := range row.Assignments {
			if a.Status != tandem.SyncUnlinked {
				t.Fatalf("%s is %s", row.Name, a.Status)
			}
		}
	}
}

func TestRolesSeeWhatTheyMayDo(t *testing.T) {
	t.Parallel()
	w := open(t)
	viewer := w.settings(webtest.Options{As: w.Member(tandem.Viewer)}, "sync")
	viewer.See("Your role does not include changing these")
	if viewer.Count("button >> Save") != 0 || viewer.Count("button >> Disable") != 0 {
		t.Error("a viewer is offered changes")
	}
	manager := w.settings(webtest.Options{As: w.Member(tandem.Manager)}, "connection")
	if manager.Count("label >> API key") != 0 {
		t.Error("a manager is offered another key")
	}
	manager.Click("button >> Test")
	manager.SeeIn("#tested", "First project")
	manager.Fill("label >> Name", "renamed")
	manager.Click("button >> Save")
	manager.Told("Saved")
	if got := w.stored().Name; got != "renamed" {
		t.Errorf("the name is %q", got)
	}
	manager.Open("integrations/" + w.Service.ID + "?tab=advanced")
	if manager.Count("button >> Remove") != 0 {
		t.Error("a manager is offered to remove it")
	}
}
