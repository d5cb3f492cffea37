package part

import "tandem"

// Fold is a run in a list, with those before it that came to the same: a schedule repeats them, and they tell nothing new.
type Fold struct {
	tandem.Run
	Same []tandem.Run // newest first
}

// Since is when the oldest of them was.
func (f *Fold) Since() tandem.Run { return f.Same[len(f.Same)-1] }

// FoldRuns puts the runs of a list, newest first, together where a service's schedule ran one after the other with the same
// outcome and changed nothing. A run of the service that came to something else stands between, other services' do not.
func FoldRuns(runs []tandem.Run) []Fold {
	var list []Fold
	last := map[string]int{} // by service: where its latest stands
	for i := range runs {
		r := runs[i]
		if at, ok := last[r.ServiceID]; ok && repeats(&list[at].Run, &r) {
			list[at].Same = append(list[at].Same, r)
			continue
		}
		last[r.ServiceID] = len(list)
		list = append(list, Fold{Run: r})
	}
	return list
}

// repeats reports whether two runs of a service came to the same, and that is nothing.
func repeats(a, b *tandem.Run) bool {
	return idle(a) && idle(b) && a.Operation == b.Operation && a.Status == b.Status && a.Summary == b.Summary && a.Error == b.Error
}

// idle reports whether the schedule alone made a run, and it changed nothing and asks nobody.
func idle(r *tandem.Run) bool {
	none := tandem.Counts{}
	return r.Trigger == tandem.BySchedule && r.DeviceID == "" && r.PlanID == "" && r.Status.Ended() && r.Summary.Local == none && r.Summary.Remote == none
}
