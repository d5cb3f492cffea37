package alert

import (
	"fmt"
	"time"

	"tandem"
)

// Verdict says of one kind and subject whether a person should look.
type Verdict struct {
	Kind      tandem.AlertKind
	Subject   string
	Raise     bool // false: it has passed
	ServiceID string
	RunID     string
	Severity  tandem.Severity
	Message   string
	Hint      string
}

// OfRun judges a run that has ended, with its service as it is since and the number of conflicts that wait on it.
// What it says nothing about stays as it is: a run about some devices proves nothing about the others.
func OfRun(run tandem.Run, service tandem.Service, pendingConflicts int) []Verdict {
	if !run.Status.Ended() {
		return nil
	}
	verdicts := OfService(service)
	verdicts = append(verdicts, ofConflicts(run, service, pendingConflicts))
	whole := run.DeviceID == "" && run.Operation != tandem.OpWebhook && run.Operation != tandem.OpRevert &&
		run.Trigger != tandem.ByEdit && run.Trigger != tandem.ByWebhook
	if v, ok := ofFailure(run, service); ok && (v.Raise || whole) {
		verdicts = append(verdicts, v)
	}
	blocked := of(tandem.AlertRunBlocked, service, run.ID)
	switch run.Status {
	case tandem.RunBlocked:
		blocked.Raise, blocked.Severity = true, tandem.Warning
		blocked.Message = fmt.Sprintf("a run of %s is held back until a person decides%s", service.Name, because(run.Error))
		blocked.Hint = "look at what it would do, and approve or discard it: tandem runs show " + run.ID
		verdicts = append(verdicts, blocked)
	case tandem.RunCompleted, tandem.RunPartial:
		if whole {
			verdicts = append(verdicts, blocked)
		}
	}
	return verdicts
}

// OfService judges whether a service can be talked to (S30, S31). One trouble is one alert: a refused key is not
// also called degraded.
func OfService(service tandem.Service) []Verdict {
	degraded, rejected := of(tandem.AlertServiceDegraded, service, ""), of(tandem.AlertKeyRejected, service, "")
	switch service.State {
	case tandem.ServiceDegraded:
		degraded.Raise, degraded.Severity = true, tandem.Warning
		degraded.Message = fmt.Sprintf("%s does not answer as it should%s", service.Name, because(service.StateReason))
		degraded.Hint = "it is tried again by itself"
		if service.RetryAt != nil {
			degraded.Hint += " at " + service.RetryAt.UTC().Format(time.RFC3339)
		}
		return []Verdict{degraded} // whether the key is right cannot be known now
	case tandem.ServiceRejected:
		rejected.Raise, rejected.Severity = true, tandem.Critical
		rejected.Message = fmt.Sprintf("the key of %s is refused, so it is not synced any more%s", service.Name, because(service.StateReason))
		rejected.Hint = "give the service a key that is valid; it is tried again then"
	case tandem.ServiceLocked:
		rejected.Raise, rejected.Severity = true, tandem.Critical
		rejected.Message = fmt.Sprintf("the stored key of %s cannot be opened, so it is not synced any more%s", service.Name, because(service.StateReason))
		rejected.Hint = "give the program the file of keys that it had before, or give the service its key anew"
	}
	return []Verdict{degraded, rejected}
}

// OfDeadLetters judges the deliveries to a service that failed for good (S36).
func OfDeadLetters(service tandem.Service, count int) []Verdict {
	v := of(tandem.AlertDeadLetters, service, "")
	if count > 0 {
		v.Raise, v.Severity = true, tandem.Warning
		v.Message = fmt.Sprintf("%s for %s could not be processed and %s kept", counted(count, "delivery", "deliveries"), service.Name, isAre(count))
		v.Hint = "look at them and replay them: tandem deliveries list --status dead"
	}
	return []Verdict{v}
}

// OfRemoved lets go of all that was open about a service that is no more.
func OfRemoved(service tandem.Service) []Verdict {
	var verdicts []Verdict
	for _, kind := range []tandem.AlertKind{tandem.AlertConflicts, tandem.AlertRunFailed, tandem.AlertRunBlocked,
		tandem.AlertServiceDegraded, tandem.AlertKeyRejected, tandem.AlertDeadLetters} {
		verdicts = append(verdicts, of(kind, service, ""))
	}
	return verdicts
}

// of begins a verdict about a service.
func of(kind tandem.AlertKind, service tandem.Service, run string) Verdict {
	return Verdict{Kind: kind, Subject: service.ID, ServiceID: service.ID, RunID: run}
}

// ofConflicts judges the conflicts that wait.
func ofConflicts(run tandem.Run, service tandem.Service, pending int) Verdict {
	v := of(tandem.AlertConflicts, service, run.ID)
	if pending > 0 {
		v.Raise, v.Severity = true, tandem.Warning
		v.Message = fmt.Sprintf("%s on %s %s for a decision", counted(pending, "conflict", "conflicts"), service.Name, waits(pending))
		v.Hint = "settle them one by one or in groups: tandem conflicts list"
	}
	return v
}

// ofFailure judges whether a run did what it was to do; ok is false when it does not say. Where the service itself is in
// trouble, that is the alert.
func ofFailure(run tandem.Run, service tandem.Service) (v Verdict, ok bool) {
	v = of(tandem.AlertRunFailed, service, run.ID)
	v.Hint = "see which devices, and why: tandem runs show " + run.ID
	switch healthy := service.State == tandem.ServiceOK || service.State == ""; {
	case run.Status == tandem.RunCompleted:
		v.Hint = ""
	case run.Status == tandem.RunFailed && healthy:
		v.Raise, v.Severity = true, tandem.Critical
		v.Message = fmt.Sprintf("a run of %s failed%s", service.Name, because(run.Error))
	case run.Status == tandem.RunPartial && run.Summary.Failed > 0 && healthy:
		v.Raise, v.Severity = true, tandem.Warning
		v.Message = fmt.Sprintf("a run of %s could not bring %d of %s in step", service.Name, run.Summary.Failed,
			counted(run.Summary.Processed, "device", "devices"))
	case run.Status == tandem.RunPartial && run.Error != "" && healthy:
		v.Raise, v.Severity = true, tandem.Warning
		v.Message = fmt.Sprintf("a run of %s was incomplete%s", service.Name, because(run.Error))
	case run.Status == tandem.RunPartial && run.Summary.Failed == 0 && run.Error == "":
		v.Hint = "" // conflicts alone are no failure
	default: // blocked, canceled, interrupted
		return v, false
	}
	return v, true
}

// because appends a reason where there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// counted spells a number of things.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func waits(n int) string {
	if n == 1 {
		return "waits"
	}
	return "wait"
}
