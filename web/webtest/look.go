package webtest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

//go:embed vendor/axe.js
var axe string

// EnvScreenshots names the environment variable with the folder that Shot writes to.
const EnvScreenshots = "TANDEM_SCREENSHOTS"

// finding is one of axe's.
type finding struct {
	ID, Impact, Help, HelpURL string
	Nodes                     []struct {
		HTML           string
		FailureSummary string
		Target         []any
	}
}

// themes looks at the page as it is, and where both themes are asked for in the other one too.
func (p *Page) themes(look func()) {
	p.t.Helper()
	look()
	if !p.options.Both {
		return
	}
	was := p.options.Theme
	for _, theme := range []string{map[string]string{"light": "dark", "dark": "light"}[was], was} {
		// As the page's own button does; what changes its colour by and by has done so.
		if err := p.evaluate(`(document.documentElement.dataset.bsTheme = "`+theme+`", dispatchEvent(new Event("themechange")),
			new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))).then(() =>
				Promise.allSettled(document.getAnimations().filter((a) => a instanceof CSSTransition).map((a) => a.finished)))).then(() => true)`, nil); err != nil {
			p.fatal("show the page in %s: %v", theme, err)
		}
		if p.options.Theme = theme; theme != was {
			look()
		}
	}
}

// Axe fails the test for each serious accessibility problem of what the page shows now.
func (p *Page) Axe() {
	p.t.Helper()
	p.themes(p.axe)
}

// axe does so in the theme that the page has.
func (p *Page) axe() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*Patience)
	defer cancel()
	// Through DevTools: the page's own policy lets no such script in. It is long, and may be there already.
	if err := chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		there, err := chromedp.Evaluate[bool]("typeof axe === 'object'")(ctx, t)
		if err == nil && !there {
			_, err = chromedp.Evaluate[bool]("(() => { "+axe+"\n; })(), true")(ctx, t)
		}
		return err
	})); err != nil {
		p.fatal("load axe: %v", err)
	}
	var found struct{ Violations []finding }
	if err := p.evaluate(`axe.run(document, { resultTypes: ["violations"] }).then((r) => ({ violations: r.violations }))`, &found); err != nil {
		p.fatal("run axe: %v", err)
	}
	for _, f := range found.Violations {
		if f.Impact != "serious" && f.Impact != "critical" {
			continue
		}
		var nodes []string
		for i, n := range f.Nodes {
			if i == 5 {
				nodes = append(nodes, fmt.Sprintf("and %d more", len(f.Nodes)-i))
				break
			}
			nodes = append(nodes, fmt.Sprintf("%v %.200s\n      %s", n.Target, n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n      ")))
		}
		p.t.Errorf("accessibility at %s (%s): %s, %s: %s (%s)\n    %s", p.Path(), p.options.String(), f.Impact, f.ID, f.Help, f.HelpURL, strings.Join(nodes, "\n    "))
	}
}

// Fits fails the test where the page is wider than its window.
func (p *Page) Fits() {
	p.t.Helper()
	p.themes(p.fits)
}

// fits does so in the theme that the page has.
func (p *Page) fits() {
	p.t.Helper()
	var wide *string
	if err := p.ask(&wide, "wide", p.options.Width); err != nil {
		p.fatal("measure the width: %v", err)
	}
	if wide != nil {
		p.t.Errorf("%s (%s) is %s", p.Path(), p.options.String(), *wide)
	}
}

// Named fails the test for each control that has no name for somebody who does not see it.
func (p *Page) Named() {
	p.t.Helper()
	var mute []string
	if err := p.ask(&mute, "mute"); err != nil {
		p.fatal("look for names: %v", err)
	}
	for _, one := range mute {
		p.t.Errorf("%s (%s): a control without a name: %s", p.Path(), p.options.String(), one)
	}
}

// Idle waits until the page has all that it asked for. The live stream never ends, and of the tab's own icon the browser
// does not always tell.
func (p *Page) Idle() {
	p.t.Helper()
	p.until("wait for the page's requests", func() (string, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, path := range p.asked {
			if !strings.HasPrefix(path, "/api/v1/live") && !strings.HasPrefix(path, "data:") && !strings.HasSuffix(path, "/icon.svg") {
				return path + " is under way", nil
			}
		}
		return "", nil
	})
}

// ClearCache has the next page loaded with all of its files, as at the first visit.
func (p *Page) ClearCache() {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, network.ClearBrowserCache, cdp.Empty{}); err != nil {
		p.fatal("clear the cache: %v", err)
	}
}

// Size gives the bytes that came over the network since the page was opened, as they came: compressed.
func (p *Page) Size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.bytes)
}

// Shot writes a picture of the whole page into the folder that TANDEM_SCREENSHOTS names; without one it does nothing.
func (p *Page) Shot(name string) {
	p.t.Helper()
	folder := os.Getenv(EnvScreenshots)
	if folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, 2*Patience)
	defer cancel()
	// In a window as high as the page, what stands at its edge is where it belongs.
	var high int64
	var png []byte
	err := p.evaluate("document.documentElement.scrollHeight", &high)
	if err == nil {
		err = chromedp.Do(ctx, p.window(max(high, p.options.height())))
	}
	if err == nil {
		png, err = chromedp.Run(ctx, chromedp.FullScreenshot(100))
	}
	if err == nil {
		err = chromedp.Do(ctx, p.window(p.options.height()))
	}
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+"-"+p.options.String()+".png"), png, 0o644)
	}
	if err != nil {
		p.t.Errorf("take a picture: %v", err)
	}
}
