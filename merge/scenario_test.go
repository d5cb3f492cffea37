package merge_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/merge"
)

// A scenario is a title at the margin, then indented what is known of a device, =>, and what comes of it.
// The words before => are: base, base.remote (where it differs), local, remote (a JSON object each; its keys are
// what is known), direction, strategy, force, fields, hold PATH frozen|by_hand, written PATH VALUE, drift PATH FINGERPRINT,
// edited PATH TIME, unchanged TIME, updated TIME, read TIME, skew DURATION.
// After it: local and remote edits, conflict, settled, drift, unknown, and base when it moved.
type scenario struct {
	title  string
	line   int
	sides  merge.Sides
	policy merge.Policy
	want   []string
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, sc := range parseScenarios(t, file, string(text)) {
			t.Run(sc.title, func(t *testing.T) {
				got := strings.Join(render(t, merge.Device(sc.sides, sc.policy)), "\n")
				if want := strings.Join(sc.want, "\n"); got != want {
					t.Errorf("%s:%d\ngot\n%s\nwant\n%s", file, sc.line, got, want)
				}
			})
		}
	}
}

func parseScenarios(t *testing.T, file, text string) []*scenario {
	t.Helper()
	var all []*scenario
	var now *scenario
	after, pair := false, false
	for i, line := range strings.Split(text, "\n") {
		where := fmt.Sprintf("%s:%d", file, i+1)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
		case line[0] != ' ':
			now = &scenario{title: line, line: i + 1}
			now.policy = merge.Policy{Fields: tandem.SharedFields, Direction: tandem.Bidirectional}
			all, after, pair = append(all, now), false, false
		case words[0] == "=>":
			after = true
		case after:
			now.want = append(now.want, strings.Join(words, " "))
		default:
			rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), words[0]))
			if words[0] == "base.remote" {
				pair = true
			}
			now.read(t, where, words, rest)
			if words[0] == "base" && !pair {
				now.sides.Base.Remote = now.sides.Base.Local
			}
		}
	}
	return all
}

func (sc *scenario) read(t *testing.T, where string, words []string, rest string) {
	t.Helper()
	s, p := &sc.sides, &sc.policy
	switch words[0] {
	case "base":
		s.Base.Local = shared(t, where, rest)
	case "base.remote":
		s.Base.Remote = shared(t, where, rest)
	case "local":
		s.Local = shared(t, where, rest)
	case "remote":
		s.Remote = shared(t, where, rest)
	case "direction":
		p.Direction = tandem.Direction(rest)
	case "strategy":
		p.Strategy = always(tandem.Strategy(rest))
	case "force":
		p.Force = true
	case "fields":
		p.Fields = tandem.NoFields
		for _, name := range words[1:] {
			f, err := tandem.ParseField(name)
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			p.Fields = p.Fields.With(f)
		}
	case "hold":
		if s.Hold == nil {
			s.Hold = map[tandem.Path]merge.Hold{}
		}
		s.Hold[tandem.Path(strings.Trim(words[1], `"`))] = map[string]merge.Hold{"frozen": merge.Frozen, "by_hand": merge.ByHand}[words[2]]
	case "written":
		if s.WrittenOver == nil {
			s.WrittenOver = map[tandem.Path]any{}
		}
		s.WrittenOver[tandem.Path(words[1])] = decode(t, strings.Join(words[2:], " "))
	case "drift":
		s.Drift = map[tandem.Path]string{tandem.Path(words[1]): merge.Fingerprint(decode(t, words[2]), decode(t, words[3]))}
	case "edited":
		s.LocalEdited = tandem.EditTimes{tandem.Path(words[1]): clock(t, words[2])}
	case "unchanged":
		s.RemoteUnchangedAt = clock(t, rest)
	case "updated":
		s.RemoteUpdatedAt = clock(t, rest)
	case "read":
		s.ReadAt = clock(t, rest)
	case "skew":
		d, err := time.ParseDuration(rest)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		s.Skew = d
	default:
		t.Fatalf("%s: unknown word %q", where, words[0])
	}
}

// clock reads an hour and minute of one day.
func clock(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(2026, 3, 1, at.Hour(), at.Minute(), 0, 0, time.UTC)
}

func always(s tandem.Strategy) func(tandem.Field) tandem.Strategy {
	return func(tandem.Field) tandem.Strategy { return s }
}

// shared reads a side; the keys are the fields it knows.
func shared(t *testing.T, where, text string) tandem.Shared {
	t.Helper()
	var side tandem.Shared
	if err := unmarshal(text, &side); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	keys, ok := decode(t, text).(tandem.Map)
	if !ok {
		t.Fatalf("%s: not an object", where)
	}
	for k := range keys {
		f, err := tandem.ParseField(k)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		side.Known = side.Known.With(f)
	}
	return side
}

// render says a result in the words of a scenario.
func render(t *testing.T, r merge.Result) []string {
	t.Helper()
	var lines []string
	add := func(format string, args ...any) {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
	}
	for _, e := range r.Local {
		add("local %s %s -> %s", e.Path, text(t, e.Before), text(t, e.After))
	}
	for _, e := range r.Remote {
		add("remote %s %s -> %s", e.Path, text(t, e.Before), text(t, e.After))
	}
	for _, c := range r.Conflicts {
		what := fmt.Sprintf("%s base %s local %s remote %s", c.Type, text(t, c.Base), text(t, c.Local), text(t, c.Remote))
		if c.Settled == "" {
			add("conflict %s %s", c.Path, what)
		} else {
			add("settled %s %s by %s value %s", c.Path, what, c.Settled, text(t, c.Value))
		}
	}
	for _, d := range r.Drift {
		known := ""
		if d.Known {
			known = "known"
		}
		add("drift %s local %s remote %s %s", d.Path, text(t, d.Local), text(t, d.Remote), known)
	}
	for _, p := range r.Unknown {
		add("unknown %s", p)
	}
	if r.BaseMoved {
		add("base %s", knownText(t, r.Base.Local))
		if l, m := knownText(t, r.Base.Local), knownText(t, r.Base.Remote); l != m {
			add("base.remote %s", m)
		}
	}
	return lines
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// knownText gives the fields a side knows, in their order.
func knownText(t *testing.T, side tandem.Shared) string {
	t.Helper()
	var parts []string
	for _, name := range side.Known.Names() {
		v, _ := merge.Value(side, tandem.Path(name))
		if m, ok := v.(tandem.Map); name == "metadata" && (!ok || m == nil) {
			v = tandem.Map{}
		}
		parts = append(parts, fmt.Sprintf("%q:%s", name, text(t, v)))
	}
	return "{" + strings.Join(parts, ",") + "}"
}
