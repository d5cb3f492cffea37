package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem"
)

// The device events. Golioth documents none (API.md §15); a simulator that is told to sends them all the same, so
// that a receiver that knows them meets a real sender.
const (
	OnlineEvent    = "device.online"
	OfflineEvent   = "device.offline"
	StatusEvent    = "device.status_changed"
	DataEvent      = "device.data"
	TelemetryEvent = "device.telemetry"
	CreatedEvent   = "device.created"
	UpdatedEvent   = "device.updated"
	DeletedEvent   = "device.deleted"
)

var eventTypes = []string{OnlineEvent, OfflineEvent, StatusEvent, DataEvent, TelemetryEvent, CreatedEvent, UpdatedEvent, DeletedEvent}

// How an event proves where it comes from.
const (
	SignatureScheme = "signature" // X-Golioth-Signature: HMAC-SHA256 of the body in hex
	PrefixedScheme  = "prefixed"  // the same after sha256=
	StandardScheme  = "standard"  // Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature
	HeaderScheme    = "header"    // the secret itself in a header
)

var eventSchemes = []string{SignatureScheme, PrefixedScheme, StandardScheme, HeaderScheme}

// Events says where a project's device events go. The zero value sends none.
type Events struct {
	URL    string   `json:"url"`
	Secret string   `json:"secret"`
	Scheme string   `json:"scheme"` // "" for signature
	Header string   `json:"header"` // of the header scheme; "" for X-Tandem-Secret
	Types  []string `json:"types"`  // which are sent; none for all
}

// checked fills what is not set and refuses what makes no sense.
func (e Events) checked() (Events, error) {
	const op = "simulator: send events"
	if e.URL == "" {
		return Events{}, nil
	}
	if e.Scheme == "" {
		e.Scheme = SignatureScheme
	}
	if e.Header == "" {
		e.Header = "X-Tandem-Secret"
	}
	switch {
	case !webAddress(e.URL):
		return e, tandem.Errorf(tandem.Invalid, op, e.URL, "this is not an http or https address")
	case !slices.Contains(eventSchemes, e.Scheme):
		return e, tandem.Errorf(tandem.Invalid, op, e.Scheme, "there is no such scheme").WithHint("use one of %s", strings.Join(eventSchemes, ", "))
	case e.Secret == "":
		return e, tandem.Errorf(tandem.Invalid, op, "", "the secret is missing")
	}
	if _, err := e.key(); err != nil {
		return e, tandem.Errorf(tandem.Invalid, op, "", "the secret of a Standard Webhook is whsec_ and base64")
	}
	for _, kind := range e.Types {
		if !slices.Contains(eventTypes, kind) {
			return e, tandem.Errorf(tandem.Invalid, op, kind, "there is no such event").WithHint("the events are %s", strings.Join(eventTypes, ", "))
		}
	}
	return e, nil
}

// key gives the bytes to sign with.
func (e Events) key() ([]byte, error) {
	if e.Scheme != StandardScheme {
		return []byte(e.Secret), nil
	}
	return base64.StdEncoding.DecodeString(strings.TrimPrefix(e.Secret, "whsec_"))
}

// event is what is sent.
type event struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Time    string          `json:"time"`
	Project string          `json:"project_id"`
	Device  string          `json:"device_id"`
	Data    json.RawMessage `json:"data"`
}

// tells reports whether events of a type are sent.
func (p *project) tells(kind string) bool {
	return p.events.URL != "" && (len(p.events.Types) == 0 || slices.Contains(p.events.Types, kind))
}

// tell sends an event about a device. The project is locked.
func (p *project) tell(kind string, d *device, at time.Time, data any) {
	if !p.tells(kind) {
		return
	}
	raw, ok := data.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = encode(data); err != nil {
			return // only what was read as JSON or CBOR comes here
		}
	}
	told := event{ID: newUUID(), Type: kind, Time: at.UTC().Format(time.RFC3339Nano), Project: p.id, Device: d.id.String(), Data: raw}
	body, err := encode(told)
	if err != nil {
		return
	}
	e := p.events
	header := http.Header{"Content-Type": {jsonType}}
	sending := &delivery{path: "/" + kind, url: e.URL, header: header, body: body}
	if e.Scheme == HeaderScheme {
		header.Set(e.Header, e.Secret)
		sending.secrets = []string{e.Header}
	} else {
		sending.sign = func(r *http.Request, body []byte, wrong bool) { e.sign(r, told.ID, body, p.server.clock(), wrong) }
	}
	p.server.outbox.add(sending)
}

// sign puts a signature of the body, made now, on a request.
func (e Events) sign(r *http.Request, id string, body []byte, now time.Time, wrong bool) {
	key, err := e.key()
	if err != nil || wrong {
		key = []byte("another secret")
	}
	mac := hmac.New(sha256.New, key)
	if e.Scheme == StandardScheme {
		stamp := strconv.FormatInt(now.Unix(), 10)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		r.Header.Set("webhook-id", id)
		r.Header.Set("webhook-timestamp", stamp)
		r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		return
	}
	mac.Write(body)
	signature := hex.EncodeToString(mac.Sum(nil))
	if e.Scheme == PrefixedScheme {
		signature = "sha256=" + signature
	}
	r.Header.Set("X-Golioth-Signature", signature)
}

// tellDevice sends an event with the device as the API shows it.
func (p *project) tellDevice(kind string, d *device) {
	if p.tells(kind) {
		body, _ := d.render(nil)
		p.tell(kind, d, p.server.clock(), json.RawMessage(body))
	}
}

// tellStatus sends the two events of a device that came or went.
func (p *project) tellStatus(d *device, online bool, at time.Time) {
	kind, status := OnlineEvent, "online"
	if !online {
		kind, status = OfflineEvent, "offline"
	}
	data := map[string]string{"status": status}
	p.tell(kind, d, at, data)
	p.tell(StatusEvent, d, at, data)
}

// SetEvents says where a project's device events go from now on; the zero value ends them.
func (s *Server) SetEvents(projectID string, to Events) error {
	to, err := to.checked()
	if err != nil {
		return err
	}
	return s.within(projectID, projectID, func(p *project) error { p.events = to; return nil })
}

// Emit sends one event about a device, whatever it is; data becomes JSON. Invalid when the project sends none of the type.
func (s *Server) Emit(projectID, deviceID, kind string, data any) error {
	s.outbox.room()
	return s.withDevice(projectID, deviceID, func(p *project, d *device) error {
		if !p.tells(kind) {
			return invalid("the project sends no %s events", kind)
		}
		text, err := encode(data)
		if err != nil {
			return err
		}
		p.tell(kind, d, s.clock(), json.RawMessage(text))
		return nil
	})
}
