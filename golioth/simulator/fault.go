package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem"
)

// Kind says what a fault does. Besides these, any HTTP status from 400 to 599 is a kind
// ("503", "429", "401"): the call is refused with it, without effect.
type Kind string

// The kinds.
const (
	SlowFault        Kind = "latency"        // wait longer: time, or p50 and p99
	HangFault        Kind = "hang"           // never answer; no effect
	ResetBeforeFault Kind = "reset-before"   // the connection is reset, without effect
	ResetAfterFault  Kind = "reset-after"    // the connection is reset after the call took effect
	TruncateFault    Kind = "truncate"       // the body ends early: after bytes, default half of it
	MalformedFault   Kind = "malformed"      // the body is not JSON, its length right
	BadDeviceFault   Kind = "bad-device"     // one device of a page cannot be read
	DripFault        Kind = "drip"           // the body comes slowly: bytes a second, default 100
	StaleFault       Kind = "stale"          // reads see what was before the last change, up to window ago (default 5s)
	HTMLFault        Kind = "html"           // a web page instead of the reply, status by code, default 200; no effect
	ContentTypeFault Kind = "content-type"   // the right body as text/plain
	EmptyFault       Kind = "empty"          // an empty body, status by code, default 500; no effect
	DeletedFault     Kind = "device-deleted" // a device of an earlier page (else any) is deleted first
	CreatedFault     Kind = "device-created" // a console user creates a device first
	AutoFault        Kind = "auto-created"   // a device connects with a certificate and is created first
	SwapFault        Kind = "project-swap"   // another project takes this one's place: other creation time, other devices
)

// The kinds that strike deliveries to webhooks instead of calls. Their path is that of the message, /sensor, or
// the event's type, /device.updated; they have no method.
const (
	LostFault        Kind = "lost-delivery"    // it is never sent
	DoubleFault      Kind = "double-delivery"  // it is sent twice
	LateFault        Kind = "late-delivery"    // it is sent later, so that others overtake it: time, or p50 and p99
	WrongSecretFault Kind = "wrong-secret"     // it comes with another secret, or is signed with one
	CorruptFault     Kind = "corrupt-delivery" // its body is another than the one that was signed, and not JSON
)

var deliveryKinds = []Kind{LostFault, DoubleFault, LateFault, WrongSecretFault, CorruptFault}

var kinds = []Kind{SlowFault, HangFault, ResetBeforeFault, ResetAfterFault, TruncateFault, MalformedFault, BadDeviceFault,
	DripFault, StaleFault, HTMLFault, ContentTypeFault, EmptyFault, DeletedFault, CreatedFault, AutoFault, SwapFault,
	LostFault, DoubleFault, LateFault, WrongSecretFault, CorruptFault}

// Fault is one thing that goes wrong, and when. The zero value of a key means that it is not set.
// Of the calls that Method and Path choose, the first After pass; of the rest each Every-th (default
// every one), each with probability Rate (default 1), is struck, Count times at most, for For at most.
type Fault struct {
	Kind   Kind
	Method string // "" for any
	Path   string // "" for any; see the package comment

	After int           // after: calls to let pass first
	Every int           // every: strike each n-th
	Count int           // count: strikes at most; 0 without end
	Rate  float64       // rate: probability, 0 < rate ≤ 1, drawn from the seed
	For   time.Duration // for: how long since it was set

	Latency    Latency       // time, or p50 and p99: for latency and late-delivery
	Code       int           // code: HTTP status for html and empty
	RetryAfter time.Duration // retry-after: for a status; whole seconds on the wire
	Date       bool          // form=date: Retry-After as a date
	Bytes      int           // bytes: for truncate and drip
	Window     time.Duration // window: for stale
}

// status gives the HTTP status that the kind stands for, 0 for none.
func (k Kind) status() int {
	code, err := strconv.Atoi(string(k))
	if err != nil || code < 400 || code > 599 || strconv.Itoa(code) != string(k) {
		return 0
	}
	return code
}

// ParseFault reads a fault's text; the package comment has the form. Invalid says what is wrong with it.
func ParseFault(text string) (Fault, error) {
	var f Fault
	kind, rest, _ := strings.Cut(text, ":")
	target, keys, _ := strings.Cut(rest, ":")
	f.Kind = Kind(strings.TrimSpace(kind))
	if !slices.Contains(kinds, f.Kind) && f.Kind.status() == 0 {
		return f, badFault(text, "%q is not a kind of fault", string(f.Kind)).WithHint("the kinds are %v, and any status from 400 to 599", strings.Trim(strings.ReplaceAll(fmt.Sprint(kinds), " ", ", "), "[]"))
	}
	if err := f.aim(strings.TrimSpace(target)); err != nil {
		return f, badFault(text, "%w", err)
	}
	for pair := range strings.SplitSeq(keys, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		if err := f.set(key, value); err != nil {
			return f, badFault(text, "%w", err)
		}
	}
	if f.Method != "" && f.delivers() {
		return f, badFault(text, "a delivery has no method").WithHint("write for example %s:/sensor:rate=0.1", f.Kind)
	}
	if (f.Kind == SlowFault || f.Kind == LateFault) && f.Latency == (Latency{}) {
		return f, badFault(text, "a %s fault has no time", f.Kind).WithHint("add time=200ms, or p50=40ms,p99=400ms")
	}
	if (f.Latency.P50 > 0) != (f.Latency.P99 > 0) || f.Latency.P99 < f.Latency.P50 {
		return f, badFault(text, "p50 and p99 go together, p99 the larger")
	}
	return f, nil
}

func badFault(text, format string, args ...any) *tandem.Error {
	return tandem.Errorf(tandem.Invalid, "simulator: read a fault", text, format, args...).
		WithHint("write for example reset-after:POST /devices:every=7,count=3")
}

// aim reads "POST /devices", "/devices", "POST", "*" or "".
func (f *Fault) aim(target string) error {
	if target == "" || target == "*" {
		return nil
	}
	method, path, two := strings.Cut(target, " ")
	if !two && strings.HasPrefix(method, "/") {
		method, path = "", method
	}
	if method == "*" {
		method = ""
	}
	if path = strings.TrimSpace(path); path == "*" {
		path = ""
	}
	if method != "" && !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, method) {
		return fmt.Errorf("%q is not a method", method)
	}
	if path != "" && path[0] != '/' {
		return fmt.Errorf("the path %q does not begin with /", path)
	}
	f.Method, f.Path = method, path
	return nil
}

// set reads one key of the last part.
func (f *Fault) set(key, value string) (err error) {
	whole := func(into *int, least int) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < least {
			return fmt.Errorf("%s=%s is not a whole number from %d", key, value, least)
		}
		*into = n
		return nil
	}
	duration := func(into *time.Duration) error {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("%s=%s is not a duration above 0", key, value)
		}
		*into = d
		return nil
	}
	switch key {
	case "after":
		return whole(&f.After, 0)
	case "every":
		return whole(&f.Every, 1)
	case "count":
		return whole(&f.Count, 1)
	case "bytes":
		return whole(&f.Bytes, 1)
	case "rate":
		f.Rate, err = strconv.ParseFloat(value, 64)
		if err != nil || !(f.Rate > 0 && f.Rate <= 1) {
			return fmt.Errorf("rate=%s is not a number above 0, up to 1", value)
		}
		return nil
	case "for":
		return duration(&f.For)
	case "window":
		return duration(&f.Window)
	case "retry-after":
		return duration(&f.RetryAfter)
	case "form":
		if value != "seconds" && value != "date" {
			return fmt.Errorf("form=%s is neither seconds nor date", value)
		}
		f.Date = value == "date"
		return nil
	case "code":
		if err := whole(&f.Code, 200); err != nil || f.Code > 599 {
			return fmt.Errorf("code=%s is not an HTTP status from 200 to 599", value)
		}
		return nil
	case "p50":
		return duration(&f.Latency.P50)
	case "p99":
		return duration(&f.Latency.P99)
	case "time":
		l, err := ParseLatency(value)
		if err != nil || l.P50 > 0 || l.Mean == 0 {
			return fmt.Errorf("time=%s is not a latency such as 200ms or 80ms±20ms", value)
		}
		f.Latency.Mean, f.Latency.Spread = l.Mean, l.Spread
		return nil
	}
	return fmt.Errorf("%q is not a key of a fault", key)
}

// String gives the text that ParseFault reads.
func (f Fault) String() string {
	target := strings.TrimSpace(f.Method + " " + f.Path)
	if target == "" {
		target = "*"
	}
	var keys []string
	add := func(set bool, key string, value any) {
		if set {
			keys = append(keys, fmt.Sprintf("%s=%v", key, value))
		}
	}
	add(f.After > 0, "after", f.After)
	add(f.Every > 0, "every", f.Every)
	add(f.Count > 0, "count", f.Count)
	add(f.Rate > 0, "rate", strconv.FormatFloat(f.Rate, 'g', -1, 64))
	add(f.For > 0, "for", f.For)
	add(f.Latency.Mean > 0, "time", Latency{Mean: f.Latency.Mean, Spread: f.Latency.Spread})
	add(f.Latency.P50 > 0, "p50", f.Latency.P50)
	add(f.Latency.P99 > 0, "p99", f.Latency.P99)
	add(f.Code > 0, "code", f.Code)
	add(f.RetryAfter > 0, "retry-after", f.RetryAfter)
	add(f.Date, "form", "date")
	add(f.Bytes > 0, "bytes", f.Bytes)
	add(f.Window > 0, "window", f.Window)
	text := string(f.Kind) + ":" + target
	if len(keys) > 0 {
		text += ":" + strings.Join(keys, ",")
	}
	return text
}

// delivers reports whether the fault is about deliveries.
func (f *Fault) delivers() bool { return slices.Contains(deliveryKinds, f.Kind) }

// matches reports whether the fault is about a call: its path below the project, and whole.
func (f *Fault) matches(method, below, whole string) bool {
	if f.Method != "" && f.Method != method {
		return false
	}
	path := below
	if strings.HasPrefix(f.Path, "/v1/") {
		path = whole
	}
	return f.Path == "" || pathMatches(f.Path, path)
}

// pathMatches compares by segment: {…} is any one, a * any one, at the end one or more.
func pathMatches(pattern, path string) bool {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, segment := range want {
		last := i == len(want)-1
		switch {
		case i >= len(have):
			return false
		case segment == "*" && last:
			return have[i] != "" || len(have) > i+1
		case segment == "*" || strings.HasPrefix(segment, "{"):
			if have[i] == "" {
				return false
			}
		case segment != have[i]:
			return false
		}
	}
	return len(want) == len(have)
}
