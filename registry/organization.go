package registry

import (
	"context"
	"strings"
	"unicode"

	"tandem"
)

// OrganizationEdit names what is to change; nil leaves a value as it is.
type OrganizationEdit struct {
	Name *string
	Slug *string
}

// CreateOrganization makes a tenant. An empty slug is made from the name. Exists when the slug is taken.
func (r *Registry) CreateOrganization(ctx context.Context, _ Actor, name, slug string) (tandem.Organization, error) {
	now := r.Clock()
	o := tandem.Organization{ID: r.NewID(), Name: strings.TrimSpace(name), Slug: slug, CreatedAt: now, UpdatedAt: now}
	if o.Slug == "" {
		o.Slug = Slug(o.Name)
		if o.Slug == "" && o.Name != "" {
			return o, tandem.Errorf(tandem.Invalid, "create organization", o.Name, "no short name for commands and URLs can be made of this name").
				WithHint("give one with --slug: up to 63 lower-case letters, digits and single hyphens, such as %q", "acme-europe")
		}
	}
	if err := checkOrganization(&o); err != nil {
		return o, err
	}
	return o, r.Store.CreateOrganization(ctx, o)
}

// Organizations lists all tenants by slug.
func (r *Registry) Organizations(ctx context.Context, _ Actor) ([]tandem.Organization, error) {
	return r.Store.Organizations(ctx)
}

// Organization finds one by id or slug.
func (r *Registry) Organization(ctx context.Context, _ Actor, ref string) (tandem.Organization, error) {
	return r.Store.Organization(ctx, ref)
}

// UpdateOrganization changes a tenant's name or slug.
func (r *Registry) UpdateOrganization(ctx context.Context, _ Actor, ref string, edit OrganizationEdit) (tandem.Organization, error) {
	o, err := r.Store.Organization(ctx, ref)
	if err != nil {
		return o, err
	}
	if edit.Name != nil {
		o.Name = strings.TrimSpace(*edit.Name)
	}
	if edit.Slug != nil {
		o.Slug = *edit.Slug
	}
	if err := checkOrganization(&o); err != nil {
		return o, err
	}
	o.UpdatedAt = r.Clock()
	return o, r.Store.UpdateOrganization(ctx, o)
}

// DeleteOrganization removes a tenant and everything that it has here. Its remote projects are not touched.
func (r *Registry) DeleteOrganization(ctx context.Context, _ Actor, ref string) (tandem.Organization, error) {
	o, err := r.Store.Organization(ctx, ref)
	if err != nil {
		return o, err
	}
	return o, r.Store.DeleteOrganization(ctx, o.ID)
}

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
