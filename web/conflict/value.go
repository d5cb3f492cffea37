package conflict

import (
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"tandem/web/part"

	"tandem"
)

// entered is a value as a person enters it.
type entered struct {
	text    string
	json    bool // it is JSON, not a text; of metadata only
	problem string
}

// startValue is what the form begins with: what is here.
func startValue(c *tandem.Conflict) entered {
	var text string
	if field, _ := c.FieldName.Field(); field != tandem.FieldMetadata {
		return entered{text: plain(c.LocalValue)}
	}
	if json.Unmarshal(c.LocalValue, &text) == nil {
		return entered{text: text}
	}
	return entered{text: part.Pretty(c.LocalValue), json: true}
}

// plain gives a text without its quotes, and anything else as JSON.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// readValue reads the form.
func readValue(form url.Values) entered {
	return entered{text: strings.TrimSpace(form.Get("value")), json: form.Get("as") == "json"}
}

// parse gives the value for a field, or what is wrong with it.
func (e entered) parse(path tandem.Path) (value any, problem string) {
	field, known := path.Field()
	switch {
	case known && field == tandem.FieldEnabled:
		switch e.text {
		case "true", "false":
			return e.text == "true", ""
		}
		return nil, "Choose yes or no."
	case known && field == tandem.FieldName && e.text == "":
		return nil, "A name cannot be empty."
	case known && field != tandem.FieldMetadata || !e.json:
		return e.text, ""
	}
	d := json.NewDecoder(strings.NewReader(e.text))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return nil, "This is not JSON. A text stands in quotes: \"north\"; or choose Text above."
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, "There is something after the end of the value."
	}
	return value, ""
}
