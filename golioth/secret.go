package golioth

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that must not be seen: an API key or a pre-shared key. It prints, logs and marshals
// as [redacted]; string(s) gives what it holds.
type Secret string

const redacted = "[redacted]"

// String hides the secret.
func (Secret) String() string { return redacted }

// Format hides the secret from every verb.
func (Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, redacted) } // fmt.State keeps its own errors

// MarshalText hides the secret from JSON and other text encodings.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the secret from structured logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
