package syncer

import (
	"fmt"
	"time"

	"tandem"
)

// Proof is what a run can say about the listing it read (S15); kept in the run's details.
type Proof struct {
	Complete bool   `json:"complete"`
	Reason   string `json:"reason,omitempty"` // why not
	Pages    int    `json:"pages"`
	Total    int    `json:"total"` // as the first page said
	Distinct int    `json:"distinct"`
	Grown    int    `json:"grown,omitempty"` // devices created while it was read
}

// census gathers the proof page by page. Devices are listed in order of creation, so that those
// created meanwhile come last and spoil nothing, while a deletion shifts one past the reader.
type census struct {
	started time.Time // the remote's clock at the first page
	first   int
	last    int
	pages   int
	old     int // distinct devices created before the listing began
	new     int
	reason  string
}

func (c *census) page(p tandem.RemotePage) {
	if c.pages == 0 {
		c.started, c.first, c.last = p.Now, p.Total, p.Total
	}
	if p.Number != c.pages && c.reason == "" {
		c.reason = fmt.Sprintf("page %d came where page %d was asked", p.Number, c.pages)
	}
	if p.Total < c.last && c.reason == "" {
		c.reason = fmt.Sprintf("the total fell from %d to %d while it was read", c.last, p.Total)
	}
	c.last = max(c.last, p.Total)
	c.pages++
}

// device counts a distinct device.
func (c *census) device(d tandem.RemoteDevice) {
	// The Date header has whole seconds: what was created within its second counts as old, and a
	// doubt about one device ends as an unproven listing, never as a false proof.
	if !c.started.IsZero() && d.CreatedAt.After(c.started.Add(time.Second)) {
		c.new++
		return
	}
	c.old++
}

// proof judges what was read.
func (c *census) proof() Proof {
	p := Proof{Pages: c.pages, Total: c.first, Distinct: c.old + c.new, Grown: c.last - c.first, Reason: c.reason}
	switch {
	case p.Reason != "":
	case c.pages == 0:
		p.Reason = "nothing was read"
	case c.old+c.new != c.last:
		p.Reason = fmt.Sprintf("%d distinct devices were listed where the total was %d", c.old+c.new, c.last)
	case c.last != c.first && c.old > c.first:
		p.Reason = fmt.Sprintf("the total grew from %d to %d, but the new devices cannot be told from the old", c.first, c.last)
	case c.last == c.first && c.new > 0, c.old < c.first:
		p.Reason = "devices were created and deleted while it was read"
	default:
		p.Complete = true
	}
	return p
}
