package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"

	"tandem"
)

// letter is the body of /simulator/messages: which devices send what, how often each.
type letter struct {
	bulk
	Path        string          `json:"path"`
	ContentType string          `json:"content_type"` // "" for application/json
	Body        json.RawMessage `json:"body"`         // any JSON; for application/cbor it is written as that
	Base64      []byte          `json:"base64"`       // the bytes themselves, instead of body
	Repeat      int             `json:"repeat"`       // default 1
	Number      string          `json:"number"`       // a member of body that counts the messages, from 1, so that no two are equal
}

// notice is the body of POST /simulator/events: which event, about which devices.
type notice struct {
	bulk
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// adminDelivery answers the endpoints about what goes to webhooks; ok is false for any other.
func (s *Server) adminDelivery(route string, r *http.Request, read func(any) error) (answer any, ok bool, err error) {
	switch route {
	case "GET /deliveries":
		return s.Deliveries(), true, nil
	case "DELETE /deliveries":
		s.ResetDeliveries()
		return s.Deliveries(), true, nil
	case "POST /messages":
		var l letter
		if err := read(&l); err != nil {
			return nil, true, err
		}
		n, err := s.sendAll(l)
		return changed(n), true, err
	case "PUT /events":
		to := struct {
			Project string `json:"project"`
			Events
		}{}
		if err := read(&to); err != nil {
			return nil, true, err
		}
		return changed(1), true, s.SetEvents(s.onlyProject(to.Project), to.Events)
	case "DELETE /events":
		return changed(1), true, s.SetEvents(s.onlyProject(r.URL.Query().Get("project")), Events{})
	case "POST /events":
		var n notice
		if err := read(&n); err != nil {
			return nil, true, err
		}
		told, err := s.emitAll(n)
		return changed(told), true, err
	}
	return nil, false, nil
}

// chosen gives the ids of the devices that a body is about.
func (s *Server) chosen(b *bulk) (ids []string, err error) {
	b.Project = s.onlyProject(b.Project)
	err = s.within(b.Project, b.Project, func(p *project) error {
		devices, err := p.choose(*b)
		for _, d := range devices {
			ids = append(ids, d.id.String())
		}
		return err
	})
	return ids, err
}

// sendAll lets every chosen device send, and gives how many messages went.
func (s *Server) sendAll(l letter) (n int, err error) {
	kind := cmp.Or(l.ContentType, jsonType)
	body, err := l.bodies(kind)
	if err != nil {
		return 0, err
	}
	ids, err := s.chosen(&l.bulk)
	if err != nil {
		return 0, err
	}
	for range max(l.Repeat, 1) {
		for _, id := range ids {
			text, err := body(n + 1)
			if err != nil {
				return n, err
			}
			if err := s.Send(l.Project, id, l.Path, kind, text); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// bodies gives the n-th message's body.
func (l *letter) bodies(kind string) (func(n int) ([]byte, error), error) {
	const op = "simulator: send messages"
	if l.Base64 != nil {
		return func(int) ([]byte, error) { return l.Base64, nil }, nil
	}
	value, err := decode(l.Body)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, op, "", "there is neither body nor base64")
	}
	members, ok := value.(map[string]any)
	switch {
	case l.Number != "" && !ok:
		return nil, tandem.Errorf(tandem.Invalid, op, l.Number, "only a body that is an object can be numbered")
	case l.Number != "":
		return func(n int) ([]byte, error) {
			members[l.Number] = n
			return encodeAs(kind, members)
		}, nil
	}
	body, err := encodeAs(kind, value)
	return func(int) ([]byte, error) { return body, err }, err
}

// emitAll sends an event about every chosen device, and gives how many.
func (s *Server) emitAll(e notice) (n int, err error) {
	ids, err := s.chosen(&e.bulk)
	if err != nil {
		return 0, err
	}
	if e.Data == nil {
		e.Data = json.RawMessage("{}")
	}
	for _, id := range ids {
		if err := s.Emit(e.Project, id, e.Type, e.Data); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
