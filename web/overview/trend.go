package overview

import (
	"fmt"
	"slices"
	"time"

	"tandem"
	"tandem/web/part"
)

// service gives one by its id; the zero Service for one that is gone.
func (v *look) service(id string) tandem.Service {
	for i := range v.services {
		if v.services[i].ID == id {
			return v.services[i]
		}
	}
	return tandem.Service{}
}

// countsOf gives how a service's devices are.
func (v *look) countsOf(id string) tandem.ServiceOverview {
	for _, s := range v.counts.Services {
		if s.ServiceID == id {
			return s
		}
	}
	return tandem.ServiceOverview{}
}

// lastRun gives the newest run of a service over all its devices, nil where there is none among the recent ones.
func (v *look) lastRun(service string) *tandem.Run {
	for i := range v.runs {
		if v.runs[i].ServiceID == service && v.runs[i].DeviceID == "" {
			return &v.runs[i]
		}
	}
	return nil
}

// changed counts what a run changed on both sides.
func changed(s tandem.Summary) int {
	return s.Local.Created + s.Local.Updated + s.Local.Deleted + s.Remote.Created + s.Remote.Updated + s.Remote.Deleted
}

// trend plots how long a service's last runs took and how much they changed, oldest first.
func (v *look) trend(service tandem.Service) part.PlotData {
	var runs []tandem.Run
	for _, r := range v.runs {
		if r.ServiceID == service.ID && r.DeviceID == "" && r.Status.Ended() && r.StartedAt != nil && len(runs) < trendRuns {
			runs = append(runs, r)
		}
	}
	slices.Reverse(runs)
	p := part.PlotData{Height: 120, Series: []part.Series{{Label: "took, s", Color: "blue", Points: true}, {Label: "devices changed", Color: "green", Points: true, Scale: "changes"}}}
	var longest time.Duration
	for _, r := range runs {
		took := time.Duration(r.DurationMS) * time.Millisecond
		longest = max(longest, took)
		p.X = append(p.X, float64(r.StartedAt.Unix()))
		p.Series[0].Values = append(p.Series[0].Values, part.Value(took.Seconds()))
		p.Series[1].Values = append(p.Series[1].Values, part.Value(float64(changed(r.Summary))))
		p.Links = append(p.Links, v.c.Path("history", r.ID))
	}
	p.Summary = fmt.Sprintf("The last %d runs of %s; the longest took %s.", len(runs), service.Name, part.Span(longest))
	return p
}

// ratePlot plots the deliveries of each minute.
func (v *look) ratePlot() part.PlotData {
	kinds := []struct {
		status       tandem.DeliveryStatus
		label, color string
	}{{tandem.DeliveryStored, "received", "blue"}, {tandem.DeliveryProcessed, "processed", "green"}, {tandem.DeliveryRefused, "refused", "orange"}, {tandem.DeliveryDead, "dead", "red"}}
	p := part.PlotData{Height: 160, Unit: "", Summary: fmt.Sprintf("Deliveries of the last two hours by the minute: %s received.", part.Number(v.received()))}
	for _, b := range v.rate {
		p.X = append(p.X, float64(b.At.Unix()))
	}
	for _, k := range kinds {
		s := part.Series{Label: k.label, Color: k.color}
		for _, b := range v.rate {
			s.Values = append(s.Values, part.Value(float64(b.Counts[k.status])))
		}
		p.Series = append(p.Series, s)
	}
	return p
}

// received counts the deliveries that the plot shows.
func (v *look) received() int {
	n := 0
	for _, b := range v.rate {
		n += b.Counts[tandem.DeliveryStored]
	}
	return n
}

// nextRun says when a service's schedule goes on.
func nextRun(s *tandem.Service) string {
	switch {
	case !s.IsActive:
		return "disabled"
	case s.State == tandem.ServiceRejected:
		return "stopped: the key is refused"
	case s.State == tandem.ServiceLocked:
		return "stopped: the key cannot be opened"
	case !s.SyncEnabled:
		return "by hand only"
	case s.NextSyncAt == nil:
		return "not planned"
	}
	return ""
}

// what says in words what a run did.
func what(r *tandem.Run) string {
	s := r.Summary
	switch {
	case r.Status == tandem.RunRunning:
		return "is under way"
	case r.Status == tandem.RunQueued:
		return "waits for its turn"
	case r.Error != "":
		return r.Error
	case s.Failed > 0:
		return part.Count(s.Failed, "device", "devices") + " failed of " + part.Number(s.Processed)
	case s.Conflicts > 0:
		return part.Count(s.Conflicts, "conflict", "conflicts") + ", " + part.Count(changed(s), "change", "changes")
	case changed(s) > 0:
		return part.Count(changed(s), "device", "devices") + " changed of " + part.Number(s.Processed)
	}
	return part.Count(s.Processed, "device", "devices") + ", nothing to change"
}
