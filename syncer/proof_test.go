package syncer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
)

var listingBegan = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// pageOf makes a listing's page of devices made long before it, or, for ids that begin with "new", after it began.
func pageOf(number, total int, ids ...string) tandem.RemotePage {
	p := tandem.RemotePage{Number: number, PerPage: 100, Total: total, Now: listingBegan}
	for _, id := range ids {
		created := listingBegan.Add(-time.Hour)
		if strings.HasPrefix(id, "new") {
			created = listingBegan.Add(time.Minute)
		}
		p.Devices = append(p.Devices, tandem.RemoteDevice{ID: id, CreatedAt: created})
	}
	return p
}

// count runs pages through a census as a run does.
func countPages(pages []tandem.RemotePage) Proof {
	var c census
	all := &seen{}
	for _, p := range pages {
		c.page(p)
		for _, d := range p.Devices {
			if all.round(d.ID) {
				c.device(d)
			}
			all.add(d.ID)
		}
	}
	return c.proof()
}

func TestS15ProofOfAListing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pages  []tandem.RemotePage
		proven bool
		reason string
	}{
		{"empty", []tandem.RemotePage{pageOf(0, 0)}, true, ""},
		{"two pages", []tandem.RemotePage{pageOf(0, 3, "a", "b"), pageOf(1, 3, "c")}, true, ""},
		{"an empty page at the end", []tandem.RemotePage{pageOf(0, 2, "a", "b"), pageOf(1, 2)}, true, ""},
		{"grown past the highest id", []tandem.RemotePage{pageOf(0, 2, "a", "b"), pageOf(1, 3, "new-c")}, true, ""},
		{"nothing was read", nil, false, "nothing was read"},
		{"one was not shown", []tandem.RemotePage{pageOf(0, 3, "a", "b"), pageOf(1, 3)}, false, "2 distinct devices"},
		{"one was shown twice", []tandem.RemotePage{pageOf(0, 3, "a", "b"), pageOf(1, 3, "b")}, false, "2 distinct devices"},
		{"the total fell", []tandem.RemotePage{pageOf(0, 3, "a", "b"), pageOf(1, 2)}, false, "fell from 3 to 2"},
		{"a page is missing", []tandem.RemotePage{pageOf(0, 3, "a"), pageOf(2, 3, "b", "c")}, false, "page 2 came where page 1"},
		{"one deleted, one made, total unmoved", []tandem.RemotePage{pageOf(0, 3, "a", "b"), pageOf(1, 3, "new-d")}, false, "created and deleted"},
		{"one deleted, two made", []tandem.RemotePage{pageOf(0, 3, "a", "b"), pageOf(1, 4, "new-d", "new-e")}, false, "created and deleted"},
		{"grown by an old one", []tandem.RemotePage{pageOf(0, 2, "a", "b"), pageOf(1, 3, "c")}, false, "cannot be told"},
		{"no total at all", []tandem.RemotePage{pageOf(0, 0, "a")}, false, "1 distinct devices"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := countPages(tt.pages)
			if p.Complete != tt.proven || !strings.Contains(p.Reason, tt.reason) || (p.Reason == "") != tt.proven {
				t.Fatalf("proof is %+v, want complete=%v and a reason with %q", p, tt.proven, tt.reason)
			}
		})
	}
}

// TestS15DeletionWhileListing plays a project whose devices are deleted and made while its pages are
// read: a listing that missed a device which was there all the time is never proven.
func TestS15DeletionWhileListing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const perPage = 3
		var world []string
		for i := range rapid.IntRange(0, 12).Draw(t, "devices") {
			world = append(world, fmt.Sprintf("a%02d", i))
		}
		start := append([]string{}, world...)
		made := 0
		var pages []tandem.RemotePage
		for number := 0; ; number++ {
			from, to := min(number*perPage, len(world)), min((number+1)*perPage, len(world))
			pages = append(pages, pageOf(number, len(world), world[from:to]...))
			if to == len(world) {
				break
			}
			for range rapid.IntRange(0, 2).Draw(t, "moves") {
				if len(world) > 0 && rapid.Bool().Draw(t, "delete") {
					k := rapid.IntRange(0, len(world)-1).Draw(t, "which")
					world = append(world[:k:k], world[k+1:]...)
				} else {
					world = append(world, fmt.Sprintf("new%02d", made))
					made++
				}
			}
		}
		if p := countPages(pages); !p.Complete {
			return
		}
		shown := map[string]bool{}
		for _, page := range pages {
			for _, d := range page.Devices {
				shown[d.ID] = true
			}
		}
		still := map[string]bool{}
		for _, id := range world {
			still[id] = true
		}
		for _, id := range start {
			if still[id] && !shown[id] {
				t.Fatalf("the listing is proven complete, but did not show %s", id)
			}
		}
	})
}
