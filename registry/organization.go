package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode"

	"tandem"
)

// OrganizationEdit names what is to change; nil leaves a value as it is.
type OrganizationEdit struct {
	Name          *string
	Slug          *string
	EscalateAfter *int   // minutes until an alert that nobody acknowledges escalates; 0 for never
	IfVersion     *int64 // Stale when it is at another version
}

// CreateOrganization makes a tenant. An empty slug is made from the name. Exists when the slug is taken. Besides the
// command line, an owner of an organization may make another, and owns that one too.
func (r *Registry) CreateOrganization(ctx context.Context, actor Actor, name, slug string) (tandem.Organization, error) {
	if err := actor.mayFound(); err != nil {
		return tandem.Organization{}, err
	}
	o, err := r.newOrganization(name, slug)
	if err != nil {
		return o, err
	}
	if actor.Root {
		return o, r.Store.CreateOrganization(ctx, o, r.note(actor, o.ID, "organization.create", organizationThing(&o), nil, &o))
	}
	owner := tandem.User{ID: actor.UserID, Email: actor.By()}
	in := tandem.Admission{Organization: &o}
	r.admitOwner(actor, &in, &owner, []tandem.Organization{o})
	return o, r.Server.Admit(ctx, in)
}

// mayFound refuses whoever may not make an organization.
func (a Actor) mayFound() error {
	if a.Root {
		return nil
	}
	if err := a.person("create organization"); err != nil {
		return err
	}
	for _, role := range a.Roles {
		if role == tandem.Owner {
			return nil
		}
	}
	return tandem.Errorf(tandem.Forbidden, "create organization", "", "only an owner of an organization can make another one").
		WithHint("ask an owner, or whoever runs the server: tandem org create NAME")
}

// newOrganization makes a tenant that is not stored yet.
func (r *Registry) newOrganization(name, slug string) (tandem.Organization, error) {
	now := r.Clock()
	o := tandem.Organization{ID: r.NewID(), Name: strings.TrimSpace(name), Slug: slug, Version: 1, CreatedAt: now, UpdatedAt: now}
	if o.Slug == "" {
		o.Slug = Slug(o.Name)
		if o.Slug == "" && o.Name != "" {
			return o, tandem.Errorf(tandem.Invalid, "create organization", o.Name, "no short name for commands and URLs can be made of this name").
				WithHint("give one with --slug: up to 63 lower-case letters, digits and single hyphens, such as %q", "acme-europe")
		}
	}
	return o, checkOrganization(&o)
}

// Organizations lists the actor's own tenants by slug; at the command line, all.
func (r *Registry) Organizations(ctx context.Context, actor Actor) ([]tandem.Organization, error) {
	if actor.Root {
		return r.Store.Organizations(ctx)
	}
	own := []tandem.Organization{}
	for id := range actor.Roles {
		o, err := r.Store.Organization(ctx, id)
		if tandem.Is(err, tandem.NotFound) {
			continue // deleted since the actor signed in
		}
		if err != nil {
			return nil, err
		}
		own = append(own, o)
	}
	slices.SortFunc(own, func(a, b tandem.Organization) int { return strings.Compare(a.Slug, b.Slug) })
	return own, nil
}

// Organization finds one of the actor's own by id or slug; others are not even looked up.
func (r *Registry) Organization(ctx context.Context, actor Actor, ref string) (tandem.Organization, error) {
	if actor.Root {
		return r.Store.Organization(ctx, ref)
	}
	own, err := r.Organizations(ctx, actor)
	if err != nil {
		return tandem.Organization{}, err
	}
	for i := range own {
		if own[i].ID == ref || own[i].Slug == ref {
			return own[i], nil
		}
	}
	return tandem.Organization{}, noOrganization(ref)
}

// organizationTo finds one that the actor may do something with.
func (r *Registry) organizationTo(ctx context.Context, actor Actor, ref string, p Permission) (tandem.Organization, error) {
	o, err := r.Organization(ctx, actor, ref)
	if err != nil {
		return o, err
	}
	return o, actor.may(o.ID, p)
}

// UpdateOrganization changes what the edit names.
func (r *Registry) UpdateOrganization(ctx context.Context, actor Actor, ref string, edit OrganizationEdit) (tandem.Organization, error) {
	var o tandem.Organization
	err := retryMoved(func() error {
		before, err := r.organizationTo(ctx, actor, ref, UpdateOrganization)
		if err != nil {
			return err
		}
		if err := expect("update organization", before.Slug, before.Version, edit.IfVersion); err != nil {
			return err
		}
		if o, err = edit.of(before); err != nil {
			return err
		}
		o.UpdatedAt = r.Clock()
		after := o
		after.Version++
		if err := r.Store.UpdateOrganization(ctx, o, r.note(actor, o.ID, "organization.update", organizationThing(&o), &before, &after)); err != nil {
			return err
		}
		o = after
		return nil
	})
	return o, err
}

// of gives an organization as the edit makes it, and refuses what is wrong with it.
func (e *OrganizationEdit) of(o tandem.Organization) (tandem.Organization, error) {
	set(&o.Name, e.Name)
	if e.Slug != nil {
		o.Slug = *e.Slug
	}
	if err := checkOrganization(&o); err != nil || e.EscalateAfter == nil {
		return o, err
	}
	if err := between("escalate-after", *e.EscalateAfter, 0, tandem.MaxEscalation); err != nil {
		return o, err
	}
	if o.Settings = maps.Clone(o.Settings); o.Settings == nil {
		o.Settings = map[string]any{}
	}
	o.Settings[tandem.EscalateSetting] = *e.EscalateAfter
	return o, nil
}

// DeleteOrganization removes a tenant and everything that it has here. Its remote projects are not touched. Its audit
// stays, and ends with who deleted it: whoever has the database still reads, verifies and exports it.
// With a version it is Stale when the organization is at another one.
func (r *Registry) DeleteOrganization(ctx context.Context, actor Actor, ref string, ifVersion ...int64) (o tandem.Organization, err error) {
	err = retryMoved(func() (err error) {
		if o, err = r.organizationTo(ctx, actor, ref, DeleteOrganization); err != nil {
			return err
		}
		if err := expect("delete organization", o.Slug, o.Version, wanted(ifVersion)); err != nil {
			return err
		}
		return r.Store.DeleteOrganization(ctx, o.ID, o.Version, r.Clock(), r.entry(actor, o.ID, "organization.delete", organizationThing(&o), &o, nil))
	})
	return o, err
}

// DeletedOrganizations lists the tenants that are no more and whose audit is still kept, at the command line.
func (r *Registry) DeletedOrganizations(ctx context.Context, actor Actor) ([]tandem.DeletedOrganization, error) {
	if err := actor.root("list deleted organizations"); err != nil {
		return nil, err
	}
	return r.Server.DeletedOrganizations(ctx)
}

func organizationThing(o *tandem.Organization) thing { return thing{"organization", o.ID, o.Slug} }

func checkOrganization(o *tandem.Organization) error {
	if err := checkLine("name", o.Name, 1, 200); err != nil {
		return err
	}
	if o.Slug == "" || len(o.Slug) > 63 || Slug(o.Slug) != o.Slug {
		return tandem.Errorf(tandem.Invalid, "check organization", o.Name, "%q is not a slug", o.Slug).
			WithHint("use up to 63 lower-case letters, digits and single hyphens, such as %q", "acme-europe")
	}
	return nil
}

// plain writes the letters of European languages without their marks.
var plain = strings.NewReplacer(pairs("aàáâãäåāăąǎ", "cçćĉċč", "dďđð", "eèéêëēĕėęě", "gĝğġģ", "hĥħ", "iìíîïĩīĭįı", "jĵ", "kķ", "lĺļľŀł",
	"nñńņňŋ", "oòóôõöøōŏőǒ", "rŕŗř", "sśŝşšș", "tţťŧț", "uùúûüũūŭůűųǔ", "wŵ", "yýÿŷ", "zźżž")...)

// pairs gives each letter after the first of a group with that first one.
func pairs(groups ...string) []string {
	out := []string{"ß", "ss", "æ", "ae", "œ", "oe", "þ", "th"}
	for _, group := range groups {
		for _, marked := range group[1:] {
			out = append(out, string(marked), group[:1])
		}
	}
	return out
}

// Slug makes lower-case letters, digits and single hyphens of a name; "" when nothing is left of it.
func Slug(name string) string {
	var b strings.Builder
	gap := false
	for _, c := range plain.Replace(strings.ToLower(name)) {
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(c)
		} else {
			gap = true
		}
	}
	return b.String()
}
