package simulator

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem"
)

// The admin endpoints, for scripts; from this machine only, and with Options.AdminKey when it is set:
//
//	GET    /simulator/faults     {"faults":["503:GET /devices:every=3"]}
//	PUT    /simulator/faults     the same body replaces them; POST adds; DELETE removes all
//	GET    /simulator/requests   Requests; DELETE begins anew
//	GET    /simulator/devices    ?project=P: the devices as they are
//	POST   /simulator/devices    {"project":"P","create":[{"name":…,"hardware_ids":[…]}]}
//	PATCH  /simulator/devices    {"project":"P", which, what}: which is "ids":[…], "names":[…] or, for all,
//	                             "every":N (each N-th, default 1) and "limit":N; what is "edit" (the body of
//	                             the API's PATCH), "state":{path:value}, "report":true, "delete":true
//	POST   /simulator/messages   {"project":"P", which, "path":"/sensor","content_type":…,"body":JSON or "base64":…,
//	                             "repeat":N,"number":MEMBER}: the devices send it, numbered there, through the project's pipelines
//	GET    /simulator/deliveries Deliveries; DELETE begins anew
//	PUT    /simulator/events     {"project":"P","url":…,"secret":…,"scheme":…,"header":…,"types":[…]}: where device
//	                             events go; DELETE ends them, ?project=P
//	POST   /simulator/events     {"project":"P", which, "type":"device.offline","data":{…}}: one about each device
//	POST   /simulator/swap       {"project":"P"}: another project takes its place
//	POST   /simulator/reset      everything as it was at the start
//
// What they answer besides is {"changed":N} or {"error":"…"}.

// bulk is the body of /simulator/devices and /simulator/swap.
type bulk struct {
	Project string                   `json:"project"`
	Create  []tandem.NewRemoteDevice `json:"create"`
	IDs     []string                 `json:"ids"`
	Names   []string                 `json:"names"`
	Every   int                      `json:"every"`
	Limit   int                      `json:"limit"`
	Edit    map[string]any           `json:"edit"`
	State   map[string]any           `json:"state"`
	Report  bool                     `json:"report"`
	Delete  bool                     `json:"delete"`
}

// serveAdmin answers a call below /simulator/.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	answer, err := s.admin(r)
	status := http.StatusOK
	if err != nil {
		statuses := map[tandem.Code]int{tandem.NotFound: http.StatusNotFound, tandem.Exists: http.StatusConflict,
			tandem.Forbidden: http.StatusForbidden, tandem.Invalid: http.StatusBadRequest}
		answer = map[string]string{"error": err.Error()}
		if status = statuses[tandem.CodeOf(err)]; status == 0 {
			status = http.StatusInternalServerError
		}
	}
	body, err := encode(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer could not be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(body, '\n')); err != nil {
		return // the caller is gone
	}
}

// allowed refuses who is not on this machine, has not the key, or is a web page.
func (s *Server) allowed(r *http.Request) error {
	const op = "simulator: admin"
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return tandem.Errorf(tandem.Forbidden, op, "", "the admin endpoints answer this machine only")
	}
	if r.Header.Get("Origin") != "" {
		return tandem.Errorf(tandem.Forbidden, op, "", "the admin endpoints do not answer web pages")
	}
	if key := s.options.AdminKey; key != "" && subtle.ConstantTimeCompare([]byte(key), []byte(r.Header.Get("X-Simulator-Key"))) != 1 {
		return tandem.Errorf(tandem.Forbidden, op, "", "the admin key is missing or wrong").WithHint("send it in X-Simulator-Key")
	}
	return nil
}

func (s *Server) admin(r *http.Request) (any, error) {
	const op = "simulator: admin"
	if err := s.allowed(r); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, op, "", "the body could not be read: %w", err)
	}
	read := func(into any) error {
		if err := json.Unmarshal(body, into); err != nil {
			return tandem.Errorf(tandem.Invalid, op, "", "the body is not what this endpoint takes: %w", err)
		}
		return nil
	}
	var b bulk
	route := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/simulator")
	if answer, ok, err := s.adminDelivery(route, r, read); ok {
		return answer, err
	}
	switch route {
	case "GET /faults":
		return s.faultTexts(), nil
	case "DELETE /faults":
		s.SetFaults()
		return s.faultTexts(), nil
	case "PUT /faults", "POST /faults":
		var texts struct {
			Faults []string `json:"faults"`
		}
		if err := read(&texts); err != nil {
			return nil, err
		}
		return s.takeFaults(texts.Faults, route == "POST /faults")
	case "GET /requests":
		return s.Requests(), nil
	case "DELETE /requests":
		s.ResetRequests()
		return s.Requests(), nil
	case "GET /devices":
		return s.Devices(s.onlyProject(r.URL.Query().Get("project")))
	case "POST /devices", "PATCH /devices", "POST /swap":
		if err := read(&b); err != nil {
			return nil, err
		}
		b.Project = s.onlyProject(b.Project)
		switch route {
		case "POST /devices":
			for i, d := range b.Create {
				if _, err := s.CreateDevice(b.Project, d); err != nil {
					return changed(i), err
				}
			}
			return changed(len(b.Create)), nil
		case "POST /swap":
			return changed(1), s.SwapProject(b.Project)
		}
		n, err := s.change(b)
		return changed(n), err
	case "POST /reset":
		s.Reset()
		return changed(len(s.options.Projects)), nil
	}
	return nil, tandem.Errorf(tandem.NotFound, op, r.URL.Path, "there is no such admin endpoint").
		WithHint("there are faults, requests, devices, messages, deliveries, events, swap and reset")
}

func changed(n int) map[string]int { return map[string]int{"changed": n} }

// onlyProject gives the project asked for, or the first when none is.
func (s *Server) onlyProject(id string) string {
	if id == "" {
		return s.options.Projects[0].ID
	}
	return id
}

func (s *Server) faultTexts() any {
	texts := []string{}
	for _, f := range s.Faults() {
		texts = append(texts, f.String())
	}
	return map[string]any{"faults": texts}
}

// takeFaults sets or adds all of them, or none when one cannot be read.
func (s *Server) takeFaults(texts []string, add bool) (any, error) {
	var faults []Fault
	for _, text := range texts {
		f, err := ParseFault(text)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	if !add {
		s.SetFaults(faults...)
	} else {
		for _, f := range faults {
			s.AddFault(f)
		}
	}
	return s.faultTexts(), nil
}

// change does one thing to many devices and gives how many; it stops at the first that fails.
func (s *Server) change(b bulk) (n int, err error) {
	err = s.within(b.Project, b.Project, func(p *project) error {
		chosen, err := p.choose(b)
		if err != nil {
			return err
		}
		for _, d := range chosen {
			if len(b.Edit) > 0 {
				if err := p.editWith(d, b.Edit); err != nil {
					return err
				}
			}
			for _, path := range slices.Sorted(maps.Keys(b.State)) {
				text, err := encode(b.State[path])
				if err != nil {
					return err
				}
				value, err := decode(text)
				if err != nil {
					return err
				}
				p.setState(d, stateWith(p.state(d), stateKeys(path), value, false))
			}
			if b.Report {
				p.act(d, s.clock().Truncate(time.Millisecond))
			}
			if b.Delete {
				p.remove(d)
			}
			n++
		}
		return nil
	})
	return n, err
}

func (p *project) choose(b bulk) ([]*device, error) {
	var chosen []*device
	for _, id := range b.IDs {
		d := p.find(id)
		if d == nil {
			return nil, notFound("device %s not found", id)
		}
		chosen = append(chosen, d)
	}
	for _, name := range b.Names {
		d := p.byName[name]
		if d == nil {
			return nil, notFound("device %q not found", name)
		}
		chosen = append(chosen, d)
	}
	if len(b.IDs)+len(b.Names) == 0 {
		for i, d := range p.order {
			if b.Every < 2 || i%b.Every == 0 {
				chosen = append(chosen, d)
			}
		}
	}
	if b.Limit > 0 && len(chosen) > b.Limit {
		chosen = chosen[:b.Limit]
	}
	return slices.Clone(chosen), nil
}
