package part

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"tandem"
)

// Listing is which part of a table a page shows, and the address that it came from.
type Listing struct {
	Path   string     // of the table
	Query  url.Values // filters, sort, page
	Page   int        // from 1
	Limit  int
	Total  int
	AtMost bool // Total is only a lower bound: there are more
	Sort   string
	Place  string // the id of the table on a page with other things, where the links to other pages of it lead
}

// NewListing reads page and sort from an address's values, which it keeps; limit is how many rows a page has.
func NewListing(path string, query url.Values, limit int) Listing {
	query.Del("part") // asked for by a script; links are for the whole page
	l := Listing{Path: path, Query: query, Page: 1, Limit: limit, Sort: query.Get("sort")}
	if n, err := strconv.Atoi(query.Get("page")); err == nil && n > 0 && n < 1_000_000 {
		l.Page = n
	}
	return l
}

// Pages is how many there are, at least one.
func (l Listing) Pages() int {
	return max(1, (l.Total+l.Limit-1)/max(l.Limit, 1))
}

// With gives the address with one value changed; "" takes it out. What changes leads to the first page.
func (l Listing) With(key string, value any) string {
	q := url.Values{}
	for k, v := range l.Query {
		q[k] = v
	}
	if key != "page" && key != "part" {
		q.Del("page")
	}
	if text := fmt.Sprint(value); text == "" {
		q.Del(key)
	} else {
		q.Set(key, text)
	}
	place := ""
	if key == "page" && l.Place != "" {
		place = "#" + l.Place
	}
	if len(q) == 0 {
		return l.Path + place
	}
	return l.Path + "?" + q.Encode() + place
}

// SortBy gives the address sorted by a key, or, where it is already, the other way round.
func (l Listing) SortBy(key string) string {
	if l.Sort == key {
		return l.With("sort", "-"+key)
	}
	return l.With("sort", key)
}

// AriaSort says how a column is sorted.
func (l Listing) AriaSort(key string) string {
	switch l.Sort {
	case key:
		return "ascending"
	case "-" + key:
		return "descending"
	}
	return "none"
}

// TotalText is the whole number.
func (l Listing) TotalText() string { return strconv.Itoa(l.Total) }

// Range says which rows are shown of how many.
func (l Listing) Range() string {
	if l.Total == 0 {
		return "Nothing to show"
	}
	from, to := (l.Page-1)*l.Limit+1, min(l.Page*l.Limit, l.Total)
	if from > l.Total {
		return "This page is past the end; there are " + Number(l.Total)
	}
	more := ""
	if l.AtMost {
		more = "more than "
	}
	return fmt.Sprintf("%s–%s of %s%s", Number(from), Number(to), more, Number(l.Total))
}

// CountedSome says that matches were counted up to tandem.CountedTo: a Total above it stands for any.
func (l *Listing) CountedSome() {
	if l.Total > tandem.CountedTo {
		l.Total, l.AtMost = tandem.CountedTo, true
	}
}

// Filtered reports whether the address narrows the table.
func (l Listing) Filtered(keys ...string) bool {
	for _, k := range keys {
		if strings.TrimSpace(l.Query.Get(k)) != "" {
			return true
		}
	}
	return false
}
