package part

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

// kindOf says how a value is shown.
func kindOf(raw json.RawMessage) string {
	text := bytes.TrimSpace(raw)
	switch {
	case len(text) == 0 || bytes.Equal(text, []byte("null")) || bytes.Equal(text, []byte(`""`)):
		return "nothing"
	case text[0] == '{' || text[0] == '[' && bytes.ContainsRune(text, '{'):
		return "object"
	}
	return "plain"
}

// Readable writes a JSON value as people read it.
func Readable(raw json.RawMessage) string {
	if len(bytes.TrimSpace(raw)) == 0 {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(raw)
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []any:
		if list, ok := words(v); ok {
			return strings.Join(list, ", ")
		}
	}
	return Pretty(raw)
}

// Pretty indents JSON for people: with &, < and > as they are. What is no JSON stays as it is.
func Pretty(raw json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(raw)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if e.Encode(v) != nil {
		return string(raw)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// words gives a list of texts and numbers.
func words(list []any) ([]string, bool) {
	out := make([]string, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case string:
			out[i] = v
		case json.Number:
			out[i] = v.String()
		default:
			return nil, false
		}
	}
	return out, true
}

// Piece is a stretch of a text, changed or not.
type Piece struct {
	Text    string
	Changed bool
}

// mostTokens bounds what is compared word by word; longer texts are marked as a whole.
const mostTokens = 2000

// Differences gives the pieces of after, marking those that before does not have: the words that are not in a longest
// common subsequence of both.
func Differences(before, after string) []Piece {
	if before == after {
		return []Piece{{Text: after}}
	}
	a, b := tokens(before), tokens(after)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	kept := common(a[head:len(a)-tail], b[head:len(b)-tail])
	var pieces []Piece
	add := func(text string, changed bool) {
		if n := len(pieces); n > 0 && pieces[n-1].Changed == changed {
			pieces[n-1].Text += text
			return
		}
		pieces = append(pieces, Piece{text, changed})
	}
	for i, token := range b {
		switch {
		case i < head || i >= len(b)-tail:
			add(token, false)
		default:
			add(token, !kept[i-head])
		}
	}
	return pieces
}

// common marks the tokens of b that are in a longest common subsequence with a.
func common(a, b []string) []bool {
	kept := make([]bool, len(b))
	if len(a) > mostTokens || len(b) > mostTokens {
		return kept
	}
	long := make([][]uint16, len(a)+1)
	for i := range long {
		long[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				long[i][j] = long[i+1][j+1] + 1
			} else {
				long[i][j] = max(long[i+1][j], long[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			kept[j] = true
			i, j = i+1, j+1
		case long[i+1][j] >= long[i][j+1]:
			i++
		default:
			j++
		}
	}
	return kept
}

// tokens cuts a text into words and what is between them.
func tokens(text string) []string {
	var list []string
	start, class := 0, -1
	for i, r := range text {
		now := 0
		switch {
		case unicode.IsLetter(r):
			now = 1
		case unicode.IsDigit(r):
			now = 2
		case unicode.IsSpace(r):
			now = 3
		}
		if i > start && (now != class || now == 0) {
			list = append(list, text[start:i])
			start = i
		}
		class = now
	}
	if start < len(text) {
		list = append(list, text[start:])
	}
	return list
}
