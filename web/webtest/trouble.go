package webtest

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// trouble is something that must not happen on a page.
type trouble struct {
	status int64  // of a reply, 0 for anything else
	path   string // of a request
	text   string
}

// allowed lets some of it happen.
type allowed struct {
	status int64
	path   *regexp.Regexp
	text   *regexp.Regexp
}

// Allow lets replies with a status happen at addresses whose path and query match a pattern. It may be said before or after.
func (p *Page) Allow(status int, path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, allowed{status: int64(status), path: regexp.MustCompile(path)})
}

// AllowMessage lets messages of the console, and requests that fail, happen that match a pattern.
func (p *Page) AllowMessage(pattern string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, allowed{text: regexp.MustCompile(pattern)})
}

func (a allowed) lets(t trouble) bool {
	if a.text != nil {
		return t.status == 0 && a.text.MatchString(t.text)
	}
	return t.status == a.status && a.path.MatchString(t.path)
}

// Troubles lists what happened so far that was not allowed.
func (p *Page) Troubles() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
next:
	for _, t := range p.seen {
		for _, a := range p.allowed {
			if a.lets(t) {
				continue next
			}
		}
		list = append(list, t.text)
	}
	return list
}

// judge fails the test for what happened.
func (p *Page) judge() {
	p.t.Helper()
	for _, text := range p.Troubles() {
		p.t.Errorf("on a page (%s): %s", p.options.String(), text)
	}
}

// listen takes the tab's events, in their order. It must not ask the tab anything.
func (p *Page) listen(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.mu.Lock()
		p.asked[e.RequestID] = pathOf(e.Request.URL)
		p.mu.Unlock()
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			p.note(trouble{status: e.Response.Status, path: pathOf(e.Response.URL), text: fmt.Sprintf("%s: status %d", pathOf(e.Response.URL), e.Response.Status)})
		}
	case *network.EventLoadingFinished:
		p.mu.Lock()
		p.bytes += e.EncodedDataLength
		delete(p.asked, e.RequestID)
		p.mu.Unlock()
	case *network.EventLoadingFailed:
		p.failed(e)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			p.note(trouble{text: "console: " + said(e.Args)})
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		p.note(trouble{text: fmt.Sprintf("exception: %s (%s:%d)", text, pathOf(e.ExceptionDetails.URL), e.ExceptionDetails.LineNumber+1)})
	case *log.EventEntryAdded:
		// What the network did is told by its own events.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			p.note(trouble{text: fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, pathOf(e.Entry.URL))})
		}
	case *page.EventJavascriptDialogOpening:
		p.note(trouble{text: "the browser's own dialog: " + e.Message})
		go func() { // it blocks the tab; when the test is over, nothing is left to answer
			_, _ = chromedp.Call(p.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}()
	}
}

// failed notes a request without a reply. One that the page itself gave up, by going on, is none.
func (p *Page) failed(e *network.EventLoadingFailed) {
	p.mu.Lock()
	path := p.asked[e.RequestID]
	delete(p.asked, e.RequestID)
	p.mu.Unlock()
	if e.BlockedReason == "" && (e.Canceled || e.ErrorText == "net::ERR_ABORTED") {
		return
	}
	p.note(trouble{path: path, text: strings.TrimSpace(fmt.Sprintf("%s: %s %s", path, e.ErrorText, e.BlockedReason))})
}

func (p *Page) note(t trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, t)
}

// said is what a call of the console printed.
func said(args []*runtime.RemoteObject) string {
	var parts []string
	for _, a := range args {
		switch {
		case a.Description != "":
			parts = append(parts, a.Description)
		default:
			parts = append(parts, string(a.Value))
		}
	}
	return strings.Join(parts, " ")
}

// pathOf gives path and query of an address, and all of another server's.
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() != "127.0.0.1" {
		return address
	}
	return u.RequestURI()
}
