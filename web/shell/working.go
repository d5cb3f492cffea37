package shell

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/a-h/templ"
)

// Working replies with a page that is sent while something is done: say shows how far it is, each time in the place of
// what was said before, and what do gives, or why it failed, stands below in the end. Nothing is kept between requests, so
// that any process may serve the next one; whoever leaves the page, or follows its link back, ends do's context.
// say may be called from any goroutine until do returns.
func (c *Call) Working(f Frame, head templ.Component, back string, do func(ctx context.Context, say func(templ.Component)) (templ.Component, error)) error {
	h := c.W.Header()
	h.Set("X-Accel-Buffering", "no") // a proxy that waits for the end would show nothing of it
	return c.page(http.StatusOK, f, templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		if err := head.Render(ctx, w); err != nil {
			return err
		}
		said, err := c.said(ctx, w, do)
		if err != nil {
			c.Site.Log.InfoContext(ctx, "what a page was to show could not be done", "path", c.R.URL.Path, "error", err)
			said = failed(err, back)
		}
		return said.Render(ctx, w)
	}))
}

// pieceTime is how long a reader may take for a piece of a page that is sent as it comes.
const pieceTime = time.Minute

// said does it, and writes how far it is.
func (c *Call) said(ctx context.Context, w io.Writer, do func(ctx context.Context, say func(templ.Component)) (templ.Component, error)) (templ.Component, error) {
	var mu sync.Mutex
	var lost error
	control := http.NewResponseController(c.W)
	write := func(part templ.Component) {
		mu.Lock()
		defer mu.Unlock()
		// However long it takes in all, whoever reads takes each piece soon; not every ResponseWriter has deadlines.
		_ = control.SetWriteDeadline(time.Now().Add(pieceTime))
		if lost == nil {
			lost = templ.Join(part, templ.Flush()).Render(templ.ClearChildren(ctx), w)
		}
	}
	write(working())
	body, err := do(c.R.Context(), write)
	write(worked())
	if err == nil {
		err = lost
	}
	return body, err
}

func message(err error) string {
	text, _ := Explain(err)
	return text
}

func hint(err error) string {
	_, text := Explain(err)
	return text
}
