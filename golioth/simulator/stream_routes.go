package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one message in LightDB Stream.
type row struct {
	device objectID
	at     int64 // Unix nanoseconds
	data   any   // nil for the row of a device's last report, made when asked for
}

// streamQuery is the body of a query, or its parameters.
type streamQuery struct {
	Start        string          `json:"start"`
	End          string          `json:"end"`
	Interval     string          `json:"interval"`
	EncodedQuery string          `json:"encodedQuery"`
	Query        json.RawMessage `json:"query"`
	DeviceID     []string        `json:"deviceId"`
	Tags         []string        `json:"tags"`
	Page         int             `json:"page"`
	PerPage      int             `json:"perPage"`
}

// selectionQuery is what of each row is asked.
type selectionQuery struct {
	TimeBucket string        `json:"timeBucket"`
	Fields     []queryField  `json:"fields"`
	Filters    []queryFilter `json:"filters"`
}

type queryField struct {
	Path  string `json:"path"`
	Alias string `json:"alias"`
	Agg   string `json:"agg"`
	Type  string `json:"type"`
}

type queryFilter struct {
	Path    string        `json:"path"`
	Op      string        `json:"op"`
	Value   any           `json:"value"`
	Filters []queryFilter `json:"filters"`
}

func queryStream(c *call) (reply, error) {
	q, what, err := c.streamQuery()
	if err != nil {
		return reply{}, err
	}
	size, err := c.pageSize(q.PerPage)
	if err != nil {
		return reply{}, err
	}
	from, to, err := c.window(q)
	if err != nil {
		return reply{}, err
	}
	p := c.project
	p.lock(c.now)
	defer p.mu.Unlock()
	if id, ok := c.vars["device"]; ok {
		d, err := c.lookup(id)
		if err != nil {
			return reply{}, err
		}
		q.DeviceID, q.Tags = []string{d.id.String()}, nil
	}
	rows := p.streamRows(q, from, to)
	if len(what.Filters) > 0 {
		rows = slices.Clone(rows)
		rows = slices.DeleteFunc(rows, func(r row) bool { return !p.fits(r, queryFilter{Op: "and", Filters: what.Filters}) })
	}
	var list []map[string]any
	total := len(rows)
	if what.TimeBucket != "" || slices.ContainsFunc(what.Fields, func(f queryField) bool { return f.Agg != "" }) {
		all, err := p.aggregate(rows, what)
		if err != nil {
			return reply{}, err
		}
		total = len(all)
		start := min(q.Page*size, total)
		list = all[start:min(start+size, total)]
	} else {
		start := min(q.Page*size, total)
		for _, r := range rows[start:min(start+size, total)] {
			list = append(list, p.show(r, what.Fields))
		}
	}
	if list == nil {
		list = []map[string]any{}
	}
	return jsonReply(page{list, q.Page, size, total})
}

// streamQuery reads a query from the parameters of a GET or the body of a POST.
func (c *call) streamQuery() (q streamQuery, what selectionQuery, err error) {
	if c.request.Method == http.MethodGet {
		q = streamQuery{Start: c.param("start"), End: c.param("end"), Interval: c.param("interval"),
			EncodedQuery: c.param("encodedQuery"), DeviceID: c.params("deviceId"), Tags: c.params("tags")}
		what.TimeBucket = c.param("query.timeBucket")
		if q.Page, err = c.queryUint("page"); err != nil {
			return q, what, err
		}
		if q.PerPage, err = c.queryUint("perPage"); err != nil {
			return q, what, err
		}
	} else if f, err := c.fields(); err != nil {
		return q, what, err
	} else {
		for key, into := range map[string]any{"start": &q.Start, "end": &q.End, "interval": &q.Interval, "encodedQuery": &q.EncodedQuery,
			"query": &q.Query, "deviceId": &q.DeviceID, "tags": &q.Tags, "page": &q.Page, "perPage": &q.PerPage} {
			if err := f.read(key, "stream query", into); err != nil {
				return q, what, err
			}
		}
	}
	if q.Page < 0 || q.PerPage < 0 {
		return q, what, invalid("proto: (line 1:1): invalid value for uint32 field page")
	}
	text := []byte(q.EncodedQuery)
	if len(text) == 0 {
		text = q.Query
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &what); err != nil {
			return q, what, invalid("invalid query")
		}
	}
	return q, what, nil
}

// window gives the instants between which rows count.
func (c *call) window(q streamQuery) (from, to time.Time, err error) {
	read := func(name, text string, otherwise time.Time) (time.Time, error) {
		if text == "" {
			return otherwise, nil
		}
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return t, invalid("parsing field %q: %v", name, err)
		}
		return t, nil
	}
	if to, err = read("end", q.End, c.now); err != nil {
		return from, to, err
	}
	if visible := c.now.Add(-max(c.server.unknowns.StreamDelay, c.stale)); to.After(visible) {
		to = visible
	}
	back := c.server.unknowns.StreamWindow
	if q.Interval != "" {
		if back, err = parseInterval(q.Interval); err != nil {
			return from, to, err
		}
	}
	from, err = read("start", q.Start, to.Add(-back))
	return from, to, err
}

// parseInterval reads a look-back or a bucket: 15m, 8h, 731h, 7d.
func parseInterval(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err == nil && n > 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, invalid("invalid interval %q", text)
	}
	return d, nil
}

// streamRows gives the rows between two instants, newest first. A device's last report is a row.
func (p *project) streamRows(q streamQuery, from, to time.Time) []row {
	key := fmt.Sprint(from.UnixNano(), to.UnixNano(), q.DeviceID, q.Tags, p.generation, p.moves)
	if rows, ok := p.queries[key]; ok {
		return rows
	}
	devices := p.order
	if len(q.DeviceID) > 0 {
		devices = nil
		for _, d := range p.order {
			if slices.Contains(q.DeviceID, d.id.String()) {
				devices = append(devices, d)
			}
		}
	}
	wanted := map[objectID]bool{}
	narrowed := len(q.DeviceID) > 0 || len(q.Tags) > 0
	low, high := from.UnixNano(), to.UnixNano()
	var rows []row
	for _, d := range devices {
		if len(q.Tags) > 0 && !(filter{tags: q.Tags}).fits(d) {
			continue
		}
		if narrowed {
			wanted[d.id] = true
		}
		if d.lastReport != 0 && d.lastReport >= low && d.lastReport <= high {
			rows = append(rows, row{device: d.id, at: d.lastReport})
		}
	}
	for _, r := range p.rows {
		if r.at >= low && r.at <= high && (!narrowed || wanted[r.device]) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.at, a.at), b.device.compare(a.device)) })
	if len(p.queries) >= 4 {
		clear(p.queries)
	}
	p.queries[key] = rows
	return rows
}

// payload gives a row's data.
func (p *project) payload(r row) any {
	d := p.byID[r.device]
	if r.data != nil || d == nil {
		return r.data
	}
	doc := p.state(d)
	data := map[string]any{"temp": json.Number(strconv.FormatFloat(15+float64(r.at/1e9%150)/10, 'f', 1, 64))}
	for _, key := range []string{"battery", "location"} {
		if v := stateAt(doc, []string{key}); v != nil {
			data[key] = v
		}
	}
	return data
}

// value gives a row's value at a dotted path, or one of the special fields.
func (p *project) value(r row, path string) any {
	switch path {
	case "time":
		return time.Unix(0, r.at).UTC().Format("2006-01-02T15:04:05.999999") + "+00:00"
	case "deviceId", "device_id":
		return r.device.String()
	case "*":
		return p.payload(r)
	}
	return stateAt(p.payload(r), strings.Split(path, "."))
}

// show gives the asked fields of a row, a missing one as null; without fields, all.
func (p *project) show(r row, asked []queryField) map[string]any {
	if len(asked) == 0 {
		asked = []queryField{{Path: "time"}, {Path: "deviceId"}, {Path: "*"}}
	}
	m := make(map[string]any, len(asked))
	for _, f := range asked {
		m[f.key()] = p.value(r, f.Path)
	}
	return m
}

func (f queryField) key() string {
	if f.Alias == "" && f.Path == "*" {
		return "data"
	}
	return cmp.Or(f.Alias, f.Path)
}
