package part

import (
	"strings"

	"github.com/a-h/templ"
)

// Field describes one field of a form.
type Field struct {
	Name, Label  string
	Value        string
	Type         string // text where "", or email, password, number, url, search, textarea, …
	Hint         string // what to know, below it
	Error        string // what is wrong with it
	Placeholder  string
	Required     bool
	Autocomplete string
	Min, Max     string // of numbers
	MaxLength    string
	Rows         int    // of a textarea
	ID           string // default: "f-" and the name
	Mono         bool
}

// Option is one of a choice.
type Option struct{ Value, Label string }

func (f Field) id() string {
	if f.ID != "" {
		return f.ID
	}
	return "f-" + strings.NewReplacer(".", "-", "[", "-", "]", "").Replace(f.Name)
}

func (f Field) kind() string {
	if f.Type == "" {
		return "text"
	}
	return f.Type
}

func (f Field) rows() string {
	if f.Rows > 4 {
		return "8"
	}
	return "3"
}

// attributes gives what only some fields have.
func (f Field) attributes() templ.Attributes {
	a := templ.Attributes{}
	for name, value := range map[string]string{"placeholder": f.Placeholder, "autocomplete": f.Autocomplete, "min": f.Min, "max": f.Max, "maxlength": f.MaxLength} {
		if value != "" {
			a[name] = value
		}
	}
	if f.Required {
		a["required"] = true
	}
	var about []string
	if f.Hint != "" {
		about = append(about, f.id()+"-hint")
	}
	if f.Error != "" {
		about = append(about, f.id()+"-error")
		a["aria-invalid"] = "true"
	}
	if len(about) > 0 {
		a["aria-describedby"] = strings.Join(about, " ")
	}
	if f.Type == "number" {
		a["step"] = "any"
	}
	return a
}
