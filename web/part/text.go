package part

import (
	"fmt"
	"strconv"
	"time"
)

// AgoText says how long ago an instant was, or in how long it will be.
func AgoText(t, now time.Time) string {
	d := now.Sub(t)
	if d < 0 {
		return "in " + Span(-d)
	}
	if d < 5*time.Second {
		return "just now"
	}
	return Span(d) + " ago"
}

// ClockText says when an instant was: the time, and the day where it is not today's.
func ClockText(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04 UTC")
	}
	return t.Format("2 Jan 15:04 UTC")
}

// Span says a duration with its greatest unit, such as "3 min" or "2 days".
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " days"
}

// Number writes a count with spaces between thousands, as 12 345.
func Number(n int) string {
	text := strconv.Itoa(n)
	if n < 0 {
		return "-" + Number(-n)
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

// Count writes a count with its word: "1 device", "3 devices".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%s %s", Number(n), many)
}

// noticeRole has a screen reader read problems at once.
func noticeRole(kind string) string {
	if kind == "danger" || kind == "warning" {
		return "alert"
	}
	return "status"
}
