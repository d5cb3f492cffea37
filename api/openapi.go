package api

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
)

// config is what the document says of the API as a whole.
func (a *API) config() huma.Config {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[tandem.Fields](), reflect.TypeFor[[]string]())
	schemas.RegisterTypeAlias(reflect.TypeFor[tandem.Base](), reflect.TypeFor[baseShape]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Tandem", Version: a.options.Version, Description: description},
			Servers: []*huma.Server{{URL: "/"}},
			Components: &huma.Components{
				Schemas: schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":   {Type: "http", Scheme: "bearer", BearerFormat: "tdm_…", Description: "An API token, made with `POST /api/v1/tokens`. It acts in one organization."},
					"session": {Type: "apiKey", In: "cookie", Name: a.sessions.Cookie.Name, Description: "The cookie of a signed-in browser."},
				},
			},
			Tags: tags,
		},
		Formats:       map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{transformSelected},
		// A filter that is misspelt would otherwise list everything.
		RejectUnknownQueryParameters: true,
	}
}

// jsonFormat is huma's, except that text which is no UTF-8 is refused: encoding/json would replace it silently.
var jsonFormat = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: func(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8 text")
	}
	return huma.DefaultJSONFormat.Unmarshal(data, v)
}}

const description = `What Tandem does, for programs: every command and every page has its route here.

**Organization.** Everything belongs to one. Name it by id or slug, in the query parameter ` + "`organization`" + ` or the header
` + "`Tandem-Organization`" + `; it may be left out by a caller who belongs to exactly one. Of other organizations nothing can be seen: their ids are 404.

**Listings** are pages (` + "`page`, `limit`" + ` up to 1000) with a ` + "`pagination`" + ` that counts all matches; of deliveries, runs and what they did, observations and notifications
no more than 10,000 are counted, and ` + "`capped`" + ` says that there are more. ` + "`fields=id,name`" + ` selects members. ` + "`sort=-created_at`" + ` sorts by one of
the keys that the listing's ` + "`sort`" + ` names; what is equal comes in a fixed order.

**Edits.** A device, service, channel, organization or member is replied with an ETag, its version. Whoever changes or deletes it sends that back in
` + "`If-Match`" + `: an edit of an older version is 412, with the thing as it is now. ` + "`If-Match: *`" + ` changes whatever is there; without the header the reply is 428.

**Doing things once.** Creates and starts of runs take an ` + "`Idempotency-Key`" + `: after a timeout the same request can be sent again.

**Failures** are ` + "`application/problem+json`" + ` with a stable ` + "`code`" + `; [the codes](/api/docs/problems).`

// tags group the operations.
var tags = []*huma.Tag{
	{Name: "session", Description: "Signing in, out, and what guards one's own account."},
	{Name: "overview", Description: "How everything is, at a glance."},
	{Name: "organizations", Description: "The tenants that the caller belongs to."},
	{Name: "services", Description: "Connections to projects on an IoT platform."},
	{Name: "devices", Description: "The registry."},
	{Name: "remote-devices", Description: "What is on a service and not here."},
	{Name: "runs", Description: "Executions of a sync."},
	{Name: "plans", Description: "Changes that are stored to be made later."},
	{Name: "conflicts", Description: "What both sides changed differently."},
	{Name: "deliveries", Description: "Webhooks as they were received."},
	{Name: "alerts", Description: "What a person should look at."},
	{Name: "channels", Description: "Where alerts are sent."},
	{Name: "tokens", Description: "The rights of programs."},
	{Name: "users", Description: "Members, and who was invited."},
	{Name: "audit", Description: "Who changed what, when."},
	{Name: "live", Description: "What changes, as it changes."},
	{Name: "golioth", Description: "The routes of the original specification, for clients that already call them."},
}

// baseShape is how a Base is written.
type baseShape struct {
	Local  sharedShape  `json:"local"`
	Remote *sharedShape `json:"remote,omitempty"`
}

// sharedShape is how a Shared is written, with the names of the known fields.
type sharedShape = tandem.Shared

// document makes the schemas say what is really written, and serves the document.
func (a *API) document() error {
	schemas := a.huma.OpenAPI().Components.Schemas
	for name, schema := range schemas.Map() {
		if t := schemas.TypeFromRef("#/components/schemas/" + name); t != nil && t.Kind() == reflect.Struct {
			nullObjects(t, schema)
		}
	}
	text, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return err
	}
	a.mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = w.Write(text) // whoever asked may have left
	})
	return nil
}

// nullObjects lets members be null where they are written as null: pointers to objects that are not left out when nil.
func nullObjects(t reflect.Type, schema *huma.Schema) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			nullObjects(f.Type, schema)
			continue
		}
		property := schema.Properties[name]
		if f.Type.Kind() != reflect.Pointer || strings.Contains(options, "omitempty") || property == nil || property.Ref == "" {
			continue
		}
		schema.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: property.Ref}, {Type: "null"}}, Description: property.Description}
	}
}

// failure is the reply of every operation that fails.
func (a *API) failure() *huma.Response {
	return &huma.Response{Description: "A failure; see the codes at /api/docs/problems",
		Content: map[string]*huma.MediaType{ProblemType: {Schema: a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")}}}
}

// selectable learns from an operation's reply which fields there are, and lets each be left out of the elements.
func (a *API) selectable(op *huma.Operation, from *selecting) {
	media := op.Responses["200"].Content["application/json"]
	schemas := a.huma.OpenAPI().Components.Schemas
	reply := resolved(schemas, media.Schema)
	for _, name := range slices.Sorted(maps.Keys(reply.Properties)) {
		items := reply.Properties[name].Items
		if items == nil || items.Ref == "" || !strings.HasSuffix(op.OperationID, "-list") {
			continue
		}
		from.list, from.known = name, names(resolved(schemas, items))
		reply.Properties[name] = &huma.Schema{Type: huma.TypeArray, Items: part(schemas, items)}
		return
	}
	from.known = names(reply)
	media.Schema = part(schemas, media.Schema)
}

// part is a schema of which any member may be left out.
func part(schemas huma.Registry, whole *huma.Schema) *huma.Schema {
	if whole.Ref == "" {
		return whole
	}
	name := strings.TrimPrefix(whole.Ref, "#/components/schemas/") + "Part"
	if schemas.Map()[name] == nil {
		some := *resolved(schemas, whole)
		some.Required = nil
		some.Description = "Every member is there unless fields selects some."
		schemas.Map()[name] = &some
	}
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

func resolved(schemas huma.Registry, s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// names lists the members of an object.
func names(object *huma.Schema) []string { return slices.Sorted(maps.Keys(object.Properties)) }
