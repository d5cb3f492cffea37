package setting

import (
	"strconv"
	"strings"
	"time"

	"tandem"
	"tandem/web/part"
)

func typeText(t tandem.ChannelType) string {
	switch t {
	case tandem.SlackChannel:
		return "Slack"
	case tandem.EmailChannel:
		return "E-mail"
	}
	return "Webhook"
}

func kindText(k tandem.AlertKind) string {
	switch k {
	case tandem.AlertConflicts:
		return "Conflicts that wait for a person"
	case tandem.AlertRunFailed:
		return "Runs that failed"
	case tandem.AlertRunBlocked:
		return "Runs that wait to be let through"
	case tandem.AlertServiceDegraded:
		return "Services that do not answer well"
	case tandem.AlertKeyRejected:
		return "API keys that are refused"
	case tandem.AlertDeadLetters:
		return "Webhook deliveries that were given up"
	}
	return words(k)
}

// getsText says what goes through a channel.
func getsText(ch *tandem.Channel) string {
	parts := []string{"All alerts"}
	if n := len(ch.Kinds); n > 0 {
		names := make([]string, n)
		for i, k := range ch.Kinds {
			names[i] = words(k)
		}
		parts[0] = strings.Join(names, ", ")
	}
	if ch.MinSeverity == tandem.Critical {
		parts = append(parts, "critical only")
	}
	if ch.EscalationOnly {
		parts = append(parts, "escalations only")
	}
	if ch.ThrottleS > 0 {
		parts = append(parts, "one message in "+part.Span(time.Duration(ch.ThrottleS)*time.Second))
	}
	return strings.Join(parts, "; ")
}

// secretHint says of a stored secret that it stays.
func secretHint(v channel, otherwise string) string {
	if len(v.ch.Credentials) > 0 {
		return "One is stored; it is never shown. Leave this empty to keep it."
	}
	return otherwise
}

func text(n int) string { return strconv.Itoa(n) }
