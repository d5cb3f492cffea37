package entry

import (
	"context"
	"net/http"

	"tandem"
	"tandem/registry"
)

// view is what a link's page shows.
type view struct {
	Title, Intro string
	Token        string
	Email        string // asked for when AskEmail, else shown when not ""
	AskEmail     bool
	AskName      bool
	Organization string
	AskOrg       bool
	Button       string // "" without a form
	Name         string
	Problem      string
	Wrong        map[string]string // by field of the form
	Done         string            // what was achieved; signing in is next
	Join         *joining          // for who has an account; no form of the link's own then
}

// joining is how somebody with an account accepts an invitation.
type joining struct {
	Organization tandem.Organization
	As           string // the email of who is signed in, "" for nobody
}

// link is one kind of page: look says what the secret is good for, act does it.
type link struct {
	look func(r *http.Request, secret string) (view, error)
	act  func(ctx context.Context, secret string, person registry.NewPerson, organization string) (tandem.User, string, error)
}

func setUp(r *registry.Registry) link {
	return link{
		look: func(request *http.Request, secret string) (view, error) {
			orgs, err := r.Organizations(request.Context(), registry.System("set-up"))
			if err != nil {
				return view{}, err
			}
			v := view{Title: "Set Tandem up", Intro: "Nobody can sign in here yet. Make the account of the first owner, who then invites the others.", AskEmail: true, AskName: true,
				AskOrg: len(orgs) == 0, Button: "Create the account"}
			return v, r.LookAtLink(request.Context(), tandem.SetUpLink, secret)
		},
		act: func(ctx context.Context, secret string, person registry.NewPerson, organization string) (tandem.User, string, error) {
			u, err := r.SetUp(ctx, secret, person, organization)
			return u, "The account " + u.Email + " is there. Sign in with it.", err
		},
	}
}

func (p *pages) invitation() link {
	return link{
		look: func(request *http.Request, secret string) (view, error) {
			at, err := p.Registry.LookAtInvitation(request.Context(), secret)
			v := view{Title: "Join " + at.Organization.Name, Email: at.Invitation.Email, AskName: true, Button: "Create the account and join",
				Intro: "You are invited as " + string(at.Invitation.Role) + ". Make your account to join."}
			if err == nil && at.HasAccount {
				v.Button, v.Intro = "", "You are invited as "+string(at.Invitation.Role)+"."
				v.Join = &joining{Organization: at.Organization, As: p.signedIn(request)}
			}
			return v, err
		},
		act: func(ctx context.Context, secret string, person registry.NewPerson, _ string) (tandem.User, string, error) {
			u, err := p.Registry.AcceptInvitation(ctx, secret, person)
			return u, "Welcome. Sign in as " + u.Email + ".", err
		},
	}
}

// signedIn gives the email of who is signed in, "" for nobody.
func (p *pages) signedIn(r *http.Request) string {
	if p.Actor == nil {
		return ""
	}
	actor, err := p.Actor(r)
	if err != nil {
		return "" // they sign in again
	}
	u, _, err := p.Registry.Me(r.Context(), actor)
	if err != nil {
		return ""
	}
	return u.Email
}

func reset(r *registry.Registry) link {
	return link{
		look: func(request *http.Request, secret string) (view, error) {
			return view{Title: "Choose a new password", Intro: "With the new one every session ends, on all devices.", Button: "Set the password"},
				r.LookAtLink(request.Context(), tandem.ResetLink, secret)
		},
		act: func(ctx context.Context, secret string, person registry.NewPerson, _ string) (tandem.User, string, error) {
			u, err := r.ResetPassword(ctx, secret, person.Password)
			return u, "The password of " + u.Email + " is changed, and every session has ended. Sign in with the new one.", err
		},
	}
}

// show gives the form that a link leads to.
func (p *pages) show(w http.ResponseWriter, r *http.Request, l *link) {
	secret := r.URL.Query().Get("token")
	v, err := l.look(r, secret)
	if err != nil {
		p.refuse(w, r, v, err)
		return
	}
	v.Token = secret
	p.render(w, r, http.StatusOK, linkPage(v))
}

// submit does what the form asks for.
func (p *pages) submit(w http.ResponseWriter, r *http.Request, l *link) {
	if !p.readForm(w, r) {
		return
	}
	form := r.PostForm
	secret := form.Get("token")
	v, err := l.look(r, secret)
	if err != nil {
		p.refuse(w, r, v, err)
		return
	}
	person := registry.NewPerson{Email: form.Get("email"), Name: form.Get("name"), Password: form.Get("password")}
	if person.Password != form.Get("again") {
		v.Wrong = map[string]string{"again": "The two passwords differ."}
		err = tandem.Errorf(tandem.Invalid, "set password", "", "the two passwords differ")
	} else {
		var u tandem.User
		if u, v.Done, err = l.act(r.Context(), secret, person, form.Get("organization")); err == nil {
			p.render(w, r, http.StatusOK, linkPage(view{Title: v.Title, Done: v.Done, Email: u.Email}))
			return
		}
	}
	v.Token, v.Name, v.Organization, v.Done = secret, person.Name, form.Get("organization"), ""
	if v.AskEmail {
		v.Email = person.Email
	}
	p.refuse(w, r, v, err)
}
