package shell

import (
	"errors"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"tandem"
	"tandem/registry"
)

// orgCookie remembers the organization that was looked at last.
const orgCookie = "tandem-organization"

// Call is one request of a signed-in person about one organization.
type Call struct {
	W     http.ResponseWriter
	R     *http.Request
	Site  *Site
	Actor registry.Actor
	User  tandem.User
	Org   tandem.Organization
	Role  tandem.Role
	Orgs  []tandem.Belonging // all of the person's, by slug

	toasts []toast
	events []string
	place  string // where the page's live stream begins
	wrote  bool
	file   bool // what is written is a download
}

// Registry holds the use cases.
func (c *Call) Registry() *registry.Registry { return c.Site.Registry }

// Now is the time, UTC.
func (c *Call) Now() time.Time { return c.Site.Clock().UTC() }

// May says whether the person may do something here: what would be refused is not offered.
func (c *Call) May(p registry.Permission) bool { return c.Actor.May(c.Org.ID, p) }

// Path gives an address inside the organization, such as Path("devices", id).
func (c *Call) Path(parts ...string) string {
	path := "/o/" + url.PathEscape(c.Org.Slug)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// Value gives a parameter of the path.
func (c *Call) Value(name string) string { return c.R.PathValue(name) }

// Query gives a parameter of the address, without space around it.
func (c *Call) Query(name string) string { return strings.TrimSpace(c.R.URL.Query().Get(name)) }

// Form gives a value of the submitted form, without space around it; Texts gives all of a name as they are.
func (c *Call) Form(name string) string { return strings.TrimSpace(c.R.PostForm.Get(name)) }

// Texts gives all values of a name in the submitted form.
func (c *Call) Texts(name string) []string { return c.R.PostForm[name] }

// Checked says whether a checkbox of the submitted form was set.
func (c *Call) Checked(name string) bool { return c.R.PostForm.Has(name) }

// Partial says whether a script on the page asks for a part of it, not a browser for the whole.
func (c *Call) Partial() bool {
	return c.R.Header.Get("HX-Request") == "true" && c.R.Header.Get("HX-History-Restore-Request") == ""
}

// signedIn finds out who asks, about which organization; it has replied where it is false.
func (c *Call) signedIn() bool {
	actor, err := c.Site.Actor(c.R)
	if tandem.Is(err, tandem.Unauthorized) {
		c.toSignIn()
		return false
	}
	if err == nil {
		actor.RequestID, actor.Address = c.W.Header().Get("X-Request-Id"), addressOf(c.R)
		c.Actor = actor
		c.User, c.Orgs, err = c.Registry().Me(c.R.Context(), actor)
	}
	if err != nil {
		c.fail(err)
		return false
	}
	slug := c.R.PathValue("org")
	if slug == "" {
		c.lastOrganization()
		return true
	}
	for _, b := range c.Orgs {
		if b.Organization.Slug == slug || b.Organization.ID == slug {
			c.Org, c.Role = b.Organization, b.Role
			c.remember(slug)
			return true
		}
	}
	c.lastOrganization() // for the frame
	c.fail(tandem.Errorf(tandem.NotFound, "find organization", slug, "you belong to no organization %q", slug).WithHint("choose one of yours, or ask for an invitation"))
	return false
}

// lastOrganization takes the organization that was looked at last, else the first.
func (c *Call) lastOrganization() {
	last := ""
	if cookie, err := c.R.Cookie(orgCookie); err == nil {
		last = cookie.Value
	}
	for i, b := range c.Orgs {
		if i == 0 || b.Organization.Slug == last {
			c.Org, c.Role = b.Organization, b.Role
		}
	}
}

func (c *Call) remember(slug string) {
	if cookie, err := c.R.Cookie(orgCookie); err == nil && cookie.Value == slug {
		return
	}
	http.SetCookie(c.W, &http.Cookie{Name: orgCookie, Value: slug, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.secure()})
}

// secure reports whether the browser reaches this server by TLS only, a proxy's too.
func (c *Call) secure() bool {
	return c.R.TLS != nil || strings.HasPrefix(c.Site.PublicURL, "https://")
}

func (c *Call) toSignIn() {
	next := c.R.URL.RequestURI()
	if c.R.Method != http.MethodGet {
		next = "/"
	}
	if c.Partial() {
		if at, err := url.Parse(c.R.Header.Get("HX-Current-URL")); err == nil && at.Path != "" {
			next = at.RequestURI()
		}
	}
	c.redirect("/sign-in?next=" + url.QueryEscape(next))
}

// readForm reads a submitted form; files stay for whoever takes them.
func (c *Call) readForm() error {
	if c.R.Method == http.MethodGet || c.R.Method == http.MethodHead {
		c.R.PostForm = url.Values{}
		return nil
	}
	kind, _, err := mime.ParseMediaType(c.R.Header.Get("Content-Type"))
	if err == nil && kind == "multipart/form-data" {
		err = c.R.ParseMultipartForm(1 << 20)
	} else {
		err = c.R.ParseForm()
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tandem.Errorf(tandem.Invalid, "read form", "", "what was sent is larger than %d bytes", large.Limit).WithHint("send less at once")
	}
	if err != nil {
		return tandem.Errorf(tandem.Invalid, "read form", "", "the form cannot be read").WithHint("reload the page and send it again")
	}
	return nil
}

// addressOf gives where a request comes from, without the port. What proxies say is the matter of the server in front.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// cut splits a pattern into method and path.
func cut(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	return method, path
}

func stack() string { return string(debug.Stack()) }
