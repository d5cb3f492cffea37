package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
)

// maxFields bounds the fields that one request selects.
const maxFields = 100

// Listing is the query of a listing.
type Listing struct {
	Page  int `query:"page" minimum:"1" maximum:"1000000" default:"1" doc:"The page, from 1."`
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many to a page."`
}

// page gives the part that is asked for.
func (l Listing) page() tandem.Page {
	return tandem.Page{Number: max(l.Page, 1), Limit: max(l.Limit, 1)}
}

// pagination says which part a reply holds.
func (l Listing) pagination(total int) tandem.Pagination {
	return tandem.Paginated(l.page(), total)
}

// Selection names the fields that a reply is to hold.
type Selection struct {
	Fields string `query:"fields" maxLength:"2000" doc:"The members of each element to reply, separated by commas; all when left out." example:"id,name"`
}

// parseFields reads a selection: names that are among the known ones, each once, in the order of the request.
func parseFields(text string, known []string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "" || slices.Contains(names, name):
			continue
		case len(names) == maxFields:
			return nil, tandem.Errorf(tandem.Invalid, "select fields", "", "more than %d fields are selected", maxFields).WithHint("leave fields out for all of them")
		case !slices.Contains(known, name):
			return nil, tandem.Errorf(tandem.Invalid, "select fields", "", "there is no field %.40q to select", name).
				WithHint("the fields are %s", strings.Join(known, ", "))
		}
		names = append(names, name)
	}
	return names, nil
}

// selected is a reply of which some members of each element are written.
type selected struct {
	reply any
	list  string // the member that holds the elements; "" when the reply is one itself
	names []string
}

// MarshalJSON writes the reply with the selected members alone.
func (s selected) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(s.reply)
	if err != nil {
		return nil, err
	}
	if s.list == "" {
		return pick(text, s.names)
	}
	var reply map[string]json.RawMessage
	var elements []json.RawMessage
	if err := json.Unmarshal(text, &reply); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(reply[s.list], &elements); err != nil {
		return nil, err
	}
	for i := range elements {
		if elements[i], err = pick(elements[i], s.names); err != nil {
			return nil, err
		}
	}
	if reply[s.list], err = json.Marshal(elements); err != nil {
		return nil, err
	}
	return json.Marshal(reply)
}

// pick writes some members of an object, in the order of the names; those that are not there are left out.
func pick(object []byte, names []string) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for _, name := range names {
		value, ok := all[name]
		if !ok {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// selecting is what an operation's fields can be selected from, kept with the operation.
type selecting struct {
	list  string
	known []string
}

// selectKey is where an operation keeps it.
const selectKey = "tandem-selecting"

type namesKey struct{}

// selectFields refuses a selection of unknown fields before anything is done, and remembers the names.
func selectFields(api huma.API) func(ctx huma.Context, next func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		from, ok := ctx.Operation().Metadata[selectKey].(*selecting)
		if !ok {
			next(ctx)
			return
		}
		names, err := parseFields(ctx.Query("fields"), from.known)
		if err != nil {
			reply(api, ctx, problemOf(ctx.Context(), err))
			return
		}
		if names != nil {
			ctx = huma.WithValue(ctx, namesKey{}, names)
		}
		next(ctx)
	}
}

// transformSelected writes only what was selected of a good reply.
func transformSelected(ctx huma.Context, status string, v any) (any, error) {
	names, ok := ctx.Context().Value(namesKey{}).([]string)
	from, known := ctx.Operation().Metadata[selectKey].(*selecting)
	if !ok || !known || status != "200" {
		return v, nil
	}
	return selected{v, from.list, names}, nil
}

// list gives a listing's elements, never null.
func list[T any](elements []T) []T {
	if elements == nil {
		return []T{}
	}
	return elements
}

// splitList reads a query value of several, separated by commas.
func splitList(text string) []string {
	var elements []string
	for element := range strings.SplitSeq(text, ",") {
		if element = strings.TrimSpace(element); element != "" {
			elements = append(elements, element)
		}
	}
	return elements
}
