package golioth

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"tandem"
)

// fleet serves n devices, a page at a time; when it is asked for a page, grow may add some.
func fleet(n *atomic.Int64, seen func(page int)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(r.URL.Query().Get("page"))
		if err != nil {
			panic(err)
		}
		perPage, err := strconv.Atoi(r.URL.Query().Get("perPage"))
		if err != nil {
			panic(err)
		}
		if seen != nil {
			seen(number)
		}
		total := int(n.Load())
		var devices []string
		for i := number * perPage; i < min(total, (number+1)*perPage); i++ {
			devices = append(devices, fmt.Sprintf(`{"id":"%08x","name":"d%d","enabled":true,"hardwareIds":[],"tagIds":[]}`, i, i))
		}
		say(w, 200, wirePage(number, perPage, total, devices...))
	}
}

// list collects a listing, whose pages must come in order, whose ids must rise.
func list(t *testing.T, c *Client, l tandem.RemoteListing) (pages, devices int, err error) {
	t.Helper()
	last := ""
	for p, err := range c.Devices(soon(t), l) {
		if err != nil {
			return pages, devices, err
		}
		if p.Number != pages || p.Now.IsZero() {
			t.Errorf("page %d came as number %d, at %v", p.Number, pages, p.Now)
		}
		pages++
		for _, d := range p.Devices {
			if d.ID <= last {
				t.Fatalf("%s after %s", d.ID, last)
			}
			last = d.ID
			devices++
		}
	}
	return pages, devices, nil
}

func TestDevicesListsEverything(t *testing.T) {
	for _, n := range []int64{0, 1, 99, 100, 101, 2345} {
		var total atomic.Int64
		total.Store(n)
		pages, devices, err := list(t, serve(t, fleet(&total, nil)), tandem.RemoteListing{})
		if err != nil || devices != int(n) || pages != max(1, int(n+99)/100) {
			t.Errorf("%d: %d pages, %d devices, %v", n, pages, devices, err)
		}
	}
}

func TestDevicesFollowsAGrowingTotal(t *testing.T) {
	var total atomic.Int64
	total.Store(250)
	c := serve(t, fleet(&total, func(page int) {
		if page == 2 {
			total.Store(520)
		}
	}), func(o *Options) { o.PageConcurrency = 1 })
	if pages, devices, err := list(t, c, tandem.RemoteListing{}); err != nil || devices != 520 || pages != 6 {
		t.Errorf("%d pages, %d devices, %v", pages, devices, err)
	}
}

func TestDevicesEndsWithAnEmptyPage(t *testing.T) {
	var total atomic.Int64
	total.Store(1000)
	c := serve(t, fleet(&total, func(page int) {
		if page == 1 {
			total.Store(150) // deleted while paging
		}
	}), func(o *Options) { o.PageConcurrency = 1 })
	if pages, devices, err := list(t, c, tandem.RemoteListing{}); err != nil || devices != 150 || pages > 3 {
		t.Errorf("%d pages, %d devices, %v", pages, devices, err)
	}
}

func TestDevicesFilters(t *testing.T) {
	yes := true
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		want := "blueprintId=b&cohortId=c&deviceName=n+1&enabled=true&hardwareId=h&page=0&perPage=7&statePath=a%2Fb&tags=t1&tags=t2&term=x"
		if r.URL.RawQuery != want {
			t.Errorf("%s, not %s", r.URL.RawQuery, want)
		}
		say(w, 200, wirePage(0, 7, 0))
	})
	l := tandem.RemoteListing{Name: "n 1", HardwareID: "h", TagIDs: []string{"t1", "t2"}, BlueprintID: "b", CohortID: "c", Enabled: &yes,
		Term: "x", StatePath: "a/b", PerPage: 7}
	if _, _, err := list(t, c, l); err != nil {
		t.Error(err)
	}
	_, _, err := list(t, c, tandem.RemoteListing{PerPage: 101})
	wants(t, err, tandem.Invalid)
}

func TestDevicesPageErrors(t *testing.T) {
	for name, test := range map[string]struct {
		reply string
		code  tandem.Code
	}{
		"another page":    {wirePage(4, 100, 300, bare), tandem.Malformed},
		"too many":        {wirePage(0, 1, 300, bare, bare), tandem.Malformed},
		"not a page":      {`{"data":{}}`, tandem.Malformed},
		"broken":          {`{"list":[`, tandem.Malformed},
		"other page size": {"", tandem.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case test.reply != "":
					say(w, 200, test.reply)
				case r.URL.Query().Get("page") == "0":
					say(w, 200, wirePage(0, 100, 300, bare))
				default:
					say(w, 200, wirePage(1, 50, 300, bare))
				}
			})
			_, _, err := list(t, c, tandem.RemoteListing{})
			wants(t, err, test.code)
		})
	}
}

// Breaking out leaves no goroutine behind; goleak in TestMain looks at the end of it all, and here the
// number of requests shows that no page was fetched beyond the window.
func TestDevicesStopsWhenTheConsumerDoes(t *testing.T) {
	var total, asked atomic.Int64
	total.Store(1_000_000)
	c := serve(t, fleet(&total, func(int) { asked.Add(1) }))
	pages := 0
	for _, err := range c.Devices(soon(t), tandem.RemoteListing{}) {
		if err != nil {
			t.Fatal(err)
		}
		if pages++; pages == 5 {
			break
		}
	}
	if n := asked.Load(); n > 5+2*DefaultPageConcurrency {
		t.Errorf("%d pages were fetched for 5", n)
	}
	for _, err := range c.Devices(soon(t), tandem.RemoteListing{}) {
		if err != nil {
			t.Error(err)
		}
		break // after the first page nothing else is asked for
	}
}

// S20: memory is all but independent of the fleet's size.
func TestS20ListingMemoryIsFlat(t *testing.T) {
	devices := make([]string, 100)
	for i := range devices {
		devices[i] = wire(i)
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(r.URL.Query().Get("page"))
		if err != nil {
			panic(err)
		}
		say(w, 200, wirePage(number, 100, 100_000, devices...))
	})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early, late uint64
	for p, err := range c.Devices(soon(t), tandem.RemoteListing{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch p.Number {
		case 50:
			early = heap()
		case 950:
			late = heap()
		}
	}
	if late > early+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes over 90,000 devices", early, late)
	}
}
