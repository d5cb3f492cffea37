package integration

import (
	"context"
	"maps"
	"reflect"
	"strconv"

	"github.com/a-h/templ"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// save stores a tab's settings. What somebody else saved meanwhile is shown first; so is what the change alone would do,
// where it decides what a run does (S28).
func save(c *shell.Call) error {
	v, err := read(c, c.Value("tab"))
	if err != nil {
		return err
	}
	stored := draftOf(&v.s)
	v.typed()
	if c.Form("then") == "edit" { // back from the preview
		v.keepVersion()
		return v.page()
	}
	if version, _ := strconv.ParseInt(c.Form("version"), 10, 64); version != v.s.Version {
		if v.overtaken(stored); len(v.others) > 0 {
			return c.Invalid(settingsForm(v), v.page)
		}
	}
	edit, unread := v.d.edit(v.tab)
	if len(unread) > 0 {
		v.wrong = unread
		return c.Invalid(settingsForm(v), v.page)
	}
	if key := c.R.PostForm.Get("api_key"); v.tab.Name == "connection" && key != "" {
		edit.Key = registry.ServiceKey(c.Registry().Vault, key)
	}
	version := v.s.Version
	edit.IfVersion = &version
	if !c.Checked("seen") && v.matters(edit) {
		return v.preview(edit)
	}
	return v.store(edit)
}

// typed puts what was typed over what is stored.
func (v *view) typed() {
	for _, i := range v.tab.Items {
		if i.Switch || v.c.R.PostForm.Has(i.Name) {
			v.d[i.Name] = v.c.Form(i.Name)
		}
	}
}

// keepVersion has the form stay one about the version that it was made of.
func (v *view) keepVersion() {
	if version, err := strconv.ParseInt(v.c.Form("version"), 10, 64); err == nil {
		v.version = version
	}
	if was := carried(v.c.Form("was")); was != nil {
		v.was = was
	}
}

// overtaken merges what was typed with what somebody else saved since.
func (v *view) overtaken(stored draft) {
	was := carried(v.c.Form("was"))
	if was == nil {
		was = draft{}
	}
	v.d, v.others = mergedWith(v.tab, was, v.d, stored)
}

// mergedWith merges a tab, and keeps the settings of the others as they are stored.
func mergedWith(t tab, was, mine, stored draft) (draft, []difference) {
	out, others := merged(t, was, mine, stored)
	for k, value := range stored {
		if _, in := out[k]; !in {
			out[k] = value
		}
	}
	return out, others
}

// matters reports whether an edit changes what a run would do, of a service that somebody has let run.
func (v *view) matters(edit registry.ServiceEdit) bool {
	if v.s.ApprovedConfig == "" || edit.Config == nil || v.tab.Name == "connection" || !v.s.IsActive {
		return false
	}
	after := v.s.Config
	after.FieldStrategies = maps.Clone(after.FieldStrategies)
	edit.Config(&after)
	return !reflect.DeepEqual(deciding(v.s.Config), deciding(after))
}

// deciding leaves out of settings what does not decide what a run does.
func deciding(c tandem.ServiceConfig) tandem.ServiceConfig {
	c.Guards, c.Webhook, c.PrivateAddress = tandem.Guards{}, tandem.WebhookConfig{}, false
	c.RequestsPerMinute, c.Concurrency, c.StateReads, c.OnlineWindow = 0, 0, 0, 0
	if len(c.FieldStrategies) == 0 {
		c.FieldStrategies = nil
	}
	if len(c.Filters.Tags) == 0 {
		c.Filters.Tags = nil
	}
	return c
}

// mostShown bounds what a preview of settings shows.
const mostShown = 200

// effect is what changed settings alone would do.
type effect struct {
	registry.SettingsPreview
	first   []tandem.Change
	removed []tandem.Change
	removes int
}

// preview shows what an edit alone would do, and has it confirmed.
func (v *view) preview(edit registry.ServiceEdit) error {
	c := v.c
	frame := shell.Frame{Title: "Preview of settings", Section: shell.Integrations}
	return c.Working(frame, effectHead(*v), v.tabPath(v.tab.Name), func(ctx context.Context, say func(templ.Component)) (templ.Component, error) {
		var e effect
		var err error
		say(effectStep(0))
		e.SettingsPreview, err = c.Registry().PreviewSettings(ctx, c.Actor, c.Org.ID, v.s.ID, edit, func(change tandem.Change) error {
			to := &e.first
			if change.Action.Removes() {
				to = &e.removed
				e.removes++
			}
			if len(*to) < mostShown {
				*to = append(*to, change)
			}
			if n := len(e.first) + e.removes; n%100 == 0 && n < 10*mostShown {
				say(effectStep(n))
			}
			return nil
		})
		if tandem.Is(err, tandem.Invalid) {
			v.refuse(err)
			return settingsForm(*v), nil
		}
		return effectOf(*v, e, err), nil
	})
}

// store stores an edit; whoever was faster is shown.
func (v *view) store(edit registry.ServiceEdit) error {
	c := v.c
	s, err := c.Registry().UpdateService(c.R.Context(), c.Actor, c.Org.ID, v.s.ID, edit)
	switch {
	case tandem.Is(err, tandem.Stale):
		now, readErr := read(c, v.tab.Name)
		if readErr != nil {
			return readErr
		}
		now.typed()
		now.overtaken(draftOf(&now.s))
		return c.Invalid(settingsForm(now), now.page)
	case tandem.Is(err, tandem.Invalid, tandem.Exists):
		v.keepVersion()
		v.refuse(err)
		return c.Invalid(settingsForm(*v), v.page)
	case err != nil:
		return err
	}
	c.Toast("success", saved(c, s))
	if c.Form("then") == "sync" {
		run, err := c.Registry().StartRun(c.R.Context(), c.Actor, c.Org.ID, tandem.RunRequest{ServiceID: s.ID, Trigger: tandem.ByHand})
		if err != nil {
			return err
		}
		c.Toast("success", "A sync of "+s.Name+" is starting.")
		return c.Go(c.Path("sync") + "#service-" + run.ServiceID)
	}
	return c.Go(c.Path("integrations", s.ID) + "?tab=" + v.tab.Name)
}

// saved says what comes next.
func saved(c *shell.Call, s tandem.Service) string {
	if s.SyncEnabled && s.IsActive && !c.Registry().Engine.Approved(&s) {
		return "Saved. Automatic sync waits until somebody runs a sync with these settings."
	}
	return "Saved."
}
