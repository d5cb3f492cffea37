package setting_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"tandem"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// signIn tries to sign a person in, and gives the reply's status and body.
func signIn(t *testing.T, w *webtest.World, email, password string) (int, map[string]any) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"email": email, "password": password})
	must(t, err)
	reply, err := (&http.Client{Timeout: time.Minute}).Post(w.URL+"/api/v1/session", "application/json", bytes.NewReader(body))
	must(t, err)
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	must(t, err)
	var told map[string]any
	must(t, json.Unmarshal(text, &told))
	return reply.StatusCode, told
}

// member reads a person as the API tells of them.
func member(t *testing.T, w *webtest.World, id string) tandem.Member {
	t.Helper()
	m, err := w.API.User(t.Context(), w.Org.ID, id)
	must(t, err)
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
