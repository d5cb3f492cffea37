package syncer

import (
	"context"
	"fmt"
	"testing"

	"tandem"
)

// planStore gives one row about each device that is asked for.
type planStore struct{ tandem.Store }

func (planStore) PlanRowsOf(_ context.Context, _, _ string, deviceIDs, _ []string) (rows []tandem.Change, err error) {
	for _, id := range deviceIDs {
		rows = append(rows, tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActUpdate, Path: "name", DeviceID: id})
	}
	return rows, nil
}

// TestS27RowsOutliveTheNextLoad: what one worker loaded of a plan stays true while others load theirs.
func TestS27RowsOutliveTheNextLoad(t *testing.T) {
	ctx, r := context.Background(), &run{e: &Engine{Store: planStore{}}}
	a := &allowed{rows: planRows{}}
	load := func(n int) planRows {
		var ids []string
		for i := range 10 * batchSize {
			ids = append(ids, fmt.Sprint(n, "-", i))
		}
		rows, err := a.load(ctx, r, ids, nil)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	mine := load(0)
	for n := 1; n <= 3; n++ {
		load(n)
	}
	c := tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActUpdate, Path: "name", DeviceID: "0-0"}
	if known, _ := a.remembers(&c); known {
		t.Error("the memory of a plan grows with it")
	}
	if !mine.has(&c) {
		t.Error("a row is forgotten while it is used")
	}
	if r.allow = a; !r.allows(c) {
		t.Error("a row that was let go of is not found again")
	}
}
