package entry

import (
	"net/http"
	"net/url"
	"strings"
)

// signInView is the form where people sign in; the script talks to the API, whose cookie is the session.
type signInView struct {
	Provider bool   // people may sign in through an identity provider
	Code     bool   // only the second factor's code is asked for
	Next     string // where to go then
	Email    string // as far as it is known
	Fixed    bool   // it cannot be another
	Secret   string // of an invitation that is accepted then, "" for none
	Button   string
	Problem  string
}

// signIn is the page where people sign in.
func (p *pages) signIn(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	v := signInView{Provider: p.Provider, Code: asked.Get("step") == "code", Next: ownPath(asked.Get("next")), Problem: problems[asked.Get("problem")], Button: "Sign in"}
	if v.Problem == "" && asked.Get("problem") != "" {
		v.Problem = "Signing in through the identity provider failed. Try again."
	}
	p.render(w, r, http.StatusOK, signInPage(v))
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

// resetView is the page where people ask for a new password.
type resetView struct {
	Mail    bool // letters can be sent
	Email   string
	Problem string
	Sent    bool
}

// askForReset shows its form.
func (p *pages) askForReset(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, http.StatusOK, resetPage(resetView{Mail: p.Registry.Post != nil}))
}

// sendReset asks for the letter. What it says does not tell whether there is an account.
func (p *pages) sendReset(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	v := resetView{Mail: p.Registry.Post != nil, Email: strings.TrimSpace(r.PostForm.Get("email"))}
	if !v.Mail {
		p.render(w, r, http.StatusOK, resetPage(v))
		return
	}
	if err := p.Registry.RequestPasswordReset(r.Context(), v.Email, addressOf(r)); err != nil {
		v.Problem = p.explain(r, err)
		p.render(w, r, statusOf(err), resetPage(v))
		return
	}
	v.Sent = true
	p.render(w, r, http.StatusOK, resetPage(v))
}

// step is what the form begins with.
func (v signInView) step() string {
	if v.Code {
		return "code"
	}
	return "password"
}

// next is where to go, for an address.
func (v signInView) next() string { return url.QueryEscape(v.Next) }
