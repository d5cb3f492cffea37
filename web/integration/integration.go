package integration

import (
	"strconv"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// goliothURL is where Golioth itself is.
const goliothURL = "https://api.golioth.io"

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /integrations", list)
	s.Handle("GET /integrations/new", showNew)
	s.Handle("POST /integrations", create)
	s.Handle("POST /integrations/test", try)
	s.Handle("POST /integrations/switch", switchAll)
	s.Handle("GET /integrations/{id}", show)
	s.Handle("POST /integrations/{id}/test", try)
	s.Handle("POST /integrations/{id}/switch", switchOne)
	s.Handle("POST /integrations/{id}/save/{tab}", save)
	s.Handle("POST /integrations/{id}/delete", remove)
	s.Handle("POST /integrations/{id}/confirm-project", confirmProject)
	s.Handle("POST /integrations/{id}/webhook", saveWebhook)
	s.Handle("POST /integrations/{id}/secret", newSecret)
	s.Handle("POST /integrations/{id}/connect", connect)
	s.Handle("POST /integrations/{id}/disconnect", disconnect)
}

// listing is all services as they are shown.
type listing struct {
	c        *shell.Call
	services []tandem.Service
	counts   map[string]tandem.ServiceOverview
}

func list(c *shell.Call) error {
	v := listing{c: c}
	var err error
	if v.services, err = c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID); err != nil {
		return err
	}
	if v.counts, err = overviews(c); err != nil {
		return err
	}
	if c.Query("part") == "list" {
		return c.Part(table(v))
	}
	return c.Page(shell.Frame{Title: "Integrations", Section: shell.Integrations}, listPage(v))
}

// overviews counts each service's devices, where the person may see them.
func overviews(c *shell.Call) (map[string]tandem.ServiceOverview, error) {
	found := map[string]tandem.ServiceOverview{}
	if !c.May(registry.ReadDevices) {
		return found, nil
	}
	o, err := c.Registry().Overview(c.R.Context(), c.Actor, c.Org.ID)
	for _, s := range o.Services {
		found[s.ServiceID] = s
	}
	return found, err
}

// view is one service's settings as they are shown.
type view struct {
	c        *shell.Call
	s        tandem.Service // zero for a new one
	tab      tab
	d        draft // what the form shows
	was      draft // what it was made of
	version  int64
	wrong    wrong
	others   []difference // what somebody else saved meanwhile
	found    *found       // what a test found
	hook     webhook
	linked   int
	approved bool
}

func (v *view) isNew() bool { return v.s.ID == "" }

// may says whether the person may change a tab.
func (v *view) may() bool {
	if v.isNew() || v.tab.Name == "webhooks" {
		return v.c.May(registry.ManageServices)
	}
	return v.c.May(registry.UpdateServices)
}

// manages says whether the person may change whose devices these are.
func (v *view) manages() bool { return v.c.May(registry.ManageServices) }

func show(c *shell.Call) error {
	v, err := read(c, c.Query("tab"))
	if err != nil {
		return err
	}
	if c.Query("part") == "deliveries" {
		return c.Part(deliveries(v))
	}
	if c.Query("part") == "state" {
		return c.Part(state(v))
	}
	return v.page()
}

// read gives a service with its stored settings.
func read(c *shell.Call, name string) (view, error) {
	s, err := c.Registry().Service(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return view{}, err
	}
	v := view{c: c, s: s, tab: tabNamed(name), wrong: wrong{}, version: s.Version, approved: c.Registry().Engine.Approved(&s)}
	v.d = draftOf(&s)
	v.was = v.d.part(v.tab)
	counts, err := overviews(c)
	if err != nil {
		return v, err
	}
	v.linked = counts[s.ID].Linked
	if v.tab.Name == "webhooks" {
		err = v.readWebhook()
	}
	return v, err
}

// page replies with the settings' page.
func (v *view) page() error {
	title := "New integration"
	if !v.isNew() {
		title = v.s.Name
	}
	return v.c.Page(shell.Frame{Title: title, Section: shell.Integrations, Scripts: []string{"integration.js"}}, settingsPage(*v))
}

// path is an address of the service.
func (v *view) path(parts ...string) string {
	if v.isNew() {
		return v.c.Path(append([]string{"integrations"}, parts...)...)
	}
	return v.c.Path(append([]string{"integrations", v.s.ID}, parts...)...)
}

func (v *view) tabPath(name string) string { return v.path() + "?tab=" + name }

func showNew(c *shell.Call) error {
	if !c.May(registry.ManageServices) {
		return tandem.Errorf(tandem.Forbidden, "add service", "", "your role does not include connecting projects").WithHint("ask an administrator of %s", c.Org.Name)
	}
	v := newView(c)
	return v.page()
}

// newView is the form of a service that is not there yet.
func newView(c *shell.Call) view {
	v := view{c: c, tab: tabs[0], wrong: wrong{}, d: draft{"base_url": goliothURL}}
	return v
}

// create connects a project, after it was asked; where it does not answer, only when the person wants it so.
func create(c *shell.Call) error {
	v := newView(c)
	v.d = draft{"name": c.Form("name"), "project": c.Form("project"), "base_url": c.Form("base_url")}
	key := c.R.PostForm.Get("api_key")
	if !c.Checked("anyway") {
		answer := v.ask(key)
		if answer.err != nil {
			v.found = &answer
			v.refuse(answer.err)
			return c.Invalid(settingsForm(v), v.page)
		}
	}
	config := tandem.DefaultServiceConfig()
	config.Project, config.BaseURL = v.d["project"], v.d["base_url"]
	s, err := c.Registry().AddService(c.R.Context(), c.Actor, c.Org.ID, registry.NewService{Name: v.d["name"], ServiceType: "golioth", Config: config,
		Key: registry.ServiceKey(c.Registry().Vault, key)})
	if tandem.Is(err, tandem.Invalid, tandem.Exists) {
		v.refuse(err)
		return c.Invalid(settingsForm(v), v.page)
	}
	if err != nil {
		return err
	}
	c.Toast("success", s.Name+" is connected. Nothing is synced yet: look through its settings, then preview the first sync.")
	return c.Go(c.Path("integrations", s.ID) + "?tab=sync")
}

// refuse puts a refusal beside the fields that it is about.
func (v *view) refuse(err error) {
	message, hint := shell.Explain(err)
	if tandem.Is(err, tandem.Invalid) {
		refusals(lowered(message), v.wrong)
		if text := v.wrong["interval"]; text != "" && v.d["interval"] == "custom" {
			v.wrong["interval_minutes"] = text
			delete(v.wrong, "interval")
		}
		return
	}
	v.wrong[""] = message
	if hint != "" {
		v.wrong[""] += ". " + hint
	}
}

// lowered takes back the capital letter that Explain gave a sentence which begins with a field's name.
func lowered(text string) string {
	if text != "" && text[0] >= 'A' && text[0] <= 'Z' {
		return string(text[0]+'a'-'A') + text[1:]
	}
	return text
}

// switchOne pauses or resumes a service.
func switchOne(c *shell.Call) error {
	active := c.Form("active") == "on"
	s, err := c.Registry().UpdateService(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"), registry.ServiceEdit{IsActive: &active})
	if err != nil {
		return err
	}
	return c.Done(switched(s.Name, active), c.Path("integrations"), "services")
}

// switchAll pauses or resumes all services that are not so already.
func switchAll(c *shell.Call) error {
	if !c.May(registry.UpdateServices) { // also where there is nothing to switch
		return tandem.Errorf(tandem.Forbidden, "switch services", "", "your role does not include switching integrations").WithHint("ask an administrator of %s", c.Org.Name)
	}
	active := c.Form("active") == "on"
	all, err := c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID)
	if err != nil {
		return err
	}
	n := 0
	for _, s := range all {
		if s.IsActive == active {
			continue
		}
		if _, err := c.Registry().UpdateService(c.R.Context(), c.Actor, c.Org.ID, s.ID, registry.ServiceEdit{IsActive: &active}); err != nil {
			return err
		}
		n++
	}
	return c.Done(switched(strconv.Itoa(n)+" of "+strconv.Itoa(len(all)), active), c.Path("integrations"), "services")
}

func switched(what string, active bool) string {
	if active {
		return "Enabled: " + what + "."
	}
	return "Disabled: " + what + ". Nothing is synced until it is enabled again."
}

// remove deletes a service as the person saw it.
func remove(c *shell.Call) error {
	version, err := strconv.ParseInt(c.Form("version"), 10, 64)
	if err != nil || !c.Checked("sure") {
		return tandem.Errorf(tandem.Invalid, "delete service", "", "it is not confirmed").WithHint("tick the box that says what happens, then delete")
	}
	s, unlinked, err := c.Registry().DeleteService(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"), version)
	if err != nil {
		return err
	}
	c.Toast("success", s.Name+" is removed; "+strconv.Itoa(unlinked)+" devices were unlinked and stay on both sides.")
	return c.Go(c.Path("integrations"))
}

// confirmProject lets the service have the project that is there now.
func confirmProject(c *shell.Call) error {
	n, err := c.Registry().ConfirmProject(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	c.Toast("success", "It has the project that is there now; "+strconv.Itoa(n)+" devices were unlinked and stay here.")
	return c.Go(c.Path("integrations", c.Value("id")))
}
