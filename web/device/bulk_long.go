package device

import (
	"context"
	"strconv"

	"github.com/a-h/templ"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// The bounds of what is done within one reply: more than atOnce is done on a page that says how far it is, piece by piece.
const (
	atOnce = 500
	piece  = 100
	few    = 10 // of what is done one by one
)

// long reports whether it takes so long that people want to see how far it is.
func (m many) long() bool { return m.Sel.Count > atOnce }

// working does it on a page that says how far it is. Who leaves the page stops it there.
func (m many) working(do func(ctx context.Context, dry bool, say func(outcome)) (outcome, error)) error {
	frame := shell.Frame{Title: doings[m.Do].title, Section: shell.Devices}
	return m.c.Working(frame, workingHead(m), m.back(), func(ctx context.Context, say func(templ.Component)) (templ.Component, error) {
		var err error
		m.Result, err = do(ctx, false, func(o outcome) { say(far(o.Looked, m.Sel.Count)) })
		return bulkDone(m), err
	})
}

// linkCrowd links more devices than fit a form: those that have exactly one that fits them there.
func (m many) linkCrowd() error {
	step := m.c.Form("step")
	if m.service().ID == "" || step == "" {
		if step != "" {
			m.Wrong = "Choose the service."
		}
		return m.reply(crowdForm(m))
	}
	frame := shell.Frame{Title: doings[m.Do].title, Section: shell.Devices}
	return m.c.Working(frame, workingHead(m), m.back(), func(ctx context.Context, say func(templ.Component)) (templ.Component, error) {
		fit, err := m.fitting(ctx, func(done int) { say(far(done, m.Sel.Count)) })
		if err != nil {
			return nil, err
		}
		if step != stepApply || m.c.Form("fit") != strconv.Itoa(len(fit)) {
			if step == stepApply {
				m.Note = "Something changed meanwhile. Look again before you go on."
			}
			m.Pairs = fit
			return crowdPreview(m), nil
		}
		for i, p := range fit {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			one := registry.DeviceResult{Ref: p.Device.ID, Device: p.Device}
			if _, _, err := m.c.Registry().Link(ctx, m.c.Actor, m.c.Org.ID, m.service().ID, p.Device.ID, p.External); err != nil {
				one.Error, one.Refusal = err, err.Error()
			}
			if m.Result.add(one, true); (i+1)%few == 0 {
				say(far(i+1, len(fit)))
			}
		}
		return bulkDone(m), nil
	})
}

// fitting gives the devices of the selection for which a link can be proposed, with it.
func (m *many) fitting(ctx context.Context, say func(done int)) ([]pair, error) {
	known, err := m.remoteOf(ctx, m.service().ID, everRemote)
	if err != nil {
		return nil, err
	}
	m.Beyond = known.beyond
	var fit []pair
	looked := 0
	err = m.Sel.each(ctx, m.c, 0, func(found []tandem.DeviceRow) error {
		for i := range found {
			if p := m.proposal(&found[i], m.service().ID, known); p.Linked == "" && p.External != "" {
				fit = append(fit, p)
			}
		}
		looked += len(found)
		say(looked)
		return ctx.Err()
	})
	return fit, err
}

// kind is how a report looks.
func (o outcome) kind() string {
	if o.Failed > 0 {
		return "warning"
	}
	return "success"
}

// report says what was done, in a line.
func (m many) report() string {
	text := part.Count(m.Result.Changed, "device", "devices") + " " + doings[m.Do].done + "."
	if m.Result.Unchanged > 0 {
		text += " " + part.Count(m.Result.Unchanged, "was", "were") + " so already."
	}
	if m.Result.Failed > 0 {
		text += " " + part.Count(m.Result.Failed, "device", "devices") + " failed."
	}
	return text
}
