package simulator

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// handler answers one call. Its error is a *failure; another kind is a fault of this package.
type handler func(*call) (reply, error)

// route is one path with its methods. A {…} segment is a variable; a final {path…} takes the rest.
type route struct {
	pattern  string
	segments []string
	methods  map[string]handler
}

const (
	under    = "/v1/projects/{project}"
	underOrg = "/v1/organizations/{organization}/projects/{project}"
)

// routes is the surface, two families as API.md §2 has them.
var routes = makeRoutes(map[string]map[string]handler{
	"/v1/projects": {"GET": listProjects, "POST": forbidden},
	under:          {"GET": getProject, "PUT": updateProject, "PATCH": updateProject, "DELETE": forbidden},

	under + "/devices":          {"GET": listDevices, "POST": createDevice},
	under + "/devices/{device}": {"GET": getDevice, "PUT": putDevice, "PATCH": patchDevice, "DELETE": deleteDevice},

	under + "/devices/{device}/data":           {"GET": getState, "PUT": putState, "POST": putState, "PATCH": patchState, "DELETE": deleteState},
	under + "/devices/{device}/data/{path…}":   {"GET": getState, "PUT": putState, "POST": putState, "PATCH": patchState, "DELETE": deleteState},
	under + "/devicesByTag/{tag}/data":         {"PUT": putStateByTag, "POST": putStateByTag, "PATCH": patchStateByTag, "DELETE": deleteStateByTag},
	under + "/devicesByTag/{tag}/data/{path…}": {"PUT": putStateByTag, "POST": putStateByTag, "PATCH": patchStateByTag, "DELETE": deleteStateByTag},

	under + "/stream":                  {"GET": queryStream, "POST": queryStream},
	under + "/devices/{device}/stream": {"GET": queryStream, "POST": queryStream},

	under + "/devices/{device}/rpc":                      {"POST": callDevice},
	under + "/devices/{device}/credentials":              {"GET": listCredentials, "POST": createCredential},
	under + "/devices/{device}/credentials/{credential}": {"DELETE": deleteCredential},
	under + "/credentials":                               {"POST": createCredential},
	under + "/credentials/{credential}":                  {"DELETE": deleteCredential},
	under + "/provisioning":                              {"POST": provision},
	under + "/devices/{device}/provisioning":             {"POST": provision},
	under + "/device-activity-logs":                      {"GET": listActivity},

	under + "/tags":                   {"GET": listTags, "POST": createTag},
	under + "/tags/{tag}":             {"GET": getTag, "PUT": updateTag, "PATCH": updateTag, "DELETE": deleteTag},
	under + "/blueprints":             {"GET": listBlueprints, "POST": createBlueprint},
	under + "/blueprints/{blueprint}": {"GET": getBlueprint, "PUT": updateBlueprint, "PATCH": updateBlueprint, "DELETE": deleteBlueprint},

	underOrg + "/cohorts":                                   {"GET": listCohorts, "POST": createCohort},
	underOrg + "/cohorts/{cohort}":                          {"GET": getCohort, "PUT": updateCohort, "DELETE": deleteCohort},
	underOrg + "/cohorts/{cohort}/deployments":              {"GET": listDeployments, "POST": createDeployment},
	underOrg + "/cohorts/{cohort}/deployments/{deployment}": {"GET": getDeployment},

	"/v1/artifacts":                           {"POST": createArtifact},
	under + "/artifacts":                      {"GET": listArtifacts},
	under + "/artifacts/{artifact}":           {"GET": getArtifact, "PUT": getArtifact, "PATCH": getArtifact, "DELETE": deleteArtifact},
	underOrg + "/pipelines":                   {"GET": listPipelines, "POST": createPipeline},
	underOrg + "/pipelines/errors":            {"GET": countPipelineErrors},
	underOrg + "/pipelines/{pipeline}":        {"GET": getPipeline, "PUT": updatePipeline, "DELETE": deletePipeline},
	underOrg + "/pipelines/{pipeline}/errors": {"GET": listPipelineErrors},
	underOrg + "/pipeline-unmatched":          {"GET": listUnmatched},
	underOrg + "/secrets":                     {"GET": listSecrets, "POST": createSecret},
	underOrg + "/secrets/{secret}":            {"GET": getSecret, "DELETE": deleteSecret},

	underOrg + "/packages":           {"GET": listPackages, "POST": createPackage},
	underOrg + "/packages/{package}": {"GET": getPackage, "PUT": updatePackage, "DELETE": deletePackage},
	under + "/releases":              {"GET": listReleases, "POST": createRelease},
	under + "/releases/{release}":    {"GET": getRelease, "PUT": putRelease, "PATCH": patchRelease, "DELETE": deleteRelease},
})

func makeRoutes(table map[string]map[string]handler) []route {
	list := make([]route, 0, len(table))
	for pattern, methods := range table {
		list = append(list, route{pattern, strings.Split(pattern[1:], "/"), methods})
	}
	// A name stands before a variable in its place: /pipelines/errors is no pipeline.
	slices.SortFunc(list, func(a, b route) int {
		return cmp.Or(cmp.Compare(a.variables(), b.variables()), cmp.Compare(a.pattern, b.pattern))
	})
	return list
}

func (r *route) variables() int { return strings.Count(r.pattern, "{") }

// find gives the route of an escaped path with its variables, nil when there is none.
// Segments are unescaped one by one: a %2F is part of a name, not a border.
func find(escaped string) (*route, map[string]string) {
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i := range routes {
		if vars, ok := routes[i].match(segments); ok {
			return &routes[i], vars
		}
	}
	return nil, nil
}

func (r *route) match(segments []string) (map[string]string, bool) {
	last := len(r.segments) - 1
	rest := strings.HasSuffix(r.segments[last], "…}")
	if len(segments) != len(r.segments) && !(rest && len(segments) > last) {
		return nil, false
	}
	var vars map[string]string
	set := func(name, value string) bool {
		text, err := url.PathUnescape(value)
		if err != nil {
			return false
		}
		if vars == nil {
			vars = make(map[string]string, 3)
		}
		vars[name] = text
		return true
	}
	for i, want := range r.segments {
		switch {
		case want[0] != '{':
			if want != segments[i] {
				return nil, false
			}
		case i == last && rest: // kept escaped: the state path is split by its handler
			if vars == nil {
				vars = make(map[string]string, 1)
			}
			vars["path"] = strings.Join(segments[i:], "/")
		case segments[i] == "" || !set(want[1:len(want)-1], segments[i]):
			return nil, false
		}
	}
	return vars, true
}

// below gives the part of an escaped path under the project, "/" for the project itself;
// a path outside a project stays whole.
func below(escaped string) string {
	segments := strings.SplitN(strings.TrimPrefix(escaped, "/"), "/", 6)
	skip := 0
	switch {
	case len(segments) >= 3 && segments[1] == "projects":
		skip = 3
	case len(segments) >= 5 && segments[1] == "organizations" && segments[3] == "projects":
		skip = 5
	default:
		return escaped
	}
	return "/" + strings.Join(segments[skip:], "/")
}

// dispatch finds and runs the handler: 404 for an unknown path, 501 for a wrong method, both
// before any look at the key, as the gateway does.
func (c *call) dispatch() (reply, error) {
	if c.route == nil {
		return reply{}, refusal(http.StatusNotFound)
	}
	h, ok := c.route.methods[c.request.Method]
	if !ok {
		return reply{}, refusal(http.StatusNotImplemented)
	}
	if err := c.authenticate(); err != nil {
		return reply{}, err
	}
	return h(c)
}
