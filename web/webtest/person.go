package webtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
)

// Person is somebody with an account.
type Person struct {
	ID       string
	Email    string
	Name     string
	Password string
	server   *server
}

// password is everybody's; it is no secret in a database that is thrown away.
const password = "correct-horse-battery-9"

// session is a person's, by its cookie.
type session struct {
	url    string
	cookie *http.Cookie
}

// account is as much of a reply about a session as is needed here.
type account struct {
	Account struct {
		User tandem.User `json:"user"`
	} `json:"account"`
}

var counted atomic.Int64 // people and organizations, whose names differ

// setUp makes the first account of a server.
func (s *server) setUp() (*Person, error) {
	secret, err := s.setUpSecret()
	if err != nil {
		return nil, err
	}
	p := &Person{Email: "first@example.com", Name: "First", Password: password, server: s}
	var made account
	err = (&session{url: s.url}).call(http.MethodPost, "session/set-up",
		map[string]string{"secret": secret, "email": p.Email, "name": p.Name, "password": p.Password, "organization": "First"}, &made)
	p.ID = made.Account.User.ID
	return p, err
}

// signIn begins a session.
func (p *Person) signIn() (*session, error) {
	s := &session{url: p.server.url}
	return s, s.call(http.MethodPost, "session", map[string]string{"email": p.Email, "password": p.Password}, nil)
}

// invited makes an account by an invitation to an organization, as whom the session is of asks.
func (s *session) invited(server *server, org string, role tandem.Role) (*Person, error) {
	n := strconv.FormatInt(counted.Add(1), 10)
	p := &Person{Email: string(role) + n + "@example.com", Name: string(role) + " " + n, Password: password, server: server}
	var asked struct{ Secret string }
	if err := s.call(http.MethodPost, "invitations?organization="+url.QueryEscape(org), map[string]string{"email": p.Email, "role": string(role)}, &asked); err != nil {
		return nil, err
	}
	var made account
	err := (&session{url: s.url}).call(http.MethodPost, "session/invitation/accept", map[string]string{"secret": asked.Secret, "name": p.Name, "password": p.Password}, &made)
	p.ID = made.Account.User.ID
	return p, err
}

// call does one request of the API and keeps the session's cookie.
func (s *session) call(method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, s.url+"/api/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if method != http.MethodGet && method != http.MethodPost {
		request.Header.Set("If-Match", "*")
	}
	if s.cookie != nil {
		request.AddCookie(s.cookie)
	}
	reply, err := (&http.Client{Timeout: time.Minute}).Do(request)
	if err != nil {
		return err
	}
	text, err = io.ReadAll(reply.Body)
	if closing := reply.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	if reply.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, reply.Status, text)
	}
	for _, c := range reply.Cookies() {
		if c.Name == "tandem" || c.Name == "__Host-tandem" {
			s.cookie = c
		}
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, into)
}

// must ends the test with an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
