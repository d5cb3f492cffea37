package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tandem"
	"tandem/report"
)

// PipelineType is the type of what a Golioth pipeline sent; device events carry their own.
const PipelineType = "pipeline"

// The bounds of what is read from headers and members, in bytes.
const (
	mostWord = 200
	mostPath = 1024
	mostCE   = 400 // of a header that is kept
)

// kept are the headers that say what a delivery is about. No other is stored: any other may hold a secret.
var kept = []string{"Content-Type", "Ce-Id", "Ce-Source", "Ce-Subject", "Ce-Type", "Ce-Time", "Ce-Specversion",
	http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookID), http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookTimestamp)}

// keptHeaders gives the headers to store.
func keptHeaders(header http.Header) map[string]string {
	found := map[string]string{}
	for _, name := range kept {
		value := header.Get(name)
		if value == "" {
			continue
		}
		if len(value) > mostCE {
			value = value[:mostCE]
		}
		if value = strings.ToValidUTF8(value, "\uFFFD"); report.Printable(value) {
			found[name] = value
		}
	}
	return found
}

// identity is what a delivery is about, as far as storing and telling doubles apart needs it.
type identity struct {
	event   string // the sender's id
	kind    string
	device  string
	project string
	path    string
	sent    *time.Time
}

var (
	errWrongType = errors.New("an event is JSON or CBOR")
	errUnclear   = errors.New("it is neither a pipeline's delivery nor a device event")
)

// identify reads an authentic request. Where the body is signed it says itself what it is about, if it can; the headers,
// which are not signed, count only where it does not.
func identify(header http.Header, body []byte, scheme tandem.WebhookScheme) (identity, error) {
	piped := header.Get("Ce-Source") != "" || header.Get("Ce-Type") != ""
	contentType := report.MediaType(header.Get("Content-Type"))
	readable := report.IsJSON(contentType) || report.IsCBOR(contentType)
	if !piped && !readable {
		return identity{}, errWrongType
	}
	var id identity
	var err error
	switch {
	case !piped:
		id, err = eventIdentity(contentType, body)
	case scheme != tandem.HeaderScheme && readable && mayBeEvent(body):
		if id, err = eventIdentity(contentType, body); err != nil {
			id, err = pipelineIdentity(header)
		}
	default:
		id, err = pipelineIdentity(header)
	}
	if err != nil {
		return identity{}, err
	}
	if scheme == tandem.StandardScheme { // signed, and the same for each attempt
		id.event = eventID(header.Get(standardwebhooks.HeaderWebhookID))
	}
	return id, nil
}

// mayBeEvent spares the reading of bodies that do not even hold the word.
func mayBeEvent(body []byte) bool { return bytes.Contains(body, []byte("device.")) }

// pipelineIdentity reads the headers of a Golioth pipeline's delivery.
func pipelineIdentity(header http.Header) (identity, error) {
	id := identity{kind: PipelineType, device: header.Get("Ce-Source"), project: header.Get("Ce-Subject"),
		path: pipelinePath(header.Get("Ce-Type")), event: eventID(header.Get("Ce-Id")), sent: parseTime(header.Get("Ce-Time"))}
	switch {
	case id.device == "":
		return identity{}, errors.New("Ce-Source, the device's id, is missing")
	case !word(id.device):
		return identity{}, errors.New("Ce-Source is no device's id")
	case id.project != "" && !word(id.project):
		return identity{}, errors.New("Ce-Subject is no project's id")
	case len(id.path) > mostPath || !utf8.ValidString(id.path) || !report.Printable(id.path):
		return identity{}, errors.New("Ce-Type is not a path")
	}
	return id, nil
}

// pipelinePath gives the path in a Ce-Type, such as sensor/a of io.golioth.data.v1/.s/sensor/a; the root is "".
func pipelinePath(ceType string) string {
	_, path, _ := strings.Cut(ceType, "/")
	if path == ".s" || strings.HasPrefix(path, ".s/") {
		path = path[len(".s"):]
	}
	return strings.Trim(path, "/")
}

// members are those of an event that name it. The others are read when it is processed.
type members struct{ id, kind, at, project, device string }

// eventIdentity reads the members of a device event that name it.
func eventIdentity(contentType string, body []byte) (identity, error) {
	var m members
	var err error
	if report.IsCBOR(contentType) {
		m, err = cborMembers(body)
	} else {
		m, err = jsonMembers(body)
	}
	if err != nil {
		return identity{}, err
	}
	id := identity{event: eventID(m.id), kind: m.kind, device: m.device, project: m.project, sent: parseTime(m.at)}
	switch {
	case m.kind == "":
		return identity{}, errUnclear
	case !word(m.kind) || m.kind == PipelineType:
		return identity{}, errors.New("type is no event's type")
	case m.device == "":
		return identity{}, errors.New("device_id is missing")
	case !word(m.device):
		return identity{}, errors.New("device_id is no device's id")
	case m.project != "" && !word(m.project):
		return identity{}, errors.New("project_id is no project's id")
	}
	return id, nil
}

// jsonMembers reads a JSON event's members, leaving its data as it is.
func jsonMembers(body []byte) (members, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return members{}, errors.New("the body is not a JSON object")
	}
	text := func(name string) string {
		value := raw[name]
		if len(value) < 2 || value[0] != '"' {
			return ""
		}
		var s string
		if json.Unmarshal(value, &s) != nil {
			return ""
		}
		return s
	}
	return members{text("id"), text("type"), text("time"), text("project_id"), text("device_id")}, nil
}

// cborMembers reads a CBOR event's members.
func cborMembers(body []byte) (members, error) {
	value, err := report.DecodeCBOR(body)
	if err != nil {
		return members{}, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return members{}, errors.New("the body is not a CBOR map")
	}
	text := func(name string) string { s, _ := object[name].(string); return s }
	return members{text("id"), text("type"), text("time"), text("project_id"), text("device_id")}, nil
}

// eventID gives an id of a bounded length; a long or strange one counts by its digest.
func eventID(id string) string {
	if len(id) <= mostWord && report.Printable(id) && utf8.ValidString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// digest identifies a delivery's content (S35).
func (id *identity) digest(contentType string, body []byte) string {
	sum := sha256.New()
	part := func(p []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		sum.Write(size[:])
		sum.Write(p)
	}
	at := ""
	if id.sent != nil {
		at = id.sent.Format(time.RFC3339Nano)
	}
	for _, p := range []string{id.kind, id.device, id.project, id.path, at, contentType} {
		part([]byte(p))
	}
	part(body)
	return hex.EncodeToString(sum.Sum(nil))
}

// parseTime reads a sender's time, nil when there is none that can be meant: then the time of receipt counts (S5).
func parseTime(text string) *time.Time {
	if text == "" || len(text) > 64 {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil
	}
	if at = at.UTC().Truncate(time.Microsecond); at.Year() < 1970 || at.Year() > 9998 {
		return nil
	}
	return &at
}

// word reports whether a text is one bounded printable word, as ids are.
func word(text string) bool {
	return len(text) <= mostWord && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
