package legacy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// row is one row of an old table; columns that it lacks read as empty.
type row struct {
	number int // from 1
	values map[string]any
}

// reported names the row in a report.
func (r row) reported(table, reason string) Row {
	id := r.text("id")
	if id == "" {
		id = "row " + strconv.Itoa(r.number)
	}
	return Row{Table: table, ID: id, Name: r.text("name"), Reason: reason}
}

// text gives the first of some columns that is not empty, trimmed.
func (r row) text(columns ...string) string {
	for _, column := range columns {
		if s := strings.TrimSpace(plain(r.values[column])); s != "" {
			return s
		}
	}
	return ""
}

// plain gives a value as text.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case map[string]any, []any:
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(text)
	}
	return fmt.Sprint(v)
}

// object gives the first of some columns that holds a JSON object; not ok when one holds something else.
func (r row) object(columns ...string) (m map[string]any, ok bool) {
	ok = true
	for _, column := range columns {
		v := r.values[column]
		if m, is := v.(map[string]any); is {
			return m, true
		}
		text := strings.TrimSpace(plain(v))
		if text == "" || text == "null" {
			continue
		}
		var inner any
		if err := decode([]byte(text), &inner); err != nil {
			ok = false
			continue
		}
		if s, is := inner.(string); is { // JSON inside JSON
			if err := decode([]byte(s), &inner); err != nil {
				ok = false
				continue
			}
		}
		if m, is := inner.(map[string]any); is {
			return m, true
		}
		ok = false
	}
	return nil, ok
}

// list gives the first of some columns that is not empty as a list: JSON, an array's text ({a,b}), or separated by commas.
func (r row) list(columns ...string) []string {
	out, seen := []string{}, map[string]bool{}
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" && !seen[s] {
			out, seen[s] = append(out, s), true
		}
	}
	for _, column := range columns {
		items, is := r.values[column].([]any)
		text := strings.TrimSpace(plain(r.values[column]))
		if !is && strings.HasPrefix(text, "[") && decode([]byte(text), &items) == nil {
			is = true
		}
		if is {
			for _, item := range items {
				add(plain(item))
			}
		} else {
			for item := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
				add(strings.Trim(strings.TrimSpace(item), `"`))
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return out
}

// layouts are the ways in which old rows spell an instant.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07", "2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999", "2006-01-02"}

// time gives the first of some columns that holds an instant, in UTC microseconds; nil when none does.
func (r row) time(columns ...string) *time.Time {
	for _, column := range columns {
		if at, is := r.values[column].(time.Time); is {
			at = at.UTC().Truncate(time.Microsecond)
			return &at
		}
		text := strings.TrimSpace(plain(r.values[column]))
		for _, layout := range layouts {
			if at, err := time.Parse(layout, text); err == nil && !at.IsZero() {
				at = at.UTC().Truncate(time.Microsecond)
				return &at
			}
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 1e8 {
			at := time.Unix(n, 0).UTC()
			if n > 1e11 {
				at = time.UnixMilli(n).UTC()
			}
			return &at
		}
	}
	return nil
}

// number64 gives a column's number, nil for none.
func (r row) number64(column string) *float64 {
	n, err := strconv.ParseFloat(r.text(column), 64)
	if err != nil {
		return nil
	}
	return &n
}

// yes gives a column's truth, otherwise when it says nothing.
func (r row) yes(otherwise bool, column string) bool {
	switch strings.ToLower(r.text(column)) {
	case "1", "t", "true", "yes", "on", "enabled":
		return true
	case "0", "f", "false", "no", "off", "disabled":
		return false
	}
	return otherwise
}
