package registry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"tandem"
)

// wrapped is how `device export` begins: an object whose first member is the list.
var wrapped = regexp.MustCompile(`^\s*\{\s*"devices"\s*:\s*\[`)

// readJSON reads a list of devices, an object that begins with a list named devices, or one object a line.
func readJSON(file *bufio.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		ahead, err := file.Peek(4096)
		if err != nil && !errors.Is(err, io.EOF) {
			yield(Row{}, err)
			return
		}
		opening := 0
		switch first, _, _ := bytes.Cut(bytes.TrimSpace(ahead), []byte("\n")); {
		case wrapped.Match(ahead):
			opening = 3 // { "devices" [
		case bytes.HasPrefix(first, []byte("[")):
			opening = 1
		case json.Valid(first):
			readLines(file, yield)
			return
		}
		readValues(file, opening, yield)
	}
}

// readValues reads the values after some opening tokens: of a list, or one after the other when there are none.
// Broken JSON ends it, since nobody knows where the next device begins.
func readValues(file io.Reader, opening int, yield func(Row, error) bool) {
	lines := &lineCounter{r: file}
	d := json.NewDecoder(lines)
	for range opening {
		if _, err := d.Token(); err != nil {
			yield(Row{}, brokenJSON(lines.at(d.InputOffset()), err))
			return
		}
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			var syntax *json.SyntaxError
			at := d.InputOffset()
			if errors.As(err, &syntax) {
				at = syntax.Offset - 1
			}
			yield(Row{}, brokenJSON(lines.at(at), err))
			return
		}
		if !yield(jsonRow(lines.at(d.InputOffset())-bytes.Count(raw, []byte("\n")), raw), nil) {
			return
		}
	}
	if opening > 0 {
		if _, err := d.Token(); err != nil { // the list's end
			yield(Row{}, brokenJSON(lines.at(d.InputOffset()), err))
		}
	}
}

// readLines reads one object a line; a broken line is its own problem.
func readLines(file *bufio.Reader, yield func(Row, error) bool) {
	s := bufio.NewScanner(file)
	s.Buffer(make([]byte, 0, 64<<10), maxRow+1)
	for line := 1; s.Scan(); line++ {
		if text := bytes.TrimSpace(s.Bytes()); len(text) > 0 && !yield(jsonRow(line, text), nil) {
			return
		}
	}
	if err := s.Err(); err != nil {
		yield(Row{}, tandem.Errorf(tandem.Invalid, "read devices", "", "the file cannot be read: %w", err))
	}
}

func brokenJSON(line int, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errors.New("it ends too early")
	}
	return tandem.Errorf(tandem.Invalid, "read devices", fmt.Sprintf("line %d", line), "the file is not valid JSON: %w", err).
		WithHint("it must be a list of objects, or one object a line")
}

// jsonRow reads one device.
func jsonRow(line int, raw []byte) Row {
	row := Row{Line: line}
	var object map[string]json.RawMessage
	switch err := json.Unmarshal(raw, &object); {
	case len(raw) > maxRow:
		row.wrong("", fmt.Errorf("it has %d bytes, at most %d are allowed", len(raw), maxRow))
		return row
	case !utf8.Valid(raw):
		row.wrong("", errors.New("it is not valid UTF-8 text"))
		return row
	case err != nil || object == nil:
		row.wrong("", errors.New("it is not a JSON object"))
		return row
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := columnIndex(name)
		if at < 0 {
			row.wrong(name, errors.New("there is no such column"))
		} else if read := columns[at].read; read != nil {
			if err := read(&row, jsonCell(object[name])); err != nil {
				row.wrong(name, err)
			}
		}
	}
	return row
}

// jsonCell is a value of a JSON object; null is an empty one.
type jsonCell json.RawMessage

func (c jsonCell) text() (text string, err error) {
	if err := json.Unmarshal(c, &text); err != nil {
		return "", errors.New("it is not a text in quotes")
	}
	return strings.TrimSpace(text), nil
}

func (c jsonCell) set() (list []string, err error) {
	if err := json.Unmarshal(c, &list); err != nil {
		return nil, errors.New("it is not a list of texts")
	}
	return canonicalSet(list), nil
}

func (c jsonCell) object() (tandem.Map, error) { return ParseMetadata(c) }

func (c jsonCell) boolean() (value, given bool, err error) {
	var b *bool
	if err := json.Unmarshal(c, &b); err != nil {
		return false, false, errors.New("it is neither true nor false")
	}
	return b != nil && *b, b != nil, nil
}

// lineCounter notes the line ends as they are read.
type lineCounter struct {
	r      io.Reader
	read   int64
	breaks []int64 // their offsets
}

// Read reads on.
func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			l.breaks = append(l.breaks, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// at gives the line of an offset, from 1.
func (l *lineCounter) at(offset int64) int {
	i, _ := slices.BinarySearch(l.breaks, offset)
	return i + 1
}
