package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// failure is an error as the gateway writes it: {"code":…,"message":…,"details":[]}.
type failure struct {
	http    int
	code    int // gRPC's
	message string
}

// Error gives the message.
func (f *failure) Error() string { return f.message }

// The gRPC codes in use.
const (
	codeInvalid      = 3
	codeDeadline     = 4
	codeNotFound     = 5
	codeExists       = 6
	codeForbidden    = 7
	codeExhausted    = 8
	codePrecondition = 9
	codeInternal     = 13
	codeUnavailable  = 14
	codeUnauthorized = 16
)

func fail(http, code int, format string, args ...any) *failure {
	return &failure{http, code, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *failure {
	return fail(http.StatusNotFound, codeNotFound, format, args...)
}

func invalid(format string, args ...any) *failure {
	return fail(http.StatusBadRequest, codeInvalid, format, args...)
}

// refusal gives the failure that fits an HTTP status, with a message as the service writes them.
func refusal(status int) *failure {
	known := map[int]failure{
		400: {400, codeInvalid, "invalid argument"},
		401: {401, codeUnauthorized, "error identifying user"},
		403: {403, codeForbidden, forbiddenMessage},
		404: {404, codeNotFound, "Not Found"},
		409: {409, 10, "aborted"},
		429: {429, codeExhausted, "too many requests"},
		500: {500, codeInternal, "internal error"},
		501: {501, 12, "Method Not Allowed"},
		503: {503, codeUnavailable, "service unavailable"},
		504: {504, codeDeadline, "context deadline exceeded"},
	}
	if f, ok := known[status]; ok {
		return &f
	}
	return fail(status, 2, "%s", strings.ToLower(http.StatusText(status)))
}

// reply is an answer before faults touch it.
type reply struct {
	status int
	header map[string]string
	body   []byte
}

var emptyReply = reply{status: http.StatusOK, body: []byte("{}")}

func (f *failure) reply() reply {
	body := append(strconv.AppendInt([]byte(`{"code":`), int64(f.code), 10), `,"message":`...)
	body = append(appendString(body, f.message), `,"details":[]}`...)
	r := reply{status: f.http, body: body}
	if f.http == http.StatusUnauthorized {
		r.header = map[string]string{"Www-Authenticate": f.message}
	}
	return r
}

// dataReply answers {"data":value}.
func dataReply(value any) (reply, error) {
	return jsonReply(map[string]any{"data": value})
}

func jsonReply(value any) (reply, error) {
	body, err := encode(value)
	return reply{status: http.StatusOK, body: body}, err
}

// encode writes JSON without escaping <, > and &, as protojson does.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads one JSON value, numbers kept as they are written.
func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

// page is one page of a list.
type page struct {
	List    any `json:"list"`
	Page    int `json:"page"`
	PerPage int `json:"perPage"`
	Total   int `json:"total"`
}

// paging reads page (from 0) and perPage (1 to 100, default 100).
func (c *call) paging() (number, size int, err error) {
	if number, err = c.queryUint("page"); err != nil {
		return 0, 0, err
	}
	if size, err = c.queryUint("perPage"); err != nil {
		return 0, 0, err
	}
	size, err = c.pageSize(size)
	return number, size, err
}

func (c *call) pageSize(asked int) (int, error) {
	switch {
	case asked == 0:
		return 100, nil
	case asked <= 100:
		return asked, nil
	case c.server.unknowns.PerPageOver == "400":
		return 0, invalid("perPage must be between 1 and 100")
	}
	return 100, nil
}

func (c *call) queryUint(key string) (int, error) {
	text := c.param(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, invalid("parsing field %q: %v", key, err)
	}
	return int(n), nil
}

// param gives a query parameter, by its own or its snake_case name.
func (c *call) param(key string) string {
	if all := c.params(key); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

func (c *call) params(key string) []string {
	if c.query == nil {
		c.query = queryOf(c.request.URL)
	}
	return slices.Concat(c.query[key], c.query[snake(key)])
}

func queryOf(u *url.URL) url.Values {
	if u.RawQuery == "" {
		return url.Values{}
	}
	return u.Query() // what cannot be read is left out, as the gateway does
}

// snake gives the snake_case form of a lowerCamelCase name, "" when it is the same.
func snake(key string) string {
	var b strings.Builder
	for _, r := range key {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	if b.Len() == len(key) {
		return ""
	}
	return b.String()
}

// camel gives the lowerCamelCase form of a snake_case name.
func camel(key string) string {
	parts := strings.Split(key, "_")
	for i, part := range parts[1:] {
		if part != "" {
			parts[i+1] = strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return strings.Join(parts, "")
}

// fields is a request body by field; unknown fields are simply never looked at.
type fields map[string]json.RawMessage

// fields reads the body as an object. An empty body is an empty object.
func (c *call) fields() (fields, error) {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return fields{}, nil
	}
	var raw fields
	if err := json.Unmarshal(c.body, &raw); err != nil || raw == nil {
		return nil, invalid("proto: syntax error (line 1:1): unexpected token")
	}
	named := make(fields, len(raw))
	for key, value := range raw {
		named[camel(key)] = value
	}
	return named, nil
}

// has reports whether the key is in the body, null or not: a PATCH changes those (API.md §3).
func (f fields) has(key string) bool { _, ok := f[key]; return ok }

// read decodes a field into a pointer; absent and null leave it as it is.
func (f fields) read(key, kind string, into any) error {
	raw, ok := f[key]
	if !ok || string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return invalid("proto: (line 1:1): invalid value for %s field %s: %.80s", kind, key, raw)
	}
	return nil
}

func (f fields) text(key string) (string, error) {
	var s string
	err := f.read(key, "string", &s)
	return s, err
}

func (f fields) texts(key string) ([]string, error) {
	var s []string
	err := f.read(key, "string", &s)
	return s, err
}

// stamp writes a time as protojson does: UTC, Z, 0, 3, 6 or 9 decimals.
func stamp(t time.Time) string { return string(appendStamp(nil, t.UnixNano())) }

func appendStamp(b []byte, nanos int64) []byte {
	t := time.Unix(0, nanos).UTC()
	b = t.AppendFormat(b, "2006-01-02T15:04:05")
	switch fraction := t.Nanosecond(); {
	case fraction == 0:
	case fraction%1_000_000 == 0:
		b = t.AppendFormat(b, ".000")
	case fraction%1_000 == 0:
		b = t.AppendFormat(b, ".000000")
	default:
		b = t.AppendFormat(b, ".000000000")
	}
	return append(b, 'Z')
}

// appendString writes a JSON string.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}
