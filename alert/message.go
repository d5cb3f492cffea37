package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"tandem"
)

// newest is how many alerts a summary names.
const newest = 10

// item is one notification with what it is about.
type item struct {
	notification tandem.Notification
	alert        tandem.Alert
	service      string // its name, "" where there is none
}

// message is what is told through a channel, of one alert or of several.
type message struct {
	id           string // the same whenever the same is told
	at           time.Time
	organization tandem.Organization
	items        []item // newest first
	publicURL    string
}

// compose makes the message about some notifications of one channel.
func compose(o tandem.Organization, items []item, publicURL string, now time.Time) message {
	slices.SortStableFunc(items, func(a, b item) int {
		if c := b.notification.CreatedAt.Compare(a.notification.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(b.notification.ID, a.notification.ID)
	})
	digest := sha256.New()
	for _, i := range items {
		digest.Write([]byte(i.notification.ID))
	}
	return message{id: "msg_" + hex.EncodeToString(digest.Sum(nil)[:16]), at: now, organization: o, items: items,
		publicURL: strings.TrimRight(publicURL, "/")}
}

// one reports whether the message is about one alert.
func (m *message) one() bool { return len(m.items) == 1 }

// subject is one line.
func (m *message) subject() string {
	if m.one() {
		return clean(headline(&m.items[0]), 150)
	}
	critical := 0
	for _, i := range m.items {
		if i.alert.Severity == tandem.Critical && i.notification.Reason != Resolved {
			critical++
		}
	}
	text := fmt.Sprintf("[Tandem] %d messages about %s", len(m.items), m.organization.Name)
	if critical > 0 {
		text += fmt.Sprintf(", %d critical", critical)
	}
	return clean(text, 150)
}

// headline says in one line what a notification is about.
func headline(i *item) string {
	word := map[string]string{Raised: string(i.alert.Severity), Again: string(i.alert.Severity) + ", again",
		Escalated: "nobody has looked", Resolved: "resolved", Test: "test"}[i.notification.Reason]
	return fmt.Sprintf("[Tandem] %s: %s", word, i.alert.Message)
}

// tally is how often something of one kind came from one service.
type tally struct {
	Kind      tandem.AlertKind `json:"kind"`
	ServiceID string           `json:"service_id,omitempty"`
	Service   string           `json:"service,omitempty"`
	Count     int              `json:"count"`
}

// tallies counts the message's items by kind and service, the most first.
func (m *message) tallies() []tally {
	var counts []tally
	for _, i := range m.items {
		at := slices.IndexFunc(counts, func(t tally) bool { return t.Kind == i.alert.Kind && t.ServiceID == i.alert.ServiceID })
		if at < 0 {
			at = len(counts)
			counts = append(counts, tally{Kind: i.alert.Kind, ServiceID: i.alert.ServiceID, Service: i.service})
		}
		counts[at].Count++
	}
	slices.SortStableFunc(counts, func(a, b tally) int { return b.Count - a.Count })
	return counts
}

// text spells a tally.
func (t *tally) text() string {
	words := clean(strings.ReplaceAll(string(t.Kind), "_", " "), 50)
	if t.Service != "" {
		words += " on " + clean(t.Service, 200)
	}
	return fmt.Sprintf("%d × %s", t.Count, words)
}

// link gives the address of an alert's page, "" where the server has no address of its own.
func (m *message) link(i *item) string {
	if m.publicURL == "" || i.alert.ID == "" {
		return ""
	}
	return m.publicURL + "/alerts/" + i.alert.ID
}

// plain is the message as text with lines, for e-mail.
func (m *message) plain() string {
	var b strings.Builder
	if !m.one() {
		fmt.Fprintf(&b, "%d messages since the last one:\n\n", len(m.items))
		for _, t := range m.tallies() {
			fmt.Fprintf(&b, "  %s\n", t.text())
		}
		b.WriteString("\nThe newest:\n\n")
	}
	for n, i := range m.items {
		if n == newest {
			break
		}
		fmt.Fprintf(&b, "%s\n", clean(headline(&i), maxMessage))
		if i.alert.Hint != "" && i.notification.Reason != Resolved {
			fmt.Fprintf(&b, "%s\n", clean(i.alert.Hint, maxMessage))
		}
		if i.alert.Count > 1 {
			fmt.Fprintf(&b, "%d times since %s\n", i.alert.Count, i.alert.RaisedAt.UTC().Format(time.RFC3339))
		}
		if link := m.link(&i); link != "" {
			b.WriteString(link + "\n")
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "Organization: %s\n", clean(m.organization.Name, 200))
	return b.String()
}

// clean makes one line of a text: what could end a line or a header, or turn the reading direction, becomes a space.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit-1]) + "…"
	}
	return strings.TrimSpace(text)
}
