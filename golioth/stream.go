package golioth

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"tandem"
)

// Stream queries LightDB Stream over the whole project. A query is a read, though it travels as a POST.
// Rows that cannot be read are left out, counted, and reported by one Malformed error after the last row.
func (c *Client) Stream(ctx context.Context, query tandem.StreamQuery) iter.Seq2[tandem.StreamRow, error] {
	const op = "golioth: query stream"
	return func(yield func(tandem.StreamRow, error) bool) {
		body, err := streamBody(query, c.clock())
		if err != nil {
			yield(tandem.StreamRow{}, err)
			return
		}
		get := func(ctx context.Context, number int) (page[*tandem.StreamRow], error) {
			body := body // each page has its own
			body.Page, body.PerPage = number, MaxPerPage
			encoded, err := encode(op, "", body)
			if err != nil {
				return page[*tandem.StreamRow]{}, err
			}
			k := &call{op: op, method: http.MethodPost, path: c.under("stream"), body: encoded, subject: aboutCollection}
			return listPage(ctx, c, k, number, func(raw json.RawMessage) (*tandem.StreamRow, error) {
				return decodeRow(raw, query.Paths), nil
			})
		}
		rows, unreadable := 0, 0
		for p, err := range pages(ctx, c.ahead, get) {
			if err != nil {
				yield(tandem.StreamRow{}, c.listingError(op, err))
				return
			}
			for _, row := range p.items {
				rows++
				if row == nil {
					unreadable++
				} else if !yield(*row, nil) {
					return
				}
			}
		}
		if unreadable > 0 {
			yield(tandem.StreamRow{}, tandem.Errorf(tandem.Malformed, op, "",
				"%d of %d rows have no device or no time that can be read; they were left out", unreadable, rows))
		}
	}
}

// streamRequest is the body of a query (API.md §7).
type streamRequest struct {
	Start   time.Time   `json:"start"`
	End     time.Time   `json:"end"`
	Page    int         `json:"page"`
	PerPage int         `json:"perPage"`
	Query   streamQuery `json:"query"`
}

type streamQuery struct {
	Fields  []streamField  `json:"fields"`
	Filters []streamFilter `json:"filters,omitempty"`
}

type streamField struct {
	Path string `json:"path"`
}

// streamFilter keeps rows in which a path has a value, or one of several.
type streamFilter struct {
	Op      string         `json:"op"`
	Path    string         `json:"path,omitempty"`
	Value   *string        `json:"value"` // always null
	Filters []streamFilter `json:"filters,omitempty"`
}

// streamBody writes a query down. An end is always given: the window must not move between two pages.
func streamBody(q tandem.StreamQuery, now time.Time) (streamRequest, error) {
	if len(q.Paths) == 0 {
		return streamRequest{}, tandem.Errorf(tandem.Invalid, "golioth: query stream", "", "no path is asked for")
	}
	if q.Until.IsZero() {
		q.Until = now
	}
	body := streamRequest{Start: q.Since.UTC(), End: q.Until.UTC()}
	body.Query.Fields = []streamField{{"time"}, {"deviceId"}}
	for _, path := range q.Paths {
		body.Query.Fields = append(body.Query.Fields, streamField{dotted(path)})
		body.Query.Filters = append(body.Query.Filters, streamFilter{Op: "<>", Path: dotted(path)})
	}
	if len(q.Paths) > 1 {
		body.Query.Filters = []streamFilter{{Op: "or", Filters: body.Query.Filters}}
	}
	return body, nil
}

// dotted gives a path as a query spells it.
func dotted(path string) string { return strings.ReplaceAll(strings.Trim(path, "/"), "/", ".") }

// decodeRow reads one row, nil when it has no device or time. Values go by the path that was asked for;
// those that the row lacks are left out.
func decodeRow(raw json.RawMessage, paths []string) *tandem.StreamRow {
	value, err := decodeValue(raw)
	members, isObject := value.(map[string]any)
	if err != nil || !isObject {
		return nil
	}
	device, _ := members["deviceId"].(string)
	if device == "" {
		device, _ = members["device_id"].(string)
	}
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(members["time"]))
	if err != nil || device == "" || strings.Contains(device, nul) {
		return nil
	}
	row := &tandem.StreamRow{DeviceID: device, Time: at.UTC(), Values: map[string]any{}}
	for _, path := range paths {
		if v := rowValue(members, path); v != nil {
			row.Values[path] = v
		}
	}
	return row
}

// rowValue finds a path in a row: by its dotted or slashed name, or nested.
func rowValue(members map[string]any, path string) any {
	path = strings.Trim(path, "/")
	if v, ok := members[dotted(path)]; ok {
		return v
	}
	if v, ok := members[path]; ok {
		return v
	}
	var value any = members
	for segment := range strings.SplitSeq(path, "/") {
		inside, _ := value.(map[string]any)
		value = inside[segment]
	}
	return value
}
