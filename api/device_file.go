package api

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/registry"
)

// maxFile bounds a file of devices that comes over HTTP; larger ones go through the command line or in parts.
const maxFile = 64 << 20

// importReply is what an import did, or would do.
type importReply struct {
	registry.ImportReport
	Changes []registry.ImportChange `json:"changes" doc:"The first 1000."`
}

// deviceFiles registers the files of devices.
func (a *API) deviceFiles() {
	type importInput struct {
		OrganizationParam
		Once
		Service string `query:"service" maxLength:"200" doc:"Of the external_device_id of rows that name no service, by id or name."`
		SkipBad bool   `query:"skip_bad" doc:"Import the good rows although others are wrong."`
		DryRun  bool   `query:"dry_run" doc:"Say what would be done, and do nothing."`
		RawBody []byte `contentType:"text/csv"`
	}
	op := describing(route("devices-import", http.MethodPost, "/api/v1/devices/import", "devices", "Import a file of devices"),
		"CSV with a header line, a JSON list, `{\"devices\":[…]}`, or one object a line, told apart by the first character. All rows are checked first: "+
			"with a wrong one nothing is written, unless `skip_bad` is set, and `problems` of the reply names each.")
	op.MaxBodyBytes, op.BodyReadTimeout = maxFile, 5*time.Minute
	handle(a, op, func(ctx context.Context, in *importInput) (*body[importReply], error) {
		c := callerOf(ctx)
		service, err := a.serviceID(ctx, c, in.Service)
		if err != nil {
			return nil, err
		}
		out := importReply{Changes: []registry.ImportChange{}}
		out.ImportReport, err = a.options.Registry.ImportDevices(ctx, c.actor, c.org, registry.ReadRows(bytes.NewReader(in.RawBody)),
			registry.ImportOptions{ServiceID: service, SkipBad: in.SkipBad, DryRun: in.DryRun}, func(change registry.ImportChange) {
				if len(out.Changes) < maxDetails {
					out.Changes = append(out.Changes, change)
				}
			})
		if out.NotImported && tandem.Is(err, tandem.Invalid) { // the report says what is wrong, row by row
			err = nil
		}
		return with(out, err)
	})

	type exportInput struct {
		OrganizationParam
		DeviceFilter
		Format   string `query:"format" enum:"csv,json,jsonl" default:"csv"`
		External string `query:"external_of" maxLength:"200" doc:"Write the external_device_id of this service, by id or name."`
	}
	media := map[string]string{"csv": "text/csv; charset=utf-8", "json": "application/json", "jsonl": "application/jsonl"}
	export := describing(route("devices-export", http.MethodGet, "/api/v1/devices/export", "devices", "Export devices to a file"), "All that match; the file can be imported again.")
	export.Responses = map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{
		"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}, "application/json": {Schema: &huma.Schema{}}, "application/jsonl": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	handle(a, export, func(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
		c := callerOf(ctx)
		filter, err := a.deviceFilter(ctx, c, &in.DeviceFilter)
		if err != nil {
			return nil, err
		}
		var service tandem.Service
		if in.External != "" {
			if service, err = a.options.Registry.Service(ctx, c.actor, c.org, in.External); err != nil {
				return nil, err
			}
		}
		// What is refused is refused before the first byte is out.
		probe := filter
		probe.Page = tandem.Page{Number: 1, Limit: 1}
		if _, _, err := a.options.Registry.Devices(ctx, c.actor, c.org, probe); err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			hctx.SetHeader("Content-Type", media[in.Format])
			hctx.SetHeader("Content-Disposition", `attachment; filename="devices.`+in.Format+`"`)
			hctx.SetStatus(http.StatusOK)
			if _, err := a.options.Registry.ExportDevices(ctx, c.actor, c.org, filter, service, registry.Format(in.Format), hctx.BodyWriter()); err != nil {
				a.logger(ctx).ErrorContext(ctx, "an export broke off", "error", err)
				panic(http.ErrAbortHandler) // half a file must not look like a whole one
			}
		}}, nil
	})
}
