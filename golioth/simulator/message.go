package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// message is what a device sent, on its way through the pipelines.
type message struct {
	device      objectID
	at          time.Time
	path        string // without the leading /.s; "" or / for the root
	contentType string
	body        []byte
	live        bool // a report that a device's last report stands for in LightDB Stream already
	depth       int  // how often a batch was taken apart
}

// Where a report goes, and as what, unless Options say otherwise.
const (
	jsonType   = "application/json"
	cborType   = "application/cbor"
	reportPath = "/sensor"
)

const (
	mostBatches = 4       // a batch in a batch is taken apart so often
	mostRows    = 200_000 // that pipelines bring to LightDB Stream; the oldest go
)

// pass lets a message through every pipeline that takes it (API.md §13). The project is locked.
func (p *project) pass(m message) {
	taken := false
	for _, x := range p.pipelines {
		if x.enabled && x.definition != nil && x.definition.takes(m.path, m.contentType) {
			taken = true
			p.run(x, m)
		}
	}
	if !taken {
		p.journal.miss(unmatched{m.at, m.path, m.contentType})
	}
}

// wants reports whether a pipeline would take such a message.
func (p *project) wants(path, contentType string) bool {
	for _, x := range p.pipelines {
		if x.enabled && x.definition != nil && x.definition.takes(path, contentType) {
			return true
		}
	}
	return false
}

// run takes a message through the steps of one pipeline. A step with both a transformer and a destination sends
// the changed message and leaves it as it was for the next; a transformer alone changes it for all that follow.
func (p *project) run(x *pipeline, m message) {
	for i, s := range x.definition.Steps {
		next := m
		if s.Transformer != nil {
			var err error
			if next, err = p.transform(s.Transformer, m); err != nil {
				p.journal.fail(pipelineError{x.id, m.at, "transformer", s.Transformer.Type, i, err.Error()})
				return
			}
		}
		if s.Destination == nil {
			m = next
			continue
		}
		if err := p.send(x, i, s.Destination, next); err != nil {
			p.journal.fail(pipelineError{x.id, m.at, "destination", s.Destination.Type, i, err.Error()})
		}
	}
}

// send hands a message to a destination. Those that are not named here swallow it.
func (p *project) send(x *pipeline, step int, to *plugin, m message) error {
	switch to.Type {
	case "webhook":
		return p.post(x, step, to, m)
	case "batch":
		return p.takeApart(m)
	case "lightdb-stream":
		if m.live {
			return nil
		}
		value, err := decode(m.body)
		if err != nil {
			return fmt.Errorf("the message is not JSON")
		}
		if len(p.rows) >= 2*mostRows {
			p.rows = append(p.rows[:0:0], p.rows[mostRows:]...)
		}
		p.rows = append(p.rows, row{m.device, m.at.UnixNano(), value})
		p.moves++
	case "lightdb-state":
		value, err := decode(m.body)
		if err != nil {
			return fmt.Errorf("the message is not JSON")
		}
		path, _ := to.Parameters["path"].(string)
		if d := p.byID[m.device]; d != nil {
			p.setState(d, stateWith(p.state(d), stateKeys(path), value, true))
		}
	}
	return nil
}

// takeApart lets each element of an array through all pipelines, as a message of its own. What is no array just goes on.
func (p *project) takeApart(m message) error {
	var list []json.RawMessage
	if json.Unmarshal(m.body, &list) != nil {
		return nil //nolint:nilerr // it is no array
	}
	if m.depth++; m.depth > mostBatches {
		return fmt.Errorf("batches are nested too deep")
	}
	m.contentType = jsonType
	for _, element := range list {
		m.body = element
		p.pass(m)
	}
	return nil
}

// post puts a delivery to a webhook in the outbox, with the headers of API.md §14.
func (p *project) post(x *pipeline, step int, to *plugin, m message) error {
	u := &p.server.unknowns
	address, ok := to.Parameters["url"].(string)
	if !ok {
		return fmt.Errorf("url is required")
	}
	secrets := []string{}
	resolve := func(value string) (string, bool, error) {
		name := reference(value)
		if name == "" {
			return value, false, nil
		}
		at := p.secretAt(name)
		if at < 0 {
			return "", false, fmt.Errorf("secret %s not found", name)
		}
		return p.secrets[at].value, true, nil
	}
	address, _, err := resolve(address)
	if err != nil {
		return err
	}
	given, err := to.headers()
	if err != nil {
		return err
	}
	header := http.Header{}
	for name, value := range given {
		text, secret, err := resolve(value)
		if err != nil {
			return err
		}
		header.Set(name, text)
		if secret {
			secrets = append(secrets, name)
		}
	}
	path := m.path
	if path == "" || path == "/" {
		path = u.WebhookRoot
	} else {
		path = "/.s" + path
	}
	header.Set("Content-Type", m.contentType)
	header.Set("Ce-Source", m.device.String())
	header.Set("Ce-Subject", p.id)
	header.Set("Ce-Type", "io.golioth.data.v1"+path)
	if u.WebhookTime == "send" {
		header.Set("Ce-Time", m.at.UTC().Format("2006-01-02T15:04:05.000000Z"))
	}
	if u.WebhookID == "send" {
		header.Set("Ce-Id", newUUID())
		header.Set("Ce-Specversion", "1.0")
	}
	p.server.outbox.add(&delivery{path: cleanPath(m.path), url: address, header: header, secrets: secrets, body: m.body,
		failed: func(why string) {
			p.journal.fail(pipelineError{x.id, p.server.clock(), "destination", to.Type, step, why})
		}})
	return nil
}

// cleanPath gives a message's path as faults and tests name it.
func cleanPath(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// reportOf is what a device tells when it reports at an instant: to the pipelines, and as an event.
func (p *project) reportOf(d *device, at time.Time) {
	kind := p.server.options.ReportType
	piped := p.wants(reportPath, kind)
	told := p.tells(TelemetryEvent)
	if !piped {
		p.journal.miss(unmatched{at, reportPath, kind})
	}
	if !piped && !told {
		return
	}
	payload := p.payload(row{device: d.id, at: at.UnixNano()})
	if told {
		p.tell(TelemetryEvent, d, at, payload)
	}
	if !piped {
		return
	}
	body, err := encodeAs(kind, payload)
	if err != nil {
		return // the seed makes nothing that cannot be written
	}
	p.pass(message{device: d.id, at: at, path: reportPath, contentType: kind, body: body, live: true})
}

// encodeAs writes a value as CBOR or, for any other content type, as JSON.
func encodeAs(contentType string, value any) ([]byte, error) {
	text, err := encode(value)
	if err != nil || contentType != cborType {
		return text, err
	}
	if value, err = decode(text); err != nil {
		return nil, err
	}
	return encodeCBOR(value)
}

// Send lets a device send a message on a path, "/temp" or "" for the root: lastReport moves, and the message
// goes through the project's pipelines as it stands. It waits while the outbox is full.
func (s *Server) Send(projectID, deviceID, path, contentType string, body []byte) error {
	s.outbox.room()
	return s.withDevice(projectID, deviceID, func(p *project, d *device) error {
		p.received(d, path, contentType, bytes.Clone(body))
		return nil
	})
}

// received takes in a message that a device was made to send.
func (p *project) received(d *device, path, contentType string, body []byte) {
	now := p.server.clock()
	d.lastReport = max(now.Truncate(time.Millisecond).UnixNano(), d.lastReport)
	p.touch(d)
	if path != "" && path[0] != '/' {
		path = "/" + path
	}
	p.pass(message{device: d.id, at: now, path: path, contentType: contentType, body: body})
	if !p.tells(DataEvent) {
		return
	}
	value, err := decode(body)
	if contentType == cborType {
		value, err = decodeCBOR(body)
	}
	if err == nil { // what is neither has no place in an event, which is JSON
		p.tell(DataEvent, d, now, value)
	}
}
