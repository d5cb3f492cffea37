package syncer

import (
	"context"
	"errors"
	"testing"
	"time"

	"tandem"
)

// scripted is a store whose Apply answers by what is written.
type scripted struct {
	tandem.Store
	apply func(*tandem.Changes) error
}

func (s scripted) Apply(_ context.Context, _ string, c *tandem.Changes) error { return s.apply(c) }

// TestS22EachHearsOfItsOwn: of devices that are committed one by one, since the store refuses one of them,
// each hears what became of itself: those before a failure of the database hold, those after it do not.
func TestS22EachHearsOfItsOwn(t *testing.T) {
	away := tandem.Errorf(tandem.Unavailable, "test", "", "the database is away")
	gone := false
	r := &run{e: &Engine{Clock: time.Now, Store: scripted{apply: func(c *tandem.Changes) error {
		has := func(id string) bool {
			for _, in := range c.DropIntents {
				if in == id {
					return true
				}
			}
			return false
		}
		switch {
		case has("refused"):
			return tandem.Errorf(tandem.Invalid, "test", "", "a text that cannot be stored")
		case has("moved") && len(c.DropIntents) == 1:
			return &tandem.MovedError{Devices: []string{"moved"}}
		case gone || has("fails"):
			gone = true
			return away
		}
		return nil
	}}}}
	var batch []handed
	ids := []string{"first", "refused", "moved", "second", "fails", "last"}
	for _, id := range ids {
		batch = append(batch, handed{p: &piece{deviceID: id, changes: tandem.Changes{DropIntents: []string{id}}}, reply: make(chan error, 1)})
	}
	(&committer{r: r}).write(t.Context(), batch)
	got := map[string]error{}
	for i, h := range batch {
		got[ids[i]] = <-h.reply
	}
	if got["first"] != nil || got["second"] != nil {
		t.Errorf("what is committed hears %v and %v", got["first"], got["second"])
	}
	if !tandem.Is(got["refused"], tandem.Invalid) || !errors.Is(got["moved"], errMoved) {
		t.Errorf("the refused one hears %v, the moved one %v", got["refused"], got["moved"])
	}
	if !tandem.Is(got["fails"], tandem.Unavailable) || !tandem.Is(got["last"], tandem.Unavailable) {
		t.Errorf("what is not committed hears %v and %v", got["fails"], got["last"])
	}
}
