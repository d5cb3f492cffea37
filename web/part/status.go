package part

import "tandem"

// The colours are Tabler's. Red is for what a person has to look at, orange for what may mend itself, green for well.

func deviceColor(s tandem.Status) string {
	switch s {
	case tandem.Online:
		return "green"
	case tandem.Offline:
		return "red"
	}
	return "secondary"
}

func syncColor(s tandem.SyncStatus) string {
	switch s {
	case tandem.SyncSynced:
		return "green"
	case tandem.SyncError:
		return "red"
	case tandem.SyncConflict:
		return "orange"
	case tandem.SyncPending:
		return "azure"
	}
	return "secondary"
}

func runColor(s tandem.RunStatus) string {
	switch s {
	case tandem.RunCompleted:
		return "green"
	case tandem.RunFailed:
		return "red"
	case tandem.RunPartial, tandem.RunBlocked, tandem.RunInterrupted:
		return "orange"
	case tandem.RunRunning, tandem.RunQueued:
		return "azure"
	}
	return "secondary"
}

func serviceColor(s tandem.ServiceState) string {
	if s == tandem.ServiceDegraded {
		return "orange"
	}
	return "red"
}

func outcomeColor(o tandem.EntryOutcome) string {
	switch o {
	case tandem.OutcomeDone:
		return "green"
	case tandem.OutcomeFailed:
		return "red"
	case tandem.OutcomePending, tandem.OutcomeHeld:
		return "orange"
	}
	return "azure"
}

func conflictColor(s tandem.ResolutionStatus) string {
	switch s {
	case tandem.ConflictPending:
		return "orange"
	case tandem.ConflictResolving:
		return "azure"
	case tandem.ConflictResolved, tandem.ConflictAutoResolved, tandem.ConflictConverged:
		return "green"
	}
	return "secondary"
}

func deliveryColor(s tandem.DeliveryStatus) string {
	switch s {
	case tandem.DeliveryProcessed:
		return "green"
	case tandem.DeliveryDead, tandem.DeliveryRefused:
		return "red"
	case tandem.DeliveryRetrying:
		return "orange"
	}
	return "azure"
}

func severityColor(s tandem.Severity) string {
	switch s {
	case tandem.Critical:
		return "red"
	case tandem.Warning:
		return "orange"
	}
	return "azure"
}

func alertColor(s tandem.AlertStatus) string {
	switch s {
	case tandem.AlertResolved:
		return "green"
	case tandem.AlertAcknowledged:
		return "azure"
	}
	return "red"
}
