package notlinked_test

import (
	"testing"

	"tandem/web/webtest"
)

// TestList: both sides are listed, in both themes and at phone width.
func TestList(t *testing.T) {
	t.Parallel()
	w := open(t, 9, "lonely pump", "lonely valve")
	w.Each(t, func(t *testing.T, p *webtest.Page) {
		p.Open("not-linked")
		p.SeeIn("#list table", w.notLinked(all)[0].Name)
		p.Axe()
		p.Shot("not-linked")
		p.Click("nav.tabs a >> Here, not on Golioth")
		p.SeeIn("#list table", "lonely pump")
		p.Axe()
		p.Shot("not-linked-here")
	})
}
