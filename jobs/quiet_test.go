package jobs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// TestTheJobEngineSaysThingsOnceAMinute: a database that is away must not fill the disk with its absence.
func TestTheJobEngineSaysThingsOnceAMinute(t *testing.T) {
	var said bytes.Buffer
	only := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}
	h := quiet(slog.New(slog.NewTextHandler(&said, only))).With("by", "river").Handler()
	for i := range 130 { // a second each
		at := noon.Add(time.Duration(i) * time.Second)
		if err := h.Handle(context.Background(), slog.NewRecord(at, slog.LevelError, "cannot fetch", 0)); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			if err := h.Handle(context.Background(), slog.NewRecord(at, slog.LevelWarn, fmt.Sprint("other ", i), 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const want = `msg="cannot fetch" by=river
msg="other 0" by=river
msg="other 50" by=river
msg="cannot fetch" by=river unsaid=59
msg="other 100" by=river
msg="cannot fetch" by=river unsaid=59
`
	if got := said.String(); got != want {
		t.Errorf("said\n%s, want\n%s", got, want)
	}
	if h.Enabled(context.Background(), slog.LevelInfo) {
		t.Error("what is no warning is said")
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if h.Enabled(ended, slog.LevelError) {
		t.Error("what a stop causes is said")
	}
}
