package golioth

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"tandem"
)

// Devices lists the project's devices page by page. A device that cannot be read comes with its Problem
// and fails alone (S33); a page that cannot be read ends the listing.
func (c *Client) Devices(ctx context.Context, listing tandem.RemoteListing) iter.Seq2[tandem.RemotePage, error] {
	const op = "golioth: list devices"
	perPage := listing.PerPage
	if perPage == 0 {
		perPage = MaxPerPage
	}
	return func(yield func(tandem.RemotePage, error) bool) {
		if perPage < 1 || perPage > MaxPerPage {
			yield(tandem.RemotePage{}, tandem.Errorf(tandem.Invalid, op, "", "a page of %d devices cannot be asked for", perPage).
				WithHint("ask for 1 to %d", MaxPerPage))
			return
		}
		filters := listingQuery(listing)
		get := func(ctx context.Context, number int) (page[tandem.RemoteDevice], error) {
			k := &call{op: op, thing: fmt.Sprintf("the device list of %s, page %d", c.project, number), method: http.MethodGet,
				path: c.under("devices"), query: paged(filters, number, perPage), subject: aboutCollection}
			var p devicePage
			k.parse = func(r *reply) (err error) {
				p, err = decodePage(r.text)
				return err
			}
			r, err := c.send(ctx, k)
			if err != nil {
				return page[tandem.RemoteDevice]{}, err
			}
			defer r.free()
			size, err := c.checkPage(k, r, numbers{p.number, p.perPage, p.total}, number, perPage, len(p.devices))
			return page[tandem.RemoteDevice]{number: number, perPage: size, total: p.total, items: p.devices, now: r.date()}, err
		}
		for p, err := range pages(ctx, c.ahead, get) {
			if err != nil {
				yield(tandem.RemotePage{}, c.listingError(op, err))
				return
			}
			if !yield(tandem.RemotePage{Number: p.number, PerPage: p.perPage, Total: p.total, Devices: p.items, Now: p.now}, nil) {
				return
			}
		}
	}
}

// listingQuery gives the filters of a listing.
func listingQuery(l tandem.RemoteListing) url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("deviceName", l.Name)
	set("hardwareId", l.HardwareID)
	set("blueprintId", l.BlueprintID)
	set("cohortId", l.CohortID)
	set("term", l.Term)
	set("statePath", l.StatePath)
	for _, id := range l.TagIDs {
		q.Add("tags", id) // repeated, not joined
	}
	if l.Enabled != nil {
		q.Set("enabled", strconv.FormatBool(*l.Enabled))
	}
	return q
}

// paged gives the filters with a page number.
func paged(filters url.Values, number, perPage int) url.Values {
	q := make(url.Values, len(filters)+2)
	for name, values := range filters {
		q[name] = values
	}
	q.Set("page", strconv.Itoa(number))
	q.Set("perPage", strconv.Itoa(perPage))
	return q
}

// checkPage compares what a page says about itself with what was asked, and gives its size: the service may
// hold fewer to a page than it was asked for, never another page.
func (c *Client) checkPage(k *call, r *reply, said numbers, number, perPage, items int) (int, error) {
	size := said.perPage
	if size == 0 {
		size = perPage
	}
	switch {
	case said.number != number:
		return 0, c.malformed(k, r, fmt.Errorf("page %d was asked for and page %d came", number, said.number))
	case size > perPage || items > size:
		return 0, c.malformed(k, r, fmt.Errorf("%d items came, %d to a page, where %d were asked for", items, size, perPage))
	}
	return size, nil
}

// listingError gives what ended a listing as an error of the house.
func (c *Client) listingError(op string, err error) error {
	if code := tandem.CodeOf(err); code != tandem.Internal {
		return err
	}
	return c.malformed(&call{op: op}, nil, err)
}

// listAll gets every page of a list of smaller things, read by one.
func listAll[T any](ctx context.Context, c *Client, op, path string, one func(json.RawMessage) (T, error)) ([]T, error) {
	all := []T{}
	get := func(ctx context.Context, number int) (page[T], error) {
		k := &call{op: op, method: http.MethodGet, path: path, query: paged(nil, number, MaxPerPage), subject: aboutCollection}
		return listPage(ctx, c, k, number, one)
	}
	for p, err := range pages(ctx, c.ahead, get) {
		if err != nil {
			return nil, c.listingError(op, err)
		}
		all = append(all, p.items...)
	}
	return all, nil
}

// listPage sends a call for one page of MaxPerPage and reads its items by one.
func listPage[T any](ctx context.Context, c *Client, k *call, number int, one func(json.RawMessage) (T, error)) (page[T], error) {
	var raw []json.RawMessage
	var said numbers
	k.parse = func(r *reply) (err error) {
		raw, said, err = decodeList(r.text)
		return err
	}
	r, err := c.send(ctx, k)
	if err != nil {
		return page[T]{}, err
	}
	defer r.free()
	size, err := c.checkPage(k, r, said, number, MaxPerPage, len(raw))
	if err != nil {
		return page[T]{}, err
	}
	p := page[T]{number: number, perPage: size, total: said.total, items: make([]T, len(raw)), now: r.date()}
	for i := range raw {
		if p.items[i], err = one(raw[i]); err != nil {
			return page[T]{}, c.malformed(k, r, err)
		}
	}
	return p, nil
}
