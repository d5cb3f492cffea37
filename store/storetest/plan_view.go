package storetest

import (
	"tandem"
)

// viewPlan looks into a plan of another kind through filters.
func viewPlan(w *world, like tandem.Plan) {
	w.Helper()
	p := like
	p.ID, p.Status, p.Rows, p.Checksum = w.id(), tandem.PlanDiscarded, 0, "" // of no weight in what is listed of the service
	p.ServiceID = w.service("viewed").ID
	w.must(w.st.CreatePlan(w.ctx, w.org, p))
	rows := []tandem.Change{
		{Side: tandem.LocalSide, Action: tandem.ActCreate, DeviceName: "Pump 1"},
		{Side: tandem.LocalSide, Action: tandem.ActUpdate, DeviceName: "Pump 2", Path: "name"},
		{Side: tandem.LocalSide, Action: tandem.ActUpdate, DeviceName: "ÄRGER", Path: "metadata/site"},
		{Side: tandem.RemoteSide, Action: tandem.ActUpdate, DeviceName: "pump_4", Path: "metadata", Note: tandem.RefusedNote + ": so it is"},
		{Side: tandem.RemoteSide, Action: tandem.ActDelete, DeviceName: "valve"},
		{Side: tandem.LocalSide, Action: tandem.ActUnlink, DeviceName: "valve 2"},
		{Side: tandem.LocalSide, Action: tandem.ActUpdate, DeviceName: "Pump 3", Path: "metadata/floor"},
	}
	w.must(w.st.AppendPlan(w.ctx, w.org, p.ID, rows))
	yes, no := true, false
	for name, q := range map[string]struct {
		filter tandem.PlanFilter
		want   string
	}{
		"all":        {tandem.PlanFilter{}, "Pump 1 Pump 2 ÄRGER pump_4 valve valve 2 Pump 3"},
		"side":       {tandem.PlanFilter{Side: tandem.RemoteSide}, "pump_4 valve"},
		"action":     {tandem.PlanFilter{Action: tandem.ActUnlink}, "valve 2"},
		"removals":   {tandem.PlanFilter{Removals: &yes}, "valve valve 2"},
		"others":     {tandem.PlanFilter{Removals: &no}, "Pump 1 Pump 2 ÄRGER pump_4 Pump 3"},
		"field":      {tandem.PlanFilter{Field: "metadata"}, "ÄRGER pump_4 Pump 3"},
		"leaf":       {tandem.PlanFilter{Field: "metadata/site"}, "ÄRGER"},
		"refused":    {tandem.PlanFilter{Refused: true}, "pump_4"},
		"search":     {tandem.PlanFilter{Search: "PUMP"}, "Pump 1 Pump 2 pump_4 Pump 3"},
		"as written": {tandem.PlanFilter{Search: "ÄR"}, "ÄRGER"},
		"wildcard":   {tandem.PlanFilter{Search: "p_4"}, "pump_4"},
		"page":       {tandem.PlanFilter{Page: tandem.Page{Number: 2, Limit: 3}}, "pump_4 valve valve 2"},
	} {
		found, total, err := w.st.PlanChanges(w.ctx, w.org, p.ID, q.filter)
		w.must(err)
		got := ""
		for i, c := range found {
			if i > 0 {
				got += " "
			}
			got += c.DeviceName
		}
		if got != q.want || q.filter.Limit == 0 && total != len(found) || q.filter.Limit > 0 && total != len(rows) {
			w.Errorf("%s: %s of %d, want %s", name, got, total, q.want)
		}
	}
	groups, err := w.st.PlanGroups(w.ctx, w.org, p.ID)
	w.must(err)
	w.equal(groups, []tandem.PlanGroup{
		{Side: tandem.LocalSide, Action: tandem.ActUpdate, Field: "metadata", Count: 2},
		{Side: tandem.LocalSide, Action: tandem.ActCreate, Count: 1},
		{Side: tandem.LocalSide, Action: tandem.ActUnlink, Count: 1},
		{Side: tandem.LocalSide, Action: tandem.ActUpdate, Field: "name", Count: 1},
		{Side: tandem.RemoteSide, Action: tandem.ActDelete, Count: 1},
		{Side: tandem.RemoteSide, Action: tandem.ActUpdate, Field: "metadata", Count: 1},
	})
}
