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
func (h *Handler) unavailable(w http.ResponseWriter, detail string) {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	h.problem(w, http.StatusServiceUnavailable, tandem.Unavailable, detail, "send it again later")
}

// The codes that only HTTP has, as the API names them.
const (
	wrongMethod tandem.Code = "method_not_allowed"
	tooLarge    tandem.Code = "too_large"
	wrongType   tandem.Code = "unsupported_media_type"
)

// titles say the same of a code as the API does.
var titles = map[tandem.Code]string{tandem.Invalid: "The request is wrong", tandem.Unauthorized: "The caller is not signed in", tandem.Unavailable: "Something is away",
	tandem.Internal: "A fault of the server", wrongMethod: "The address has another method", tooLarge: "The request is too large", wrongType: "The body has another media type"}

// problem answers with an RFC 9457 problem, as the API does: its type is the page that explains the code.
func (h *Handler) problem(w http.ResponseWriter, status int, code tandem.Code, detail, hint string) {
	id := w.Header().Get("X-Request-Id") // of the server in front
	if id == "" {
		id = h.o.IDs()
		w.Header().Set("X-Request-Id", id)
	}
	retry, _ := strconv.Atoi(w.Header().Get("Retry-After")) // 0 where it says nothing
	body, err := json.Marshal(struct {
		Type      string      `json:"type"`
		Title     string      `json:"title"`
		Status    int         `json:"status"`
		Code      tandem.Code `json:"code"`
		Detail    string      `json:"detail"`
		Hint      string      `json:"hint,omitempty"`
		RequestID string      `json:"request_id"`
		Retry     int         `json:"retry_after,omitempty"`
	}{"/api/docs/problems#" + string(code), titles[code], status, code, detail, hint, id, retry})
	if err != nil {
		status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever went away needs no answer
}
