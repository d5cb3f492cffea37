package webhook

import (
	"encoding/json"
	"net/http"
	"strconv"

	"tandem"
)

// accepted answers 202: it is durable.
func accepted(w http.ResponseWriter, body string) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusAccepted)
	// A sender that went away before its answer sends again, and finds it stored.
	_, _ = w.Write([]byte(body))
}

var jsonType = []string{"application/json"}

// unavailable asks the sender to come again.
func unavailable(w http.ResponseWriter, detail string) {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	problem(w, http.StatusServiceUnavailable, tandem.Unavailable, detail, "send it again later")
}

// problem answers with an RFC 9457 problem.
func problem(w http.ResponseWriter, status int, code tandem.Code, detail, hint string) {
	body, err := json.Marshal(struct {
		Type   string      `json:"type"`
		Title  string      `json:"title"`
		Status int         `json:"status"`
		Detail string      `json:"detail"`
		Code   tandem.Code `json:"code"`
		Hint   string      `json:"hint,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail, code, hint})
	if err != nil {
		status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever went away needs no answer
}
