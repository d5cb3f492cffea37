package api

import (
	"context"
	"net/http"

	"tandem"
	"tandem/registry"
)

// maxBulk bounds the devices of one request.
const maxBulk = 1000

// BulkFields are what is changed of many devices; tags can be added and taken away one by one.
type BulkFields struct {
	DeviceFields
	AddTags    []string `json:"add_tags,omitempty" maxItems:"100"`
	RemoveTags []string `json:"remove_tags,omitempty" maxItems:"100"`
}

// bulkOperation is one thing to do with one device or many.
type bulkOperation struct {
	Action           string      `json:"action" enum:"create,update,delete,link,unlink"`
	ID               string      `json:"id,omitempty" maxLength:"300" doc:"The device, by id, device_id or name."`
	IDs              []string    `json:"ids,omitempty" maxItems:"1000" doc:"Or many of them, for update, delete and unlink."`
	Version          int64       `json:"version,omitempty" minimum:"1" doc:"Of the one device: refuse when it is at another one. Left out, whatever is there is changed."`
	Device           *BulkFields `json:"device,omitempty" doc:"For create and update: what it is to be."`
	Service          string      `json:"service,omitempty" maxLength:"200" doc:"For link and unlink."`
	ExternalDeviceID string      `json:"external_device_id,omitempty" maxLength:"255" doc:"For link."`
}

// bulkResult is what became of one device.
type bulkResult struct {
	Operation int      `json:"operation" doc:"Which of the operations, from 0."`
	ID        string   `json:"id,omitempty" doc:"As it was named; of a created device its id."`
	Status    int      `json:"status" doc:"As the request about this device alone would have been replied."`
	Version   int64    `json:"version,omitempty" doc:"The device's version now."`
	Problem   *Problem `json:"problem,omitempty"`
}

type bulkReply struct {
	Successful int          `json:"successful"`
	Failed     int          `json:"failed"`
	Results    []bulkResult `json:"results"`
}

func (a *API) deviceBulk() {
	type deviceBulkInput struct {
		InOrg
		Once
		Body struct {
			Operations []bulkOperation `json:"operations" minItems:"1" maxItems:"1000"`
		}
	}
	op := describing(route("devices-bulk", http.MethodPost, "/api/v1/devices/bulk", "devices", "Create, change, delete, link or unlink many devices"),
		"Up to 1000 devices, one after the other; each succeeds or fails by itself, as its result says.")
	op.MaxBodyBytes = 8 << 20
	handle(a, op, func(ctx context.Context, in *deviceBulkInput) (*body[bulkReply], error) {
		if err := checkBulk(in.Body.Operations); err != nil {
			return nil, err
		}
		out := bulkReply{Results: []bulkResult{}}
		for i := range in.Body.Operations {
			for _, result := range a.bulk(ctx, &in.Body.Operations[i]) {
				result.Operation = i
				if result.Problem == nil {
					out.Successful++
				} else {
					out.Failed++
					result.Status = result.Problem.Status
				}
				out.Results = append(out.Results, result)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		return with(out, nil)
	})
}

// checkBulk refuses what no operation can make sense of, before the first is done.
func checkBulk(operations []bulkOperation) error {
	total := 0
	for i := range operations {
		o := &operations[i]
		n := len(o.IDs)
		if o.ID != "" || o.Action == "create" {
			n++
		}
		total += n
		wrong := ""
		switch {
		case o.Action == "create" && (o.ID != "" || len(o.IDs) > 0):
			wrong = "a device that is created has no id yet"
		case o.Action != "create" && n == 0:
			wrong = "it names no device"
		case o.Action == "link" && (len(o.IDs) > 0 || o.ExternalDeviceID == ""):
			wrong = "a link is between one id and one external_device_id"
		case (o.Action == "create" || o.Action == "update") && o.Device == nil:
			wrong = "it does not say what the device is to be"
		case o.Device != nil && o.Device.DeviceID != nil && n > 1:
			wrong = "a device_id is of one device"
		case o.Version != 0 && n > 1:
			wrong = "a version is of one device"
		case o.Version != 0 && o.Device != nil && len(o.Device.AddTags)+len(o.Device.RemoveTags) > 0:
			wrong = "with a version give the tags as a whole"
		}
		if wrong != "" {
			return tandem.Errorf(tandem.Invalid, "change devices", "", "operation %d (%s): %s", i, o.Action, wrong)
		}
	}
	if total > maxBulk {
		return tandem.Errorf(tandem.Invalid, "change devices", "", "the operations are about %d devices, at most %d are allowed", total, maxBulk).WithHint("send several requests")
	}
	return nil
}

// bulk does one operation with each of its devices.
func (a *API) bulk(ctx context.Context, o *bulkOperation) []bulkResult {
	if o.Action == "create" {
		return []bulkResult{a.bulkCreate(ctx, o)}
	}
	ids := o.IDs
	if o.ID != "" {
		ids = append([]string{o.ID}, ids...)
	}
	if (o.Action == "update" || o.Action == "delete") && o.Version == 0 && (o.Device == nil || o.Device.DeviceID == nil) {
		return a.bulkEdit(ctx, o, ids)
	}
	results := make([]bulkResult, 0, len(ids))
	for _, id := range ids {
		version, err := a.bulkOne(ctx, o, id)
		results = append(results, a.result(ctx, bulkResult{ID: id, Status: http.StatusOK, Version: version}, err))
	}
	return results
}

// bulkEdit changes or deletes devices in one transaction.
func (a *API) bulkEdit(ctx context.Context, o *bulkOperation, ids []string) []bulkResult {
	c := callerOf(ctx)
	failed := func(err error) []bulkResult {
		results := make([]bulkResult, 0, len(ids))
		for _, id := range ids {
			results = append(results, a.result(ctx, bulkResult{ID: id}, err))
		}
		return results
	}
	do := registry.BulkEdit{Delete: o.Action == "delete"}
	if o.Device != nil && !do.Delete {
		edit, err := o.Device.edit()
		if err != nil {
			return failed(err)
		}
		do.Edit, do.AddTags, do.RemoveTags = edit, o.Device.AddTags, o.Device.RemoveTags
	}
	done, err := a.options.Registry.EditDevices(ctx, c.actor, c.org, registry.Selection{Refs: ids}, do)
	if err != nil {
		return failed(err)
	}
	results := make([]bulkResult, 0, len(done))
	for i := range done {
		results = append(results, a.result(ctx, bulkResult{ID: done[i].Ref, Status: http.StatusOK, Version: done[i].Device.Version}, done[i].Error))
	}
	return results
}

func (a *API) result(ctx context.Context, r bulkResult, err error) bulkResult {
	if err != nil {
		r.Problem, r.Version = a.failed(ctx, err), 0
	}
	return r
}

func (a *API) bulkCreate(ctx context.Context, o *bulkOperation) bulkResult {
	c := callerOf(ctx)
	edit, err := o.Device.edit()
	if err != nil {
		return a.result(ctx, bulkResult{}, err)
	}
	if len(o.Device.AddTags) > 0 {
		tags := append(append([]string{}, value(edit.Tags)...), o.Device.AddTags...)
		edit.Tags = &tags
	}
	d, err := a.options.Registry.CreateDevice(ctx, c.actor, c.org, edit)
	if err != nil {
		return a.result(ctx, bulkResult{}, err)
	}
	return bulkResult{ID: d.ID, Status: http.StatusCreated, Version: d.Version}
}

// bulkOne does an operation with one device that is there.
func (a *API) bulkOne(ctx context.Context, o *bulkOperation, id string) (version int64, err error) {
	c, r := callerOf(ctx), a.options.Registry
	switch o.Action {
	case "update":
		edit, err := o.Device.edit()
		if err != nil {
			return 0, err
		}
		edit.IfVersion = expected(o.Version)
		d, _, err := r.UpdateDevice(ctx, c.actor, c.org, id, edit)
		return d.Version, err
	case "delete":
		_, err = r.DeleteDevice(ctx, c.actor, c.org, id, o.Version)
		return 0, err
	}
	service, err := a.oneService(ctx, c, o.Service)
	if err != nil {
		return 0, err
	}
	if o.Action == "link" {
		d, _, err := r.Link(ctx, c.actor, c.org, service, id, o.ExternalDeviceID)
		return d.Version, err
	}
	d, err := r.Unlink(ctx, c.actor, c.org, service, id)
	return d.Version, err
}
