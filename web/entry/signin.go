package entry

import (
	"log/slog"
	"net/http"
	"strings"
)

// signIn is the page where people sign in; the script talks to the API, whose cookie is the session.
func signIn(log *slog.Logger, provider bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		asked := r.URL.Query()
		v := signInView{Provider: provider, Code: asked.Get("step") == "code", Next: ownPath(asked.Get("next")), Problem: problems[asked.Get("problem")]}
		if v.Problem == "" && asked.Get("problem") != "" {
			v.Problem = "Signing in through the identity provider failed. Try again."
		}
		if err := page.ExecuteTemplate(w, "signin.html", v); err != nil {
			log.DebugContext(r.Context(), "a page was not sent whole", "path", r.URL.Path, "error", err)
		}
	}
}

// signInView is what the page shows.
type signInView struct {
	Provider bool   // people may sign in through an identity provider
	Code     bool   // only the second factor's code is asked for
	Next     string // where to go then
	Problem  string
}

// problems says for people what the API's codes say for programs.
var problems = map[string]string{
	"forbidden":    "There is no account here with an email that the identity provider has verified as yours. Ask an administrator for an invitation to that email.",
	"unauthorized": "The identity provider did not let you in, or its answer came too late. Begin again.",
	"rate_limited": "Too many tries. Wait a little.",
	"unavailable":  "The identity provider does not answer. Try again later.",
}

// ownPath gives a path of this server, the start page for anything else.
func ownPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

// asset serves one of the pages' own files.
func asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeFileFS(w, r, files, name)
	}
}
