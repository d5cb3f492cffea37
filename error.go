package tandem

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says what kind of failure an Error is, for programs. Codes are stable.
type Code string

// The codes. Each names what a caller can do about the failure.
const (
	Invalid      Code = "invalid"      // the input is wrong; change it
	NotFound     Code = "not_found"    // no such thing in this organization
	Exists       Code = "exists"       // the name or identity is taken
	Stale        Code = "stale"        // the row moved since it was read; read again
	Unauthorized Code = "unauthorized" // the credentials are wrong (remote 401)
	Forbidden    Code = "forbidden"    // the credentials do not allow it (remote 403)
	RateLimited  Code = "rate_limited" // too many requests; see Error.RetryAfter
	Unavailable  Code = "unavailable"  // the other side is away or failing; try later
	Timeout      Code = "timeout"      // no answer in time; the effect is unknown
	Malformed    Code = "malformed"    // the other side's reply could not be read
	Mismatch     Code = "mismatch"     // the project is not the one the service is pinned to (S21)
	Busy         Code = "busy"         // another run or write holds it
	LeaseLost    Code = "lease_lost"   // another process took this run's lease over (S19)
	Blocked      Code = "blocked"      // a guard or an approval holds it (S18, S28)
	Schema       Code = "schema"       // the database is older or newer than this program
	Corrupt      Code = "corrupt"      // the database or a stored value is damaged
	DiskFull     Code = "disk_full"    // no room left to write
	KeyLost      Code = "key_lost"     // a stored secret cannot be decrypted with the keys at hand
	Internal     Code = "internal"     // a fault of this program
)

// Error is the one error type that crosses package borders.
// Message and Hint are for people: what happened, to what, and what to do.
// Err, the cause, is for logs; neither may ever hold a secret.
type Error struct {
	Code       Code
	Op         string        // the operation, "golioth: list devices"
	Thing      string        // what it was about: a name or id, "" when the Op says it
	Message    string        // what happened, one sentence without a final stop
	Hint       string        // what to do, "" when there is nothing
	RetryAfter time.Duration // when the other side said so, else 0
	Err        error
}

// Error gives the text for a person: thing, message, hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Thing != "" {
		b.WriteString(e.Thing)
		b.WriteString(": ")
	}
	switch {
	case e.Message != "":
		b.WriteString(e.Message)
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	default:
		b.WriteString(string(e.Code))
	}
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error with a formatted message. A final %w becomes its cause.
func Errorf(code Code, op, thing, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Code: code, Op: op, Thing: thing, Message: wrapped.Error(), Err: errors.Unwrap(wrapped)}
}

// WithHint returns e with what to do about it.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// ErrBreakerOpen is in the chain of an Unavailable error when a Remote failed so often in a row that it is
// not even asked for a while (S30): whoever has more to ask can stop. One reply with a Retry-After is not that.
var ErrBreakerOpen = errors.New("the breaker is open")

// CodeOf gives the code of the outermost Error in err's chain; Internal for another error, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Is reports whether err's code is one of codes.
func Is(err error, codes ...Code) bool {
	code := CodeOf(err)
	for _, c := range codes {
		if err != nil && code == c {
			return true
		}
	}
	return false
}
