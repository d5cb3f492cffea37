package shell

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"tandem"
)

// toast is a short message about what an action did.
type toast struct {
	Kind string `json:"kind"` // success, warning or danger
	Text string `json:"text"`
}

// flashCookie carries toasts over to the next page.
const flashCookie = "tandem-told"

// Toast tells the person something with the reply: kind is success, warning or danger.
func (c *Call) Toast(kind, text string) { c.toasts = append(c.toasts, toast{kind, text}) }

// Event has the page's live parts read again at once: kinds as in the live stream, such as "conflicts".
func (c *Call) Event(kinds ...string) { c.events = append(c.events, kinds...) }

// Frame says what is around a page.
type Frame struct {
	Title   string
	Section Section  // marked in the navigation
	Scripts []string // assets beside those that every page has, such as "plot.js"
	Styles  []string // likewise
	Wide    bool     // use the whole width, for large tables
}

// Page replies with a whole page.
func (c *Call) Page(f Frame, body templ.Component) error { return c.page(http.StatusOK, f, body) }

func (c *Call) page(status int, f Frame, body templ.Component) error {
	told := append(c.flash(), c.toasts...)
	v := view{Frame: f, Call: c, Toasts: told}
	if c.Org.ID != "" {
		counts, err := c.Registry().OpenCounts(c.R.Context(), c.Actor, c.Org.ID)
		if err != nil && status == http.StatusOK {
			return err
		}
		v.Counts = counts
	}
	return c.send(status, layout(v, body))
}

// Part replies with a part of a page. What was told goes with it.
func (c *Call) Part(body templ.Component) error {
	c.trigger()
	return c.send(http.StatusOK, body)
}

// Invalid replies with a form that shows what is wrong with it; nothing that was typed is lost. A script's form is
// replaced where it stands; page gives the whole page for a browser without it.
func (c *Call) Invalid(form templ.Component, page func() error) error {
	c.trigger()
	if !c.Partial() {
		return page()
	}
	return c.send(http.StatusUnprocessableEntity, form)
}

// Nothing replies with no content, only what is told.
func (c *Call) Nothing() error {
	c.trigger()
	c.W.Header().Set("HX-Reswap", "none")
	c.wrote = true
	c.W.WriteHeader(http.StatusOK)
	return nil
}

// Go sends the person on to another page after an action, where they are told of it.
func (c *Call) Go(path string) error {
	c.keepFlash()
	c.redirect(path)
	return nil
}

// Done ends an action: it tells what was done and has the page's parts read again; a browser without the script goes to path.
func (c *Call) Done(text, path string, kinds ...string) error {
	c.Toast("success", text)
	c.Event(kinds...)
	if c.Partial() {
		return c.Nothing()
	}
	return c.Go(path)
}

func (c *Call) redirect(path string) {
	c.wrote = true
	if c.Partial() {
		c.W.Header().Set("HX-Redirect", path)
		c.W.WriteHeader(http.StatusOK)
		return
	}
	http.Redirect(c.W, c.R, path, http.StatusSeeOther)
}

// trigger puts toasts and events into the header that the script reads.
func (c *Call) trigger() {
	if len(c.toasts)+len(c.events) == 0 {
		return
	}
	what := map[string]any{}
	for _, kind := range c.events {
		what[kind] = map[string]any{}
	}
	if len(c.toasts) > 0 {
		what["toasts"] = map[string]any{"list": c.toasts}
	}
	text, err := json.Marshal(what)
	if err != nil {
		return // strings always can be
	}
	c.W.Header().Set("HX-Trigger", ascii(string(text)))
}

// ascii writes JSON so that it fits into a header.
func ascii(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x10000:
			b.WriteString(`\u` + hex4(r))
		default:
			r -= 0x10000
			b.WriteString(`\u` + hex4(0xd800+(r>>10)) + `\u` + hex4(0xdc00+(r&0x3ff)))
		}
	}
	return b.String()
}

func hex4(r rune) string {
	text := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", 4-len(text)) + text
}

// keepFlash keeps what is to be told for the next page.
func (c *Call) keepFlash() {
	if len(c.toasts) == 0 {
		return
	}
	text, err := json.Marshal(c.toasts)
	if err != nil || len(text) > 2000 {
		return
	}
	http.SetCookie(c.W, &http.Cookie{Name: flashCookie, Value: base64.RawURLEncoding.EncodeToString(text), Path: "/", MaxAge: 60, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: c.secure()})
}

// flash takes what the page before left to be told.
func (c *Call) flash() []toast {
	cookie, err := c.R.Cookie(flashCookie)
	if err != nil || cookie.Value == "" {
		return nil
	}
	http.SetCookie(c.W, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.secure()})
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return nil
	}
	var told []toast
	if json.Unmarshal(text, &told) != nil {
		return nil
	}
	return told
}

// send writes a component.
func (c *Call) send(status int, body templ.Component) error {
	c.wrote = true
	c.W.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.W.Header().Set("Vary", "HX-Request")
	c.W.WriteHeader(status)
	if err := body.Render(c.R.Context(), c.W); err != nil {
		c.Site.Log.DebugContext(c.R.Context(), "a page was not sent whole", "path", c.R.URL.Path, "error", err)
	}
	return nil
}

// fail tells the person what went wrong: on a page of its own, or, for a script's request, in a toast.
func (c *Call) fail(err error) {
	if c.R.Context().Err() != nil {
		return // whoever asked has left
	}
	code := tandem.CodeOf(err)
	status := statusOf(code)
	if status >= http.StatusInternalServerError {
		c.Site.Log.ErrorContext(c.R.Context(), "a page failed", "path", c.R.URL.Path, "code", code, "error", err)
	}
	if c.file {
		panic(http.ErrAbortHandler) // so that half of a file is not taken for the whole
	}
	if c.wrote {
		return // half of a page is there; the log has the rest
	}
	if c.Partial() {
		message, hint := Explain(err)
		if hint != "" {
			message += ". " + hint
		}
		c.toasts = append(c.toasts, toast{"danger", message})
		c.trigger()
		c.W.Header().Set("HX-Reswap", "none")
		c.W.WriteHeader(status)
		return
	}
	message, hint := Explain(err)
	_ = c.page(status, Frame{Title: titleOf(code)}, problem(c, titleOf(code), message, hint))
}

// Explain gives what a person is told of an error, and what to do. What is the server's own fault stays in its log.
func Explain(err error) (message, hint string) {
	var e *tandem.Error
	if !errors.As(err, &e) || e.Code == tandem.Internal {
		return "Something failed here", "Try again; the server's log says what it was."
	}
	return sentence(e.Message), sentence(e.Hint)
}

// sentence begins a text with a capital letter.
func sentence(text string) string {
	if text == "" || text[0] < 'a' || text[0] > 'z' {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func statusOf(code tandem.Code) int {
	switch code {
	case tandem.Invalid:
		return http.StatusUnprocessableEntity
	case tandem.NotFound:
		return http.StatusNotFound
	case tandem.Forbidden:
		return http.StatusForbidden
	case tandem.Unauthorized:
		return http.StatusUnauthorized
	case tandem.Exists, tandem.Stale, tandem.Blocked, tandem.Mismatch, tandem.KeyLost:
		return http.StatusConflict
	case tandem.RateLimited:
		return http.StatusTooManyRequests
	case tandem.Unavailable, tandem.Busy, tandem.Timeout, tandem.Malformed:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func titleOf(code tandem.Code) string {
	switch statusOf(code) {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusServiceUnavailable:
		return "Not possible right now"
	case http.StatusInternalServerError:
		return "Something failed here"
	}
	return "That did not work"
}

// File begins a download: what follows is written to Call.W.
func (c *Call) File(name, kind string) {
	c.wrote, c.file = true, true
	h := c.W.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}
