package part

import (
	"strings"

	"tandem"
)

// ConflictText says what a kind of conflict is about.
func ConflictText(t tandem.ConflictType) string {
	switch t {
	case tandem.ConcurrentModification:
		return "changed on both sides"
	case tandem.InitialMismatch:
		return "different from the start"
	case tandem.AmbiguousMatch:
		return "which device is it?"
	case tandem.DeletedRemotely:
		return "deleted on Golioth, changed here"
	case tandem.DeletedLocally:
		return "deleted here, changed on Golioth"
	}
	return string(t)
}

// NoteText says the note of a change or an entry: where that is one of the engine's words, in those of the pages.
func NoteText(note string) string {
	switch note {
	case string(tandem.ConflictConverged):
		return "no conflict any more: the two sides no longer differ, or only one has changed"
	case string(tandem.ConflictSuperseded):
		return "no conflict any more: its device or field is gone"
	case tandem.GuardedNote:
		return ""
	}
	return ConflictText(tandem.ConflictType(strings.TrimSuffix(note, "; "+tandem.GuardedNote)))
}

// ByText says who did something.
func ByText(name string) string {
	if name == "command line" {
		return "at the command line"
	}
	return "by " + name
}

// Sentence begins a text with a capital letter.
func Sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
