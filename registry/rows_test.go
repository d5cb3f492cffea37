package registry

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"tandem"
)

// read collects rows until an error.
func read(file string) (rows []Row, err error) {
	for row, err := range ReadRows(strings.NewReader(file)) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func TestReadRows(t *testing.T) {
	for name, c := range map[string]struct {
		file     string
		ids      string // device_ids of the good rows
		problems string // all of them, or the error
	}{
		"csv":                    {"device_id,name\na,A\nb,B\n", "a b", ""},
		"no final line end":      {"device_id\na", "a", ""},
		"byte order mark, CRLF":  {"\xef\xbb\xbfdevice_id,name\r\na,A\r\n", "a", ""},
		"header case and spaces": {" Device_ID , NAME\na,A\n", "a", ""},
		"blank lines":            {"device_id\n\na\n\n\nb\n", "a b", ""},
		"a quoted line end":      {"device_id,notes\na,\"x\ny\"\nb,z\n", "a b", ""},
		"a quote too many":       {"device_id,notes\na,\"x\" y\nb,z\n", "b", "line 2: its quotes do not match"},
		"a quote never closed":   {"device_id,notes\na,z\nb,\"x\nc,y\n", "a", "line 3: its quotes do not match"},
		"too few values":         {"device_id,name\na\n", "", "line 2: it has 1 values, the header names 2 columns"},
		"not UTF-8":              {"device_id\n\xff\n", "", "line 2, column device_id: it is not valid UTF-8 text"},
		"twice a column":         {"device_id,name,name\n", "", "named twice: name"},
		"an unknown column":      {"device_id,farbe\n", "", `unknown columns: "farbe"`},
		"nothing":                {"", "", "the file is empty"},
		"columns of an export":   {"device_id,status,last_seen\na,online,yesterday\n", "a", ""},
		"list":                   {`[{"device_id":"a"},{"device_id":"b"}]`, "a b", ""},
		"wrapped list":           {"{\"devices\":[\n{\"device_id\":\"a\"},\n{\"device_id\":\"b\"}\n]}\n", "a b", ""},
		"lines":                  {"{\"device_id\":\"a\"}\n\n{\"device_id\":\"b\"}\n", "a b", ""},
		"objects over lines":     {"{\n\"device_id\":\"a\"\n}\n{\n\"device_id\":\"b\"\n}", "a b", ""},
		"an empty list":          {"[]", "", ""},
		"a broken line":          {"{\"device_id\":\"a\"}\n{oops\n{\"device_id\":\"b\"}\n", "a b", "line 2: it is not a JSON object"},
		"a broken list":          {"[\n{\"device_id\":\"a\"},\n{\"device_id\" \"b\"}\n]", "a", "line 3: the file is not valid JSON"},
		"a list cut off":         {"[{\"device_id\":\"a\"}", "a", "it ends too early"},
		"wrong types":            {`[{"device_id":1,"tags":"x","enabled":"yes","metadata":[]}]`, "", "column device_id: it is not a text"},
		"nulls":                  {`[{"device_id":"a","tags":null,"enabled":null,"metadata":null,"name":null}]`, "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := read(c.file)
			var ids, problems []string
			for _, row := range rows {
				if len(row.Problems) == 0 {
					ids = append(ids, row.DeviceID)
				}
				for _, p := range row.Problems {
					problems = append(problems, p.String())
				}
			}
			if err != nil {
				problems = append(problems, err.Error())
			}
			if got := strings.Join(ids, " "); got != c.ids {
				t.Errorf("read %q, want %q", got, c.ids)
			}
			if got := strings.Join(problems, "\n"); (got == "") != (c.problems == "") || !strings.Contains(got, c.problems) {
				t.Errorf("problems are %q, want %q", got, c.problems)
			}
		})
	}
}

func TestSetsOfACell(t *testing.T) {
	for in, want := range map[string]string{"": "", "b;a": "a b", "a|b;a": "a b", " a ; ": "a", `["x;y","z"]`: "x;y z", ";;": ""} {
		set, err := csvCell(in).set()
		if got := strings.Join(set, " "); got != want || err != nil {
			t.Errorf("%q gave %q, %v", in, got, err)
		}
	}
	if _, err := csvCell("[a;b]").set(); err == nil {
		t.Error("a broken list was taken")
	}
}

// FuzzReadRows: whatever a file holds, rows come with a line and clean text, errors are the house's, and nothing panics.
func FuzzReadRows(f *testing.F) {
	for _, seed := range []string{"device_id,name\na,A\n", "device_id,tags\na,\"x;y\"\n", `[{"device_id":"a","metadata":{"x":1}}]`, "{\"device_id\":\"a\"}\n{}", "\xef\xbb\xbf",
		"{\"devices\":[{}]}", "[", "device_id,enabled\n\"\"\"\n", "device_id\r\n\x00\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		rows, err := read(file)
		var house *tandem.Error
		if err != nil && !errors.As(err, &house) {
			t.Fatalf("the error is %T: %v", err, err)
		}
		last := 0
		for _, row := range rows {
			if row.Line < 1 || row.Line < last {
				t.Fatalf("line %d after %d", row.Line, last)
			}
			last = row.Line
			if len(row.Problems) == 0 && !utf8.ValidString(row.DeviceID) {
				t.Fatalf("device_id %q", row.DeviceID)
			}
		}
	})
}
