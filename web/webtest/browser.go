package webtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// The widths that pages are looked at in, in CSS pixels.
const (
	Desktop = 1280
	Phone   = 390
)

// chromium is the one browser of this process.
type chromium struct {
	ctx  context.Context
	halt context.CancelFunc
}

// startChromium starts it without a window, its profile in the folder.
func startChromium(folder string) (*chromium, error) {
	at := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			at = found
			break
		}
	}
	if at == "" {
		return nil, errors.New("tests of pages need Chromium, which is not here; make test-deps installs it, or: apt-get update && apt-get install -y --no-install-recommends chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(at), chromedp.UserDataDir(filepath.Join(folder, "profile")),
		chromedp.DisableGPU, chromedp.Flag("lang", "en-GB"), chromedp.ModifyCmdFunc(endsWithUs), chromedp.WSURLReadTimeout(time.Minute))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, halt := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ = chromedp.NewContext(ctx) // halt ends it too
	if err := chromedp.Do(ctx); err != nil {
		halt()
		return nil, err
	}
	return &chromium{ctx, halt}, nil
}

// stop ends it and waits.
func (c *chromium) stop() error {
	c.halt()
	return nil
}

// Options say how a page is looked at.
type Options struct {
	Theme     string  // "light", unless said, or "dark"
	Width     int64   // Desktop, unless said; below 600 it is a phone
	As        *Person // who is signed in; the world's Owner, unless said
	SignedOut bool    // nobody is
	NoCache   bool    // load everything for each page, as at the first visit
	Both      bool    // what is looked at is looked at in the other theme too
}

// String says in a word what the options make of a page.
func (o Options) String() string {
	if o.phone() {
		return o.Theme + "-phone"
	}
	return o.Theme + "-desktop"
}

func (o Options) phone() bool { return o.Width < 600 }

func (o Options) height() int64 {
	if o.phone() {
		return 844
	}
	return 900
}

// Page is a tab, for one test. What it meets that must not happen fails the test at its end; see Allow.
type Page struct {
	t       testing.TB
	world   *World
	options Options
	ctx     context.Context

	mu      sync.Mutex
	seen    []trouble
	allowed []allowed
	asked   map[network.RequestID]string // path by request that is under way
	bytes   float64
	opened  string // the address, for what is said of a failure
}

// Browser opens a tab with cookies and storage of its own, signed in.
func (w *World) Browser(t testing.TB, o Options) *Page {
	t.Helper()
	if o.Theme == "" {
		o.Theme = "light"
	}
	if o.Width == 0 {
		o.Width = Desktop
	}
	if o.As == nil {
		o.As = w.Owner
	}
	ctx, end := chromedp.NewContext(theBrowser(t).ctx, chromedp.WithNewBrowserContext())
	p := &Page{t: t, world: w, options: o, ctx: ctx, asked: map[network.RequestID]string{}}
	t.Cleanup(func() {
		p.judge()
		end()
	})
	must(t, chromedp.Listen(ctx, p.listen))
	must(t, chromedp.Do(ctx, chromedp.Func(p.prepare)))
	return p
}

// prepare makes the tab what the options say.
func (p *Page) prepare(ctx context.Context, target *chromedp.Target) error {
	theme := `try { localStorage.getItem("tandem-theme") ?? localStorage.setItem("tandem-theme", "` + p.options.Theme + `") } catch {}`
	_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: theme})
	if err == nil {
		_, err = p.window(p.options.height())(ctx, target)
	}
	if err == nil {
		_, err = cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}})
	}
	if err == nil && p.options.NoCache {
		_, err = cdp.Call(ctx, target, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	}
	if err != nil || p.options.SignedOut || p.options.As == nil {
		return err
	}
	s, err := p.options.As.signIn()
	if err != nil {
		return err
	}
	yes := true
	_, err = cdp.Call(ctx, target, network.SetCookie, network.SetCookieParams{Name: s.cookie.Name, Value: s.cookie.Value, URL: p.world.URL, Path: "/",
		HTTPOnly: &yes, SameSite: network.CookieSameSiteLax})
	return err
}

// window makes it so high, and as wide as the options say.
func (p *Page) window(height int64) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: p.options.Width, Height: height,
			DeviceScaleFactor: 1, Mobile: p.options.phone()})
		return err
	})
}

// Each does the same with the page on a desktop and on a phone, each in a test of its own. What it looks at meanwhile, and
// at the end whether the page fits the width and each control says what it is, it looks at in light and in dark.
func (w *World) Each(t *testing.T, body func(t *testing.T, p *Page)) {
	t.Helper()
	for _, o := range []Options{{Theme: "light", Width: Desktop, Both: true}, {Theme: "dark", Width: Phone, Both: true}} {
		t.Run(o.String(), func(t *testing.T) {
			p := w.Browser(t, o)
			body(t, p)
			p.Fits()
			p.Named()
		})
	}
}

// Variants are the ways to look at a page.
func Variants() []Options {
	return []Options{{Theme: "light", Width: Desktop}, {Theme: "dark", Width: Desktop}, {Theme: "light", Width: Phone}, {Theme: "dark", Width: Phone}}
}

// World gives what the page is of.
func (p *Page) World() *World { return p.world }

// For has the page serve a test inside the one that opened it; what goes wrong meanwhile is that test's.
func (p *Page) For(t testing.TB) {
	outer := p.t
	p.t = t
	t.Cleanup(func() {
		p.judge()
		p.mu.Lock()
		p.seen, p.allowed = nil, nil
		p.mu.Unlock()
		p.t = outer
	})
}

// Options gives how it is looked at.
func (p *Page) Options() Options { return p.options }

// Open goes to a page of the organization, such as "" (the overview), "devices" or "devices?search=pump", and waits
// until it is there with its scripts.
func (p *Page) Open(path string) {
	p.t.Helper()
	p.OpenAt(p.world.Path(strings.TrimPrefix(path, "/")))
}

// OpenAt goes to any address of the server, such as "/sign-in".
func (p *Page) OpenAt(path string) {
	p.t.Helper()
	p.mu.Lock()
	p.bytes, p.opened = 0, path
	clear(p.asked)
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(p.world.URL+path)); err != nil {
		p.fatal("open %s: %v", path, err)
	}
}
