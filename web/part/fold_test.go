package part_test

import (
	"fmt"
	"strings"
	"testing"

	"tandem"
	"tandem/web/part"
)

// TestFoldRuns: only neighbours of one service that the schedule made, that changed nothing and that ended alike are put together.
func TestFoldRuns(t *testing.T) {
	t.Parallel()
	run := func(id, service string, change func(*tandem.Run)) tandem.Run {
		r := tandem.Run{ID: id, ServiceID: service, Operation: tandem.OpBidirectional, Trigger: tandem.BySchedule, Status: tandem.RunPartial,
			Summary: tandem.Summary{Processed: 10, Successful: 9, Failed: 1}}
		if change != nil {
			change(&r)
		}
		return r
	}
	for name, c := range map[string]struct {
		runs []tandem.Run
		want string
	}{
		"none":                  {nil, ""},
		"alike":                 {[]tandem.Run{run("c", "s", nil), run("b", "s", nil), run("a", "s", nil)}, "c(b a)"},
		"another between":       {[]tandem.Run{run("d", "s", nil), run("c", "other", nil), run("b", "s", nil), run("a", "other", nil)}, "d(b) c(a)"},
		"by hand":               {[]tandem.Run{run("b", "s", nil), run("a", "s", func(r *tandem.Run) { r.Trigger = tandem.ByHand })}, "b a"},
		"by hand between":       {[]tandem.Run{run("c", "s", nil), run("b", "s", func(r *tandem.Run) { r.Trigger = tandem.ByHand }), run("a", "s", nil)}, "c b a"},
		"it changed something":  {[]tandem.Run{run("b", "s", nil), run("a", "s", func(r *tandem.Run) { r.Summary.Local.Updated = 1 })}, "b a"},
		"both changed the same": {[]tandem.Run{run("b", "s", func(r *tandem.Run) { r.Summary.Remote.Updated = 1 }), run("a", "s", func(r *tandem.Run) { r.Summary.Remote.Updated = 1 })}, "b a"},
		"more failed":           {[]tandem.Run{run("b", "s", nil), run("a", "s", func(r *tandem.Run) { r.Summary.Failed = 2 })}, "b a"},
		"for another reason":    {[]tandem.Run{run("b", "s", nil), run("a", "s", func(r *tandem.Run) { r.Error = "no answer" })}, "b a"},
		"another end":           {[]tandem.Run{run("b", "s", nil), run("a", "s", func(r *tandem.Run) { r.Status = tandem.RunFailed })}, "b a"},
		"going on":              {[]tandem.Run{run("b", "s", func(r *tandem.Run) { r.Status = tandem.RunRunning }), run("a", "s", func(r *tandem.Run) { r.Status = tandem.RunRunning })}, "b a"},
		"waiting for somebody":  {[]tandem.Run{run("b", "s", func(r *tandem.Run) { r.PlanID = "p" }), run("a", "s", func(r *tandem.Run) { r.PlanID = "q" })}, "b a"},
	} {
		var got []string
		for _, f := range part.FoldRuns(c.runs) {
			text := f.ID
			if len(f.Same) > 0 {
				var ids []string
				for _, r := range f.Same {
					ids = append(ids, r.ID)
				}
				text += fmt.Sprintf("(%s)", strings.Join(ids, " "))
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", name, strings.Join(got, " "), c.want)
		}
	}
}
