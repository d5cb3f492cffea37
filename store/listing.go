package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// To count the matches among a hundred thousand devices, or to sort them by what every report changes, is to read them all:
// an index that spared it would make each report dearer (docs/decisions/0018). So the listings of large fleets are kept for
// some seconds: how many devices match, and which are the first ones, in order. The rows of a page are read anew each time.
// What this process changes of devices and links ends the listings of its organization at once; what a report changes, and
// another process, shows in the order and the number of matches after listingKept.
const (
	listingKept   = 15 * time.Second
	listedFirst   = 10_000  // ids kept of each listing
	listedDeep    = 200_000 // ids kept once somebody turns to a page beyond those; still further ones are looked for anew
	listingsAtAll = 64      // kept in one process
	deepAtAll     = 4       // of those, the ones with all their ids
)

// listingKey is a filter without its page. Now counts in steps, since it moves with each request.
type listingKey struct {
	org     string
	filter  string
	asked   int64
	fleet   bool // not a listing: whether the fleet is large
	deep    bool // up to listedDeep
	edition int64
}

// listing is what is known of a filter's matches; ready is closed once it is.
type listing struct {
	ready chan struct{}
	total int
	ids   []string
	err   error
}

// listings are the ones that are kept.
type listings struct {
	mu      sync.Mutex
	kept    map[listingKey]*listing
	edition map[string]int64 // by organization, of its devices
}

// changed ends the listings of an organization.
func (l *listings) changed(org string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.edition == nil {
		l.edition = map[string]int64{}
	}
	l.edition[org]++
	for key := range l.kept {
		if key.org == org && !key.fleet {
			delete(l.kept, key)
		}
	}
}

// get gives a listing, by find when it is not kept. Who asks for the same meanwhile waits for it.
func (l *listings) get(ctx context.Context, key listingKey, find func() (int, []string, error)) (*listing, error) {
	l.mu.Lock()
	if !key.fleet {
		key.edition = l.edition[key.org]
	}
	one, there := l.kept[key]
	if !there {
		one = &listing{ready: make(chan struct{})}
		l.keep(key, one)
	}
	l.mu.Unlock()
	if there {
		select {
		case <-one.ready:
			if one.err == nil {
				return one, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		mine := &listing{} // whoever looked for it may have given up: that is not this request's failure
		mine.total, mine.ids, mine.err = find()
		return mine, mine.err
	}
	defer func() {
		if one.err != nil {
			l.drop(key, one)
		}
		close(one.ready)
	}()
	one.err = tandem.Errorf(tandem.Internal, "", "", "a listing was not finished") // should find panic
	one.total, one.ids, one.err = find()
	if one.err == nil {
		time.AfterFunc(listingKept, func() { l.drop(key, one) })
	}
	return one, one.err
}

// keep adds a listing, in the place of any other when there are too many.
func (l *listings) keep(key listingKey, one *listing) {
	if l.kept == nil {
		l.kept = map[listingKey]*listing{}
	}
	deep := 0
	for other := range l.kept {
		if other.deep {
			deep++
		}
	}
	for other := range l.kept {
		if full := len(l.kept) >= listingsAtAll; full || key.deep && other.deep && deep >= deepAtAll {
			delete(l.kept, other)
			if other.deep {
				deep--
			}
		}
	}
	l.kept[key] = one
}

func (l *listings) drop(key listingKey, one *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept[key] == one {
		delete(l.kept, key)
	}
}

// large reports whether an organization's listings are kept.
func (s *Store) large(ctx context.Context, tx bun.Conn, org string) (bool, error) {
	one, err := s.listings.get(ctx, listingKey{org: org, fleet: true}, func() (n int, _ []string, err error) {
		err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM devices WHERE organization_id = ? AND deleted_at IS NULL LIMIT ?) AS counted", org, LargeFleet+1).Scan(&n)
		return n, nil, err
	})
	return one != nil && one.total > LargeFleet, err
}

// listDevices gives the devices of a page and the number of all matches.
func (s *Store) listDevices(ctx context.Context, tx bun.Conn, org string, q tandem.DeviceFilter, f *filter, order string, now time.Time) (devices []tandem.Device, total int, err error) {
	if large, err := s.large(ctx, tx, org); err != nil {
		return nil, 0, err
	} else if large && len(q.IDs) == 0 {
		return s.listKept(ctx, tx, org, q, f, order, now)
	}
	if devices, err = s.pageOfDevices(ctx, tx, org, q, f, order); err != nil {
		return nil, 0, err
	}
	offset, limit := window(q.Page)
	last := len(devices) < limit && (len(devices) > 0 || offset == 0)
	if last || offset == 0 && len(q.IDs) > 0 && len(q.IDs) <= limit {
		return devices, offset + len(devices), nil // nothing is left to count
	}
	total, err = f.count(ctx, tx, "devices AS d")
	return devices, total, err
}

// listKept does the same of a large fleet.
func (s *Store) listKept(ctx context.Context, tx bun.Conn, org string, q tandem.DeviceFilter, f *filter, order string, now time.Time) (devices []tandem.Device, total int, err error) {
	key := listingKey{org: org}
	if q.Status != "" { // the only filter that time changes
		key.asked = now.UnixNano() / int64(listingKept)
	}
	kept := q
	kept.Page, kept.Now, kept.Enabled = tandem.Page{}, time.Time{}, nil
	key.filter = fmt.Sprintf("%+v", kept)
	if q.Enabled != nil {
		key.filter += fmt.Sprint(*q.Enabled)
	}
	found, err := s.listing(ctx, tx, key, f, order, listedFirst)
	if err != nil {
		return nil, 0, err
	}
	offset, limit := window(q.Page)
	if end := min(offset+limit, found.total); end > len(found.ids) && offset < found.total && end <= listedDeep {
		key.deep = true
		if found, err = s.listing(ctx, tx, key, f, order, listedDeep); err != nil {
			return nil, 0, err
		}
	}
	switch {
	case offset >= found.total:
		return nil, found.total, nil
	case offset+limit <= len(found.ids), len(found.ids) == found.total:
		ids := found.ids[min(offset, len(found.ids)):min(offset+limit, len(found.ids))]
		devices, err = s.devicesByID(ctx, tx, org, ids)
	default:
		devices, err = s.pageOfDevices(ctx, tx, org, q, f, order)
	}
	return devices, found.total, err
}

// listing gives what is kept of a listing, or finds it: the first ids in order, and the number of all matches.
func (s *Store) listing(ctx context.Context, tx bun.Conn, key listingKey, f *filter, order string, first int) (*listing, error) {
	return s.listings.get(ctx, key, func() (n int, ids []string, err error) {
		err = query(ctx, tx, func(rows *sql.Rows) error {
			var id word
			err := rows.Scan(&id)
			ids = append(ids, string(id))
			return err
		}, "SELECT d.id FROM devices AS d"+f.where()+" ORDER BY "+order+" LIMIT ?", append(append([]any{}, f.args...), first)...)
		if err != nil || len(ids) < first {
			return len(ids), ids, err
		}
		n, err = f.count(ctx, tx, "devices AS d")
		return n, ids, err
	})
}

// pageOfDevices reads a page.
func (s *Store) pageOfDevices(ctx context.Context, tx bun.Conn, org string, q tandem.DeviceFilter, f *filter, order string) ([]tandem.Device, error) {
	text, args := f.page(deviceRead, "devices AS d", order, q.Page)
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return scanDevices(org, rows)
}

// devicesByID reads live devices in the order of some ids; those that went meanwhile are left out.
func (s *Store) devicesByID(ctx context.Context, tx bun.Conn, org string, ids []string) ([]tandem.Device, error) {
	var found []tandem.Device
	if err := s.inChunks("d.id", ids, 2*chunk, func(list bun.Safe) error {
		rows, err := tx.QueryContext(ctx, "SELECT "+deviceRead+" FROM devices AS d WHERE d.organization_id = ? AND d.deleted_at IS NULL AND ?", org, list)
		if err != nil {
			return err
		}
		some, err := scanDevices(org, rows)
		found = append(found, some...)
		return err
	}); err != nil {
		return nil, err
	}
	at := make(map[string]int, len(found))
	for i := range found {
		at[found[i].ID] = i
	}
	ordered := make([]tandem.Device, 0, len(found))
	for _, id := range ids {
		if i, there := at[id]; there {
			ordered = append(ordered, found[i])
		}
	}
	return ordered, nil
}
