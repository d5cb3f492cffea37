package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"tandem"
)

// ConflictFilter is how conflicts are found.
type ConflictFilter struct {
	Service  string `query:"service" maxLength:"200" doc:"Of this service, by id or name."`
	Device   string `query:"device" maxLength:"100" doc:"About this device, by id."`
	External string `query:"external_device" maxLength:"200" doc:"About this remote device, by id; also finds ambiguous matches."`
	Field    string `query:"field" maxLength:"300" doc:"About this field; a bare field also finds its leaves."`
	Type     string `query:"type" enum:"concurrent_modification,initial_mismatch,ambiguous_match,deleted_remotely,deleted_locally"`
	Status   string `query:"status" enum:"pending,resolving,resolved,ignored,auto_resolved,converged,superseded" doc:"With this status; open ones when left out."`
	All      bool   `query:"all" doc:"Closed ones too."`
	Search   string `query:"search" maxLength:"200" doc:"Part of the device's name."`
}

// SettleInput says how conflicts are settled.
type SettleInput struct {
	Take     tandem.Choice   `json:"take" enum:"local,remote,value,ignore,link,create,delete,recreate,unlink" doc:"For a field: local, remote, value or ignore. For an ambiguous match: link, create or ignore. For a deleted device: delete, recreate or unlink."`
	Value    json.RawMessage `json:"value,omitempty" doc:"With value: the value, on both sides."`
	DeviceID string          `json:"device_id,omitempty" maxLength:"100" doc:"With link: the device."`
	DryRun   bool            `json:"dry_run,omitempty" doc:"Say what would be done, and do nothing."`
}

// settlement makes a settlement of what was asked.
func (in *SettleInput) settlement(filter tandem.ConflictFilter) (tandem.Settlement, error) {
	s := tandem.Settlement{Filter: filter, Take: in.Take, DeviceID: in.DeviceID, DryRun: in.DryRun}
	given := len(in.Value) > 0
	switch {
	case in.Take == tandem.TakeValue && !given:
		return s, tandem.Errorf(tandem.Invalid, "settle conflict", "", "take is value, and no value is given").WithHint("add the member value")
	case in.Take != tandem.TakeValue && given:
		return s, tandem.Errorf(tandem.Invalid, "settle conflict", "", "a value is given, and take is %s", in.Take).WithHint("set take to value")
	case in.Take == tandem.TakeLink && in.DeviceID == "":
		return s, tandem.Errorf(tandem.Invalid, "settle conflict", "", "take is link, and no device is named").WithHint("add the member device_id")
	}
	var err error
	if given {
		s.Value, err = parseValue(in.Value)
	}
	return s, err
}

// parseValue reads any JSON value, its numbers as they were written.
func parseValue(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "read value", "", "value is not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, tandem.Errorf(tandem.Invalid, "read value", "", "value goes on after its end")
	}
	return value, nil
}

func (a *API) conflicts() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		ConflictFilter
		Sort conflictSort `query:"sort"`
	}
	type conflictList struct {
		Conflicts  []tandem.Conflict `json:"conflicts"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("conflicts-list", http.MethodGet, "/api/v1/conflicts", "conflicts", "List conflicts, newest first"),
		func(ctx context.Context, in *listInput) (*body[conflictList], error) {
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.Service)
			if err != nil {
				return nil, err
			}
			filter := tandem.ConflictFilter{ServiceID: service, DeviceIDs: splitList(in.Device), ExternalDeviceIDs: splitList(in.External), Field: tandem.Path(in.Field),
				Type: tandem.ConflictType(in.Type), Status: tandem.ResolutionStatus(in.Status), All: in.All, Search: in.Search,
				Sort: string(in.Sort), Page: in.page()}
			conflicts, total, err := a.options.Registry.Conflicts(ctx, c.actor, c.org, filter)
			return with(conflictList{list(conflicts), in.pagination(total)}, err)
		})

	handle(a, route("conflicts-show", http.MethodGet, "/api/v1/conflicts/{id}", "conflicts", "Show a conflict"),
		func(ctx context.Context, in *ByID) (*body[tandem.Conflict], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.Conflict(ctx, c.actor, c.org, in.ID))
		})
	a.conflictActions()
}

// settledReply is what became of conflicts.
type settledReply struct {
	DryRun  bool             `json:"dry_run"`
	Settled []tandem.Settled `json:"settled"`
}

// conflictActions registers the settling.
func (a *API) conflictActions() {
	type oneInput struct {
		OnceByID
		Body SettleInput
	}
	handle(a, describing(route("conflicts-resolve", http.MethodPost, "/api/v1/conflicts/{id}/resolve", "conflicts", "Settle a conflict"),
		"A conflict whose sides moved meanwhile is refreshed instead, and `error` of the reply says so."),
		func(ctx context.Context, in *oneInput) (*body[tandem.Settled], error) {
			return with(a.settleOne(ctx, in.ID, &in.Body))
		})

	type conflictMany struct {
		SettleInput
		IDs       []string `json:"ids,omitempty" maxItems:"1000" doc:"These conflicts."`
		Service   string   `json:"service,omitempty" maxLength:"200" doc:"Those of this service, by id or name."`
		DeviceIDs []string `json:"device_ids,omitempty" maxItems:"1000" doc:"Those about these devices."`
		Field     string   `json:"field,omitempty" maxLength:"300" doc:"Those about this field."`
		Type      string   `json:"type,omitempty" enum:"concurrent_modification,initial_mismatch,ambiguous_match,deleted_remotely,deleted_locally" doc:"Those of this type."`
		Search    string   `json:"search,omitempty" maxLength:"200" doc:"Those with this in the device's name."`
	}
	type manyInput struct {
		InOrg
		Once
		Body conflictMany
	}
	handle(a, describing(route("conflicts-resolve-many", http.MethodPost, "/api/v1/conflicts/resolve", "conflicts", "Settle many conflicts"),
		"All open ones that the given conditions name together; at least one condition is needed. One that fails does not keep the others: its `error` says why."),
		func(ctx context.Context, in *manyInput) (*body[settledReply], error) {
			c, b := callerOf(ctx), &in.Body
			service, err := a.serviceID(ctx, c, b.Service)
			if err != nil {
				return nil, err
			}
			filter := tandem.ConflictFilter{IDs: b.IDs, ServiceID: service, DeviceIDs: b.DeviceIDs, Field: tandem.Path(b.Field), Type: tandem.ConflictType(b.Type), Search: b.Search}
			if len(b.IDs)+len(b.DeviceIDs) == 0 && service+b.Field+b.Type+b.Search == "" {
				return nil, tandem.Errorf(tandem.Invalid, "settle conflicts", "", "nothing says which conflicts are meant").
					WithHint("give ids, or a service, field, type, device_ids or search")
			}
			s, err := b.settlement(filter)
			if err != nil {
				return nil, err
			}
			settled, err := a.options.Registry.SettleConflicts(ctx, c.actor, c.org, s)
			return with(settledReply{b.DryRun, wholeSettled(settled)}, err)
		})
}

// settleOne settles a conflict that is open.
func (a *API) settleOne(ctx context.Context, id string, in *SettleInput) (tandem.Settled, error) {
	c := callerOf(ctx)
	conflict, err := a.options.Registry.Conflict(ctx, c.actor, c.org, id)
	if err != nil {
		return tandem.Settled{}, err
	}
	if !conflict.Open() {
		return tandem.Settled{}, tandem.Errorf(tandem.Exists, "settle conflict", id, "it is settled already: %s", conflict.Status)
	}
	s, err := in.settlement(tandem.ConflictFilter{IDs: []string{id}})
	if err != nil {
		return tandem.Settled{}, err
	}
	settled, err := a.options.Registry.SettleConflicts(ctx, c.actor, c.org, s)
	if err == nil && len(settled) == 0 {
		err = tandem.Errorf(tandem.Exists, "settle conflict", id, "it was settled meanwhile")
	}
	if err != nil {
		return tandem.Settled{}, err
	}
	return wholeSettled(settled)[0], nil
}

// wholeSettled makes what became of conflicts ready to be written.
func wholeSettled(settled []tandem.Settled) []tandem.Settled {
	settled = list(settled)
	for i := range settled {
		settled[i].Changes = list(settled[i].Changes)
		if settled[i].Error != nil && settled[i].Refusal == "" {
			settled[i].Refusal = refusal(settled[i].Error)
		}
	}
	return settled
}

// refusal is an error's text for a person, and nothing of one that is no matter of theirs.
func refusal(err error) string {
	var e *tandem.Error
	if !errors.As(err, &e) || kindOf(e.Code).status == http.StatusInternalServerError {
		return "something went wrong that should not; look into the server's log"
	}
	if e.Hint != "" {
		return detailOf(e) + "; " + e.Hint
	}
	return detailOf(e)
}
