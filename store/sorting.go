package store

import (
	"strings"

	"tandem"
)

// sorted is one order of a listing. Its columns ascend together or descend together.
type sorted struct {
	columns []string
	index   string // which gives the rows in this order; "" where those of an organization are few
}

// orders are the orders of a listing by the keys of its tandem.Sorts.
type orders struct {
	keys     tandem.Sorts
	standard string // where nothing is said
	by       map[string]sorted
}

// The orders of the listings that are read page by page, but for devices (deviceOrders), which listings keeps.
var (
	runOrders = orders{tandem.RunSorts, "-created_at", map[string]sorted{
		"created_at": {[]string{"r.created_at", "r.id"}, "golioth_sync_log_created_at"},
		"status":     {[]string{"r.status", "r.created_at", "r.id"}, "golioth_sync_log_status"},
		"operation":  {[]string{"r.operation", "r.created_at", "r.id"}, "golioth_sync_log_operation"},
	}}
	// A listing of entries names a run or a device.
	entryOrders = orders{tandem.EntrySorts, "created_at", map[string]sorted{
		"created_at": {[]string{"e.created_at", "e.id"}, "golioth_sync_log_entries' primary key, golioth_sync_log_entries_device"},
	}}
	conflictOrders = orders{tandem.ConflictSorts, "-created_at", map[string]sorted{
		"created_at":    {[]string{"c.created_at", "c.id"}, "device_conflicts_created_at"},
		"field_name":    {[]string{"c.field_name", "c.created_at", "c.id"}, "device_conflicts_field"},
		"conflict_type": {[]string{"c.conflict_type", "c.created_at", "c.id"}, "device_conflicts_type"},
	}}
	// An id is newer than those before it. The delivery leads, or with a status what became of it (stateOrders).
	deliveryOrders = orders{tandem.DeliverySorts, "-received_at", map[string]sorted{
		"received_at": {[]string{"d.id"}, "deliveries' primary key, or the index of the filter"},
	}}
	stateOrders = orders{tandem.DeliverySorts, "-received_at", map[string]sorted{
		"received_at": {[]string{"s.id"}, "delivery_states_status"},
	}}
	observationOrders = orders{tandem.ObservationSorts, "-observed_at", map[string]sorted{
		"observed_at": {[]string{"o.observed_at", "o.path"}, "device_observations' primary key"},
	}}
	alertOrders = orders{tandem.AlertSorts, "-raised_at", map[string]sorted{
		"raised_at": {[]string{"a.raised_at", "a.id"}, "alerts_raised_at"},
		"kind":      {[]string{"a.kind", "a.raised_at", "a.id"}, "alerts_kind"},
		"status":    {[]string{"a.status", "a.raised_at", "a.id"}, "alerts_status"},
	}}
	auditOrders = orders{tandem.AuditSorts, "-at", map[string]sorted{
		"at":     {[]string{"l.at", "l.id"}, "audit_log_at"},
		"action": {[]string{"l.action", "l.at", "l.id"}, "audit_log_action"},
	}}
	notLinkedOrders = orders{tandem.NotLinkedSorts, "name", map[string]sorted{
		"name":               {[]string{"r.name_folded", "r.external_device_id"}, "remote_devices_name"},
		"external_device_id": {[]string{"r.external_device_id"}, "remote_devices' primary key"},
	}}
	memberOrders = orders{tandem.MemberSorts, "email", map[string]sorted{
		"email":      {[]string{"u.email_folded", "u.id"}, ""},
		"name":       {[]string{"LOWER(u.name)", "u.email_folded", "u.id"}, ""},
		"role":       {[]string{"m.role", "u.email_folded", "u.id"}, ""},
		"created_at": {[]string{"m.created_at", "u.id"}, ""},
	}}
)

// order gives the ORDER BY of a listing; Invalid, with the keys that there are, for another one.
func (o orders) order(by string) (string, error) {
	if err := o.keys.Check(by); err != nil {
		return "", err
	}
	if by == "" {
		by = o.standard
	}
	name, down := strings.CutPrefix(by, "-")
	columns := o.by[name].columns
	if !down {
		return strings.Join(columns, ", "), nil
	}
	return strings.Join(columns, " DESC, ") + " DESC", nil
}
