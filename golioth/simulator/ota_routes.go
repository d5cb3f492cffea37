package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem"
)

// pack is a package: what artifacts are versions of.
type pack struct {
	PackageID   string            `json:"packageId"`
	Description string            `json:"description"`
	Metadata    map[string]string `json:"metadata"`
	CreatedAt   string            `json:"createdAt"`
	UpdatedAt   string            `json:"updatedAt"`
}

// artifact is one version of a package. Its size is a string, the size in binaryInfo a number.
type artifact struct {
	ID          string         `json:"id"`
	Version     string         `json:"version"`
	Package     string         `json:"package"`
	BlueprintID *string        `json:"blueprintId,omitempty"`
	Size        string         `json:"size"`
	BinaryInfo  map[string]any `json:"binaryInfo"`
	CreatedAt   string         `json:"createdAt"`
	UpdatedAt   string         `json:"updatedAt"`
}

// release is the legacy rollout by tags.
type release struct {
	ID             string         `json:"id"`
	BlueprintID    *string        `json:"blueprintId,omitempty"`
	CohortID       *string        `json:"cohortId,omitempty"`
	ArtifactIDs    []string       `json:"artifactIds"`
	DeviceTagIDs   []string       `json:"deviceTagIds"`
	ReleaseTags    []string       `json:"releaseTags"`
	Rollout        bool           `json:"rollout"`
	SequenceNumber string         `json:"sequenceNumber"`
	SuitManifest   map[string]any `json:"suitManifest"`
	CreatedAt      string         `json:"createdAt"`
	UpdatedAt      string         `json:"updatedAt"`
}

// deployment is what a cohort runs; immutable, the newest is active.
type deployment struct {
	DeploymentID string   `json:"deploymentId"`
	Name         string   `json:"name"`
	ArtifactIDs  []string `json:"artifactIds"`
	CreatedAt    string   `json:"createdAt"`
}

func newArtifact(id, name, version string, blueprint *string, content []byte, at time.Time) *artifact {
	digest := sha256.Sum256(content)
	return &artifact{id, version, name, blueprint, strconv.Itoa(len(content)), map[string]any{"type": "raw", "size": len(content),
		"digests": map[string]any{"sha256": map[string]any{"digest": hex.EncodeToString(digest[:]), "size": sha256.Size, "type": "sha256"}}},
		stamp(at), stamp(at)}
}

func (c *call) stampNow() string { return stamp(c.server.clock().Truncate(time.Millisecond)) }

// listOf answers one page of a list that fits lets through. The project is locked meanwhile.
func listOf[T any](c *call, all func(*project) []T, fits func(T) bool) (reply, error) {
	number, size, err := c.paging()
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	list := []T{}
	for _, x := range all(c.project) {
		if fits(x) {
			list = append(list, x)
		}
	}
	start := min(number*size, len(list))
	return jsonReply(page{list[start:min(start+size, len(list))], number, size, len(list)})
}

// withOne finds one thing by the id in the path, does something with it and answers it.
func withOne[T any](c *call, kind string, all func(*project) []T, id func(T) string, do func(T) error) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	if kind != "package" {
		if _, err := c.parseID(c.vars[kind]); err != nil {
			return reply{}, err
		}
	}
	list := all(c.project)
	at := slices.IndexFunc(list, func(x T) bool { return id(x) == c.vars[kind] })
	if at < 0 {
		return reply{}, notFound("%s not found", kind)
	}
	if do != nil {
		if err := do(list[at]); err != nil {
			return reply{}, err
		}
	}
	return dataReply(list[at])
}

func packagesOf(p *project) []*pack      { return p.packages }
func artifactsOf(p *project) []*artifact { return p.artifacts }
func releasesOf(p *project) []*release   { return p.releases }
func packID(x *pack) string              { return x.PackageID }
func artifactID(x *artifact) string      { return x.ID }
func releaseID(x *release) string        { return x.ID }

func listPackages(c *call) (reply, error) {
	return listOf(c, packagesOf, func(*pack) bool { return true })
}

func getPackage(c *call) (reply, error) { return withOne(c, "package", packagesOf, packID, nil) }

func createPackage(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	made := &pack{Metadata: map[string]string{}, CreatedAt: c.stampNow(), UpdatedAt: c.stampNow()}
	if made.PackageID, err = f.text("packageId"); err != nil {
		return reply{}, err
	}
	if err := made.fill(f); err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	switch p := c.project; {
	case made.PackageID == "":
		return reply{}, invalid("package id is required")
	case slices.ContainsFunc(p.packages, func(x *pack) bool { return x.PackageID == made.PackageID }):
		return reply{}, fail(http.StatusConflict, codeExists, "package already exists")
	default:
		p.packages = append(p.packages, made)
		slices.SortFunc(p.packages, func(a, b *pack) int { return strings.Compare(a.PackageID, b.PackageID) })
	}
	return dataReply(made)
}

func (x *pack) fill(f fields) error {
	if err := f.read("description", "string", &x.Description); err != nil {
		return err
	}
	metadata := map[string]string{}
	if err := f.read("metadata", "map", &metadata); err != nil {
		return err
	}
	if f.has("metadata") {
		x.Metadata = metadata
	}
	return nil
}

func updatePackage(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	return withOne(c, "package", packagesOf, packID, func(x *pack) error {
		x.UpdatedAt = c.stampNow()
		return x.fill(f)
	})
}

func deletePackage(c *call) (reply, error) {
	_, err := withOne(c, "package", packagesOf, packID, func(x *pack) error {
		if slices.ContainsFunc(c.project.artifacts, func(a *artifact) bool { return a.Package == x.PackageID }) {
			return fail(http.StatusBadRequest, codePrecondition, "package in use")
		}
		c.project.packages = slices.DeleteFunc(slices.Clone(c.project.packages), func(y *pack) bool { return x == y })
		return nil
	})
	return emptyReply, err
}

// createArtifact takes its project from the body: the path has none.
func createArtifact(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	var id, name, version, content string
	for key, into := range map[string]*string{"projectId": &id, "package": &name, "version": &version, "content": &content} {
		if *into, err = f.text(key); err != nil {
			return reply{}, err
		}
	}
	var blueprint *string
	if err := f.read("blueprintId", "string", &blueprint); err != nil {
		return reply{}, err
	}
	data, err := base64.StdEncoding.DecodeString(content)
	if err != nil {
		if data, err = base64.URLEncoding.DecodeString(content); err != nil {
			return reply{}, invalid("proto: (line 1:1): invalid value for bytes field content")
		}
	}
	p := c.server.project(id)
	if p == nil || !c.owners[id] {
		return reply{}, refusal(http.StatusForbidden)
	}
	p.lock(c.now)
	defer p.mu.Unlock()
	switch {
	case name == "" || version == "":
		return reply{}, invalid("package and version are required")
	case !slices.ContainsFunc(p.packages, func(x *pack) bool { return x.PackageID == name }):
		return reply{}, notFound("package not found")
	case slices.ContainsFunc(p.artifacts, func(a *artifact) bool { return a.Package == name && a.Version == version }):
		return reply{}, fail(http.StatusConflict, codeExists, "artifact already exists")
	}
	made := newArtifact(p.newID().String(), name, version, blueprint, data, c.server.clock().Truncate(time.Millisecond))
	p.artifacts = append(p.artifacts, made)
	return dataReply(made)
}

func listArtifacts(c *call) (reply, error) {
	version, blueprint, name, ids := c.param("version"), c.param("blueprintId"), c.param("package"), c.params("ids")
	return listOf(c, artifactsOf, func(a *artifact) bool {
		return (version == "" || a.Version == version) && (blueprint == "" || a.BlueprintID != nil && *a.BlueprintID == blueprint) &&
			(name == "" || a.Package == name) && (len(ids) == 0 || slices.Contains(ids, a.ID))
	})
}

// getArtifact also answers PUT and PATCH: their body type is empty, nothing changes.
func getArtifact(c *call) (reply, error) { return withOne(c, "artifact", artifactsOf, artifactID, nil) }

func deleteArtifact(c *call) (reply, error) {
	_, err := withOne(c, "artifact", artifactsOf, artifactID, func(x *artifact) error {
		p := c.project
		used := slices.ContainsFunc(p.releases, func(r *release) bool { return slices.Contains(r.ArtifactIDs, x.ID) }) ||
			slices.ContainsFunc(p.cohorts.list, func(e *entity) bool {
				return slices.ContainsFunc(e.deployments, func(d *deployment) bool { return slices.Contains(d.ArtifactIDs, x.ID) })
			})
		if used {
			return fail(http.StatusBadRequest, codePrecondition, "artifact in use")
		}
		p.artifacts = slices.DeleteFunc(slices.Clone(p.artifacts), func(y *artifact) bool { return x == y })
		return nil
	})
	return emptyReply, err
}

func (p *project) checkArtifacts(ids []string) error {
	for _, id := range ids {
		if !slices.ContainsFunc(p.artifacts, func(a *artifact) bool { return a.ID == id }) {
			return notFound("artifact not found")
		}
	}
	return nil
}

func listReleases(c *call) (reply, error) {
	ids, tags, deviceTags, rollout := c.params("ids"), c.params("releaseTags"), c.params("deviceTags"), c.param("rollout")
	all := func(have, want []string) bool {
		return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
	}
	return listOf(c, releasesOf, func(r *release) bool {
		return (len(ids) == 0 || slices.Contains(ids, r.ID)) && all(r.ReleaseTags, tags) && all(r.DeviceTagIDs, deviceTags) &&
			(rollout == "" || rollout == strconv.FormatBool(r.Rollout))
	})
}

func getRelease(c *call) (reply, error) { return withOne(c, "release", releasesOf, releaseID, nil) }

func createRelease(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	made := &release{SuitManifest: map[string]any{}, CreatedAt: c.stampNow()}
	if made.ArtifactIDs, err = f.texts("artifactIds"); err != nil {
		return reply{}, err
	}
	made.ArtifactIDs = append([]string{}, made.ArtifactIDs...)
	if err := made.fill(f); err != nil {
		return reply{}, err
	}
	made.UpdatedAt = made.CreatedAt
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	p := c.project
	if err := p.checkArtifacts(made.ArtifactIDs); err != nil {
		return reply{}, err
	}
	for _, r := range p.releases {
		if len(made.ReleaseTags) > 0 && slices.Equal(r.ReleaseTags, made.ReleaseTags) {
			return reply{}, fail(http.StatusConflict, codeExists, "release already exists with same release tag")
		}
	}
	made.ID, made.SequenceNumber = p.newID().String(), strconv.FormatInt(c.server.clock().UnixMilli(), 10)
	p.releases = append(p.releases, made)
	return dataReply(made)
}

// fill reads the fields of a create or update; lists as on devices.
func (r *release) fill(f fields) error {
	if err := f.read("rollout", "bool", &r.Rollout); err != nil {
		return err
	}
	for _, set := range []struct {
		list             *[]string
		full, plus, less string
	}{{&r.ReleaseTags, "releaseTags", "addReleaseTag", "removeReleaseTag"}, {&r.DeviceTagIDs, "deviceTagIds", "addDeviceTagId", "removeDeviceTagId"}} {
		var full, plus, less []string
		for key, into := range map[string]*[]string{set.full: &full, set.plus: &plus, set.less: &less} {
			if err := f.read(key, "string", into); err != nil {
				return err
			}
		}
		list := append([]string{}, *set.list...)
		if f.has(set.full) {
			list = append([]string{}, full...)
		}
		list = append(list, plus...)
		*set.list = slices.DeleteFunc(list, func(s string) bool { return slices.Contains(less, s) })
	}
	return nil
}

func patchRelease(c *call) (reply, error) { return c.updateRelease(false) }

// putRelease replaces: an omitted list is emptied, which has cost people their device tags.
func putRelease(c *call) (reply, error) { return c.updateRelease(true) }

func (c *call) updateRelease(replace bool) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	return withOne(c, "release", releasesOf, releaseID, func(r *release) error {
		next := *r
		if replace {
			next.ReleaseTags, next.DeviceTagIDs, next.Rollout = nil, nil, false
		}
		if err := next.fill(f); err != nil {
			return err
		}
		next.UpdatedAt = c.stampNow()
		*r = next
		return nil
	})
}

func deleteRelease(c *call) (reply, error) {
	_, err := withOne(c, "release", releasesOf, releaseID, func(x *release) error {
		c.project.releases = slices.DeleteFunc(slices.Clone(c.project.releases), func(y *release) bool { return x == y })
		return nil
	})
	return emptyReply, err
}

func (c *call) cohort() (*entity, error) { return c.lookupEntity(c.project.kind(tandem.CohortEntity)) }

// listDeployments answers newest first.
func listDeployments(c *call) (reply, error) {
	number, size, err := c.paging()
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	e, err := c.cohort()
	if err != nil {
		return reply{}, err
	}
	list := []*deployment{}
	for _, d := range slices.Backward(e.deployments) {
		if name := c.param("name"); name == "" || d.Name == name {
			list = append(list, d)
		}
	}
	start := min(number*size, len(list))
	return jsonReply(page{list[start:min(start+size, len(list))], number, size, len(list)})
}

func createDeployment(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	name, err := f.text("name")
	if err != nil {
		return reply{}, err
	}
	ids, err := f.texts("artifactIds")
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	e, err := c.cohort()
	if err != nil {
		return reply{}, err
	}
	if err := c.project.checkArtifacts(ids); err != nil {
		return reply{}, err
	}
	made := &deployment{c.project.newID().String(), name, append([]string{}, ids...), c.stampNow()}
	e.deployments = append(e.deployments, made)
	return dataReply(made)
}

func getDeployment(c *call) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	e, err := c.cohort()
	if err != nil {
		return reply{}, err
	}
	for _, d := range e.deployments {
		if d.DeploymentID == c.vars["deployment"] {
			return dataReply(d)
		}
	}
	return reply{}, notFound("deployment not found")
}
