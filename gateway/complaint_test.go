package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tandem"
)

// TestAComplaintIsNotRepeated: what fails is told of at once and then once a minute; what waits its turn only when that takes
// long; and that it goes on, where somebody was told.
func TestAComplaintIsNotRepeated(t *testing.T) {
	t.Parallel()
	failed := tandem.Errorf(tandem.Unavailable, "x", "", "the database is away")
	waited := tandem.Errorf(tandem.Timeout, "x", "", "it took too long")
	for name, test := range map[string]struct {
		err     error
		every   time.Duration
		times   int
		warned  int
		unsaid  string // of the last warning
		resumed bool
	}{
		"fails once":              {failed, time.Second, 1, 1, "unsaid=0", true},
		"fails for long":          {failed, time.Second, 150, 3, "unsaid=59", true},
		"waits behind an import":  {waited, 5 * time.Second, 12, 0, "", false},
		"waits for three minutes": {waited, 5 * time.Second, 36, 2, "unsaid=11", true},
	} {
		var log bytes.Buffer
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		c := newComplaint(&Options{Clock: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))}, "read")
		for range test.times {
			c.about(test.err)
			now = now.Add(test.every)
		}
		c.about(nil)
		c.about(nil)
		warned := strings.Count(log.String(), "level=WARN")
		if resumed := strings.Count(log.String(), "goes on"); warned != test.warned || (resumed == 1) != test.resumed || resumed > 1 {
			t.Errorf("%s: %d warnings, went on %d times:\n%s", name, warned, resumed, log.String())
		}
		lines := strings.Split(log.String(), "\n")
		if test.unsaid != "" && !strings.Contains(lines[test.warned-1], test.unsaid+" ") {
			t.Errorf("%s: %s", name, lines[test.warned-1])
		}
	}
}
