package storetest

import (
	"slices"
	"time"

	"tandem"
)

var organizationTests = map[string]func(*world){
	"are created, read, listed and updated": func(w *world) {
		o, err := w.st.Organization(w.ctx, w.org)
		w.must(err)
		bySlug, err := w.st.Organization(w.ctx, o.Slug)
		w.must(err)
		w.equal(bySlug, o)
		o.Name, o.Settings, o.UpdatedAt = "Ünïcode 🚀 'quoted'", map[string]any{"a": []any{"b"}}, w.now.Add(time.Hour)
		w.must(w.st.UpdateOrganization(w.ctx, o))
		again, err := w.st.Organization(w.ctx, w.org)
		w.must(err)
		o.Version++
		w.equal(again, o)
		o.Version--
		w.wantCode(w.st.UpdateOrganization(w.ctx, o), tandem.Stale)
		w.wantCode(w.st.DeleteOrganization(w.ctx, o.ID, o.Version, w.now), tandem.Stale)
		w.other()
		list, err := w.st.Organizations(w.ctx)
		w.must(err)
		found := false
		for i, item := range list {
			found = found || item.ID == w.org
			if i > 0 && list[i-1].Slug >= item.Slug {
				w.Errorf("not by slug: %s before %s", list[i-1].Slug, item.Slug)
			}
		}
		if !found {
			w.Error("the list lacks one")
		}
	},
	"a slug is taken once": func(w *world) {
		o, err := w.st.Organization(w.ctx, w.org)
		w.must(err)
		b := w.other()
		w.wantCode(w.st.CreateOrganization(w.ctx, tandem.Organization{ID: w.id(), Name: "x", Slug: o.Slug, CreatedAt: w.now, UpdatedAt: w.now}), tandem.Exists)
		second, err := w.st.Organization(w.ctx, b.org)
		w.must(err)
		second.Slug = o.Slug
		w.wantCode(w.st.UpdateOrganization(w.ctx, second), tandem.Exists)
	},
	"a missing one is not found": func(w *world) {
		_, err := w.st.Organization(w.ctx, "nobody")
		w.wantCode(err, tandem.NotFound)
		w.wantCode(w.st.UpdateOrganization(w.ctx, tandem.Organization{ID: "nobody", Name: "x", Slug: "nobody-at-all", UpdatedAt: w.now}), tandem.NotFound)
		w.wantCode(w.st.DeleteOrganization(w.ctx, "nobody", 0, w.now), tandem.NotFound)
	},
	"deleting removes everything in it but its audit, and nothing else": func(w *world) {
		b := w.other()
		full(w)
		full(b)
		before := snapshot(b)
		o, err := w.st.Organization(w.ctx, w.org)
		w.must(err)
		audited := w.audited()
		last := w.newAudit("organization.delete", func(e *tandem.AuditEntry) { e.At = time.Now().UTC().Add(time.Hour).Truncate(time.Second) })
		w.must(w.st.DeleteOrganization(w.ctx, w.org, 0, w.now, last))
		_, err = w.st.Organization(w.ctx, w.org)
		w.wantCode(err, tandem.NotFound)
		w.equal(pick(w.audited(), entryID), append([]string{last.ID}, pick(audited, entryID)...))
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{Along: tandem.Along{Audit: []tandem.AuditEntry{w.newAudit("later")}}}), tandem.NotFound)
		deleted, err := w.st.DeletedOrganizations(w.ctx)
		w.must(err)
		if want := (tandem.DeletedOrganization{ID: o.ID, Name: o.Name, Slug: o.Slug, DeletedAt: w.now}); !slices.Contains(deleted, want) {
			w.Errorf("deleted are %v, without %v", deleted, want)
		}
		w.must(w.st.CreateOrganization(w.ctx, tandem.Organization{ID: w.id(), Name: "again", Slug: o.Slug, CreatedAt: w.now, UpdatedAt: w.now}))
		if left := snapshot(w, auditParts...); left != snapshot(w.other(), auditParts...) {
			w.Errorf("left behind: %s", left)
		}
		if after := snapshot(b); after != before {
			w.Errorf("another organization changed: %s", diff(after, before))
		}
	},
}
