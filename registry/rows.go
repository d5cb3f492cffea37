package registry

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"tandem"
)

// The bounds of a file of devices.
const (
	maxFile    = 1 << 30 // bytes
	maxRow     = 1 << 20 // bytes of one JSON device or one CSV field
	maxRows    = 2_000_000
	maxColumns = 100
)

// Row is one device of a file.
type Row struct {
	Line     int // where it begins, from 1
	ID       string
	DeviceID string
	External string // external_device_id
	Service  string // its name or id; "" leaves it to the import's default
	Edit     DeviceEdit
	Problems []RowProblem
}

// RowProblem says what is wrong with one row.
type RowProblem struct {
	Line   int    `json:"line"`
	Column string `json:"column,omitempty"` // "" for the whole row
	Reason string `json:"reason"`
}

// String gives the problem as a line for a person.
func (p RowProblem) String() string {
	if p.Column == "" {
		return fmt.Sprintf("line %d: %s", p.Line, p.Reason)
	}
	return fmt.Sprintf("line %d, column %s: %s", p.Line, p.Column, p.Reason)
}

func (r *Row) wrong(column string, err error) {
	reason := err.Error()
	var e *tandem.Error
	if errors.As(err, &e) {
		reason = e.Message
	}
	reason = strings.TrimPrefix(reason, column+" ")
	r.Problems = append(r.Problems, RowProblem{r.Line, column, reason})
}

// columns are what a file may hold, in the order of an export. A nil reader is a column that an
// export writes and an import leaves alone.
var columns = []struct {
	name string
	read func(*Row, cell) error
}{
	{"device_id", func(r *Row, c cell) (err error) { r.DeviceID, err = c.text(); return err }},
	{"name", func(r *Row, c cell) error { return into(&r.Edit.Name, c.text) }},
	{"device_type", func(r *Row, c cell) error { return into(&r.Edit.DeviceType, c.text) }},
	{"lifecycle", readLifecycle},
	{"hardware_ids", func(r *Row, c cell) error { return into(&r.Edit.HardwareIDs, c.set) }},
	{"tags", func(r *Row, c cell) error { return into(&r.Edit.Tags, c.set) }},
	{"enabled", readEnabled},
	{"blueprint", func(r *Row, c cell) error { return into(&r.Edit.Blueprint, c.text) }},
	{"cohort", func(r *Row, c cell) error { return into(&r.Edit.Cohort, c.text) }},
	{"metadata", func(r *Row, c cell) error { return into(&r.Edit.Metadata, c.object) }},
	{"notes", func(r *Row, c cell) error { return into(&r.Edit.Notes, c.text) }},
	{"service", func(r *Row, c cell) (err error) { r.Service, err = c.text(); return err }},
	{"external_device_id", func(r *Row, c cell) (err error) { r.External, err = c.text(); return err }},
	{"id", func(r *Row, c cell) (err error) { r.ID, err = c.text(); return err }},
	{"status", nil}, {"last_seen", nil}, {"battery_level", nil}, {"battery_at", nil}, {"location", nil}, {"location_at", nil},
	{"firmware", nil}, {"firmware_at", nil}, {"offline_at", nil}, {"assignments", nil}, {"organization_id", nil}, {"version", nil},
	{"field_edited_at", nil}, {"created_at", nil}, {"updated_at", nil},
}

// cell is one value of a row, from CSV or JSON.
type cell interface {
	text() (string, error)
	set() ([]string, error)
	object() (tandem.Map, error)
	boolean() (value, given bool, err error)
}

func into[T any](to **T, read func() (T, error)) error {
	value, err := read()
	if err == nil {
		*to = &value
	}
	return err
}

// readLifecycle takes an empty value for "as it is", active for a new device.
func readLifecycle(r *Row, c cell) error {
	text, err := c.text()
	if err != nil || text == "" {
		return err
	}
	l := tandem.Lifecycle(text)
	r.Edit.Lifecycle = &l
	return checkLifecycle(l)
}

// readEnabled takes an empty value for "as it is", true for a new device.
func readEnabled(r *Row, c cell) error {
	value, given, err := c.boolean()
	if err == nil && given {
		r.Edit.Enabled = &value
	}
	return err
}

func columnIndex(name string) int {
	for i := range columns {
		if columns[i].name == name {
			return i
		}
	}
	return -1
}

// ReadRows reads devices from CSV or JSON, told apart by the first character. An error ends the
// rows; what is wrong with one row alone is among its Problems.
func ReadRows(file io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		limited := &io.LimitedReader{R: file, N: maxFile + 1}
		r := bufio.NewReaderSize(limited, 64<<10)
		if bom, err := r.Peek(3); err == nil && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
			if _, err := r.Discard(3); err != nil {
				yield(Row{}, err)
				return
			}
		}
		rows := readCSV
		if first, err := firstByte(r); err == nil && (first == '[' || first == '{') {
			rows = readJSON
		}
		n := 0
		for row, err := range rows(r) {
			if n++; err == nil && (n > maxRows || limited.N <= 0) {
				err = tandem.Errorf(tandem.Invalid, "read devices", "", "the file holds more than %d devices or %d MB", maxRows, maxFile>>20).
					WithHint("split it")
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// firstByte looks at the first byte that is not space.
func firstByte(r *bufio.Reader) (byte, error) {
	for n := 1; ; n++ {
		ahead, err := r.Peek(n)
		if len(ahead) < n {
			return 0, err
		}
		if b := ahead[n-1]; b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return b, nil
		}
	}
}

// readCSV reads a header line of column names, then a device a line. Sets are separated by ; or |.
func readCSV(file *bufio.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		r := csv.NewReader(file)
		r.FieldsPerRecord = -1
		r.ReuseRecord = true
		header, err := r.Read()
		if err != nil {
			yield(Row{}, headerError(err))
			return
		}
		index, err := readHeader(header)
		if err != nil {
			yield(Row{}, err)
			return
		}
		for {
			record, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			row, err := csvRow(r, record, index, err)
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func headerError(err error) error {
	if errors.Is(err, io.EOF) {
		return tandem.Errorf(tandem.Invalid, "read devices", "", "the file is empty").
			WithHint("its first line names the columns, such as device_id,name,hardware_ids,tags,external_device_id")
	}
	return tandem.Errorf(tandem.Invalid, "read devices", "line 1", "the header cannot be read: %w", err)
}

// readHeader maps each position to its column.
func readHeader(header []string) ([]int, error) {
	if len(header) > maxColumns {
		return nil, tandem.Errorf(tandem.Invalid, "read devices", "line 1", "there are %d columns, at most %d are allowed", len(header), maxColumns)
	}
	var unknown, twice []string
	index := make([]int, len(header))
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		at := columnIndex(name)
		if at < 0 {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		} else if slices.Contains(index[:i], at) {
			twice = append(twice, name)
		}
		index[i] = at
	}
	if len(header) == 1 && strings.Contains(header[0], ";") {
		return nil, tandem.Errorf(tandem.Invalid, "read devices", "line 1", "the columns are separated by semicolons").
			WithHint("separate them by commas; semicolons separate the elements of hardware_ids and tags")
	}
	if len(unknown) > 0 {
		return nil, tandem.Errorf(tandem.Invalid, "read devices", "line 1", "unknown columns: %s", strings.Join(unknown, ", ")).
			WithHint("the columns are %s", strings.Join(columnNames(), ", "))
	}
	if len(twice) > 0 {
		return nil, tandem.Errorf(tandem.Invalid, "read devices", "line 1", "columns named twice: %s", strings.Join(twice, ", "))
	}
	return index, nil
}

// columnNames lists the columns that an import reads.
func columnNames() []string {
	var names []string
	for _, c := range columns {
		if c.read != nil {
			names = append(names, c.name)
		}
	}
	return names
}

// csvRow reads one record; what is wrong with its quoting is its problem, an unreadable file is an error.
func csvRow(r *csv.Reader, record []string, index []int, err error) (Row, error) {
	var row Row
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		row.Line = parse.StartLine
		row.wrong("", fmt.Errorf("its quotes do not match (%w)", parse.Err))
		return row, nil
	}
	if err != nil {
		return row, err
	}
	row.Line, _ = r.FieldPos(0)
	if len(record) != len(index) {
		row.wrong("", fmt.Errorf("it has %d values, the header names %d columns", len(record), len(index)))
		return row, nil
	}
	for i, value := range record {
		column := columns[index[i]]
		if column.read == nil {
			continue
		}
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			row.wrong(column.name, errors.New("it is not valid UTF-8 text"))
		} else if len(value) > maxRow {
			row.wrong(column.name, fmt.Errorf("it has %d bytes, at most %d are allowed", len(value), maxRow))
		} else if err := column.read(&row, csvCell(fromText(strings.TrimSpace(value)))); err != nil {
			row.wrong(column.name, err)
		}
	}
	return row, nil
}

// csvCell is a value of a CSV file, trimmed, and without what marks it as text.
type csvCell string

func (c csvCell) text() (string, error) { return strings.Clone(string(c)), nil }

// set reads elements separated by ; or |, or a JSON list where an element holds one of these.
func (c csvCell) set() ([]string, error) {
	if strings.HasPrefix(string(c), "[") {
		var list []string
		if err := json.Unmarshal([]byte(c), &list); err != nil {
			return nil, fmt.Errorf("it begins with [ but is not a JSON list of texts")
		}
		return canonicalSet(list), nil
	}
	return canonicalSet(strings.FieldsFunc(strings.Clone(string(c)), func(r rune) bool { return r == ';' || r == '|' })), nil
}

func (c csvCell) object() (tandem.Map, error) { return ParseMetadata([]byte(c)) }

func (c csvCell) boolean() (value, given bool, err error) {
	switch strings.ToLower(string(c)) {
	case "":
		return false, false, nil
	case "true", "yes", "1", "on":
		return true, true, nil
	case "false", "no", "0", "off":
		return false, true, nil
	}
	return false, false, fmt.Errorf("%.40q is neither true nor false", string(c))
}
