package entry

import (
	"errors"
	"net/http"
	"strings"

	"tandem"
)

// refuse shows what went wrong, and the form again where there is one.
func (p *pages) refuse(w http.ResponseWriter, r *http.Request, v view, err error) {
	problem := p.explain(r, err)
	if v.Title == "" || v.Token == "" {
		p.render(w, r, statusOf(err), linkPage(view{Title: "This link does not work", Problem: problem}))
		return
	}
	if v.Wrong == nil {
		v.Wrong = wrong(err, v.AskOrg)
	}
	if len(v.Wrong) == 0 { // else it stands at the fields
		v.Problem = problem
	}
	p.render(w, r, statusOf(err), linkPage(v))
}

// explain says for a person what went wrong. What is the server's own fault stays in its log.
func (p *pages) explain(r *http.Request, err error) string {
	var e *tandem.Error
	if !errors.As(err, &e) || e.Code == tandem.Internal {
		p.Log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
		return "Something failed here. Try again."
	}
	text := sentence(e.Message)
	if e.Hint != "" {
		text += " " + sentence(e.Hint)
	}
	return text
}

// wrong gives what is wrong with each field of a form, as the registry's messages tell by their first word.
func wrong(err error, asksOrganization bool) map[string]string {
	var e *tandem.Error
	if !errors.As(err, &e) || e.Code != tandem.Invalid {
		return nil
	}
	found := map[string]string{}
	for message := range strings.SplitSeq(e.Message, "; ") {
		field, _, _ := strings.Cut(message, " ")
		if asksOrganization && e.Op != "create account" && field == "name" { // the organization is looked at before the person
			field = "organization"
		}
		switch field {
		case "email", "name", "password", "organization":
			found[field] = sentence(message)
		default:
			return nil
		}
	}
	return found
}

// sentence begins a text with a capital letter and ends it with a stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	if text[0] >= 'a' && text[0] <= 'z' {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

func statusOf(err error) int {
	switch tandem.CodeOf(err) {
	case tandem.Invalid:
		return http.StatusUnprocessableEntity
	case tandem.NotFound:
		return http.StatusNotFound
	case tandem.Exists, tandem.Stale:
		return http.StatusConflict
	case tandem.RateLimited:
		return http.StatusTooManyRequests
	case tandem.Unavailable, tandem.Busy, tandem.Timeout:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
