package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what a Text prints as.
const Redacted = "[redacted]"

// Text is a credential in memory. It is redacted by type: printing, logging and marshaling give Redacted,
// also from inside another struct. The zero value is the empty text.
type Text struct {
	// A pointer, since fmt reads an unexported member of another struct without calling its methods:
	// it then prints an address.
	value *string
}

// NewText wraps a credential.
func NewText(value string) Text { return Text{value: &value} }

// Reveal gives the credential. Whatever it is passed to must not print it.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Empty reports whether there is nothing in it.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Equal compares in constant time for texts of equal length.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String gives Redacted.
func (Text) String() string { return Redacted }

// GoString gives Redacted.
func (Text) GoString() string { return Redacted }

// Format writes Redacted, whatever the verb.
func (Text) Format(s fmt.State, _ rune) {
	// fmt takes no error from a Formatter; a failing writer shows in the print call's own result.
	_, _ = io.WriteString(s, Redacted)
}

// MarshalJSON gives Redacted.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalText gives Redacted, for every encoder that is not JSON.
func (Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue gives Redacted.
func (Text) LogValue() slog.Value { return slog.StringValue(Redacted) }
