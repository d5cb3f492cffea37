package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// fits reports whether a row passes a filter; an unknown operator passes none.
func (p *project) fits(r row, f queryFilter) bool {
	switch f.Op {
	case "and", "or":
		for _, inner := range f.Filters {
			if p.fits(r, inner) != (f.Op == "and") {
				return f.Op == "or"
			}
		}
		return f.Op == "and"
	}
	have := p.value(r, f.Path)
	switch f.Op {
	case "=", "<>":
		equal := same(have, f.Value)
		if list, ok := f.Value.([]any); ok {
			equal = slices.ContainsFunc(list, func(v any) bool { return same(have, v) })
		}
		return equal == (f.Op == "=")
	}
	a, okA := number(have)
	b, okB := number(f.Value)
	if !okA || !okB {
		return false
	}
	switch f.Op {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	}
	return false
}

func same(a, b any) bool {
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return x == y
		}
	}
	return fmt.Sprint(a) == fmt.Sprint(b)
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(n, 64)
		return f, err == nil
	}
	return 0, false
}

// group is the rows that agree in every field without an aggregate.
type group struct {
	at   int64
	keys map[string]any
	rows []row
}

// aggregate groups rows by their plain fields and time bucket, newest group first.
func (p *project) aggregate(rows []row, what selectionQuery) ([]map[string]any, error) {
	var bucket time.Duration
	if what.TimeBucket != "" {
		var err error
		if bucket, err = parseInterval(what.TimeBucket); err != nil {
			return nil, err
		}
	}
	groups := map[string]*group{}
	for _, r := range rows {
		if bucket > 0 {
			r = row{device: r.device, at: time.Unix(0, r.at).Truncate(bucket).UnixNano(), data: p.payload(r)}
		}
		keys := map[string]any{}
		if bucket > 0 {
			keys["time"] = p.value(r, "time")
		}
		for _, f := range what.Fields {
			if f.Agg == "" {
				keys[f.key()] = p.value(r, f.Path)
			}
		}
		id, err := encode(keys)
		if err != nil {
			return nil, err
		}
		g := groups[string(id)]
		if g == nil {
			g = &group{at: r.at, keys: keys}
			groups[string(id)] = g
		}
		g.rows = append(g.rows, r)
	}
	ordered := make([]*group, 0, len(groups))
	for _, g := range groups {
		ordered = append(ordered, g)
	}
	slices.SortFunc(ordered, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(fmt.Sprint(a.keys), fmt.Sprint(b.keys)))
	})
	list := make([]map[string]any, 0, len(ordered))
	for _, g := range ordered {
		for _, f := range what.Fields {
			if f.Agg == "" {
				continue
			}
			value, err := p.total(g.rows, f)
			if err != nil {
				return nil, err
			}
			g.keys[f.key()] = value
		}
		list = append(list, g.keys)
	}
	return list, nil
}

// total aggregates one field of a group; null where no row has a number.
func (p *project) total(rows []row, f queryField) (any, error) {
	var numbers []float64
	count := 0
	for _, r := range rows {
		v := p.value(r, f.Path)
		if v != nil {
			count++
		}
		if n, ok := number(v); ok {
			numbers = append(numbers, n)
		}
	}
	sum := 0.0
	for _, n := range numbers {
		sum += n
	}
	switch {
	case f.Agg == "count":
		return count, nil
	case !slices.Contains([]string{"avg", "max", "min", "sum"}, f.Agg):
		return nil, invalid("unknown aggregate %q", f.Agg)
	case len(numbers) == 0:
		return nil, nil
	case f.Agg == "avg":
		return sum / float64(len(numbers)), nil
	case f.Agg == "max":
		return slices.Max(numbers), nil
	case f.Agg == "min":
		return slices.Min(numbers), nil
	}
	return sum, nil
}
