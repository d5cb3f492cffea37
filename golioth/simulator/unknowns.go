package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

// Unknowns are the behaviours of the real service that no source settles, each a switch.
// The zero value of each field means its default, which is the first value named.
// A client must work under every combination. Of API.md §18, setting values and RPC timeouts have no switch:
// those endpoints are not served.
type Unknowns struct {
	PutOmitted       string        // put-omitted: clear | keep; what PUT does to device fields left out
	PutEnabled       string        // put-enabled: keep | disable; what PUT does when "enabled" is left out
	StateWrite       string        // state-write: merge | replace; an object written over an object by PUT or POST
	StatePatch       string        // state-patch: merge | replace; the same by PATCH
	Duplicate        string        // duplicate: 409 | 400; a name or hardware id that is taken
	BadID            string        // bad-id: 400 | 404 | 500; an id that is not 24 hex digits
	InUse            string        // in-use: detach | refuse | leave; deleting a tag, blueprint or cohort that devices have
	InUseCode        string        // in-use-code: 400 | 409; the status of such a refusal
	MissingReference string        // missing-reference: 404 | 400; a create or update that names a tag, blueprint or cohort that is not there
	PerPageOver      string        // per-page-over: clamp | 400; perPage above 100
	MissingProject   string        // missing-project: 403 | 404
	RetryAfter       string        // retry-after: seconds | date | none; on 429 for too many requests
	ListingData      string        // listing-data: nested | value | keyed | state | null; "data" when statePath is asked
	TagCharset       string        // tag-charset: strict | loose; lower-case letters, digits and - only, or anything
	ByTag            string        // by-tag: both | id | name; what devicesByTag/{tag} takes
	EmptyPatch       string        // empty-patch: touch | ignore; whether a PATCH that changes nothing moves updatedAt
	PipelinePut      string        // pipeline-put: keep | clear; what PUT does to pipeline fields left out
	PipelineName     string        // pipeline-name: unique | free
	PipelineCheck    string        // pipeline-check: strict | loose; whether YAML that cannot work is refused when it is given
	PipelineSecret   string        // pipeline-secret: late | early; when a secret that is not there is found missing: as a message comes, or as the pipeline is given
	WebhookRetry     string        // webhook-retry: none | failures | always; repeat nothing, what was answered 5xx, 429 or not at all, or all that was no success
	WebhookSuccess   string        // webhook-success: 2xx | 200; what counts as one
	WebhookID        string        // webhook-id: omit | send; Ce-Id and Ce-Specversion
	WebhookTime      string        // webhook-time: send | omit; Ce-Time
	WebhookRoot      string        // webhook-root: /.s | /.s/; how Ce-Type ends for a message on the root path
	WebhookTimeout   time.Duration // webhook-timeout: for a receiver's answer; default 10s
	WebhookBackoff   time.Duration // webhook-backoff: before the first repetition, then twice as long each time; default 500ms
	StreamWindow     time.Duration // stream-window: look-back of a stream query without one; default 4h
	StateDelay       time.Duration // state-delay: how long a written state value still reads as before; default 0
	StreamDelay      time.Duration // stream-delay: how long a new row stays invisible; default 0
}

// choice is one switch of Unknowns: its name, where it is kept and what it may be.
type choice struct {
	name   string
	field  *string
	values []string
}

func (u *Unknowns) choices() []choice {
	return []choice{
		{"put-omitted", &u.PutOmitted, []string{"clear", "keep"}},
		{"put-enabled", &u.PutEnabled, []string{"keep", "disable"}},
		{"state-write", &u.StateWrite, []string{"merge", "replace"}},
		{"state-patch", &u.StatePatch, []string{"merge", "replace"}},
		{"duplicate", &u.Duplicate, []string{"409", "400"}},
		{"bad-id", &u.BadID, []string{"400", "404", "500"}},
		{"in-use", &u.InUse, []string{"detach", "refuse", "leave"}},
		{"in-use-code", &u.InUseCode, []string{"400", "409"}},
		{"missing-reference", &u.MissingReference, []string{"404", "400"}},
		{"per-page-over", &u.PerPageOver, []string{"clamp", "400"}},
		{"missing-project", &u.MissingProject, []string{"403", "404"}},
		{"retry-after", &u.RetryAfter, []string{"seconds", "date", "none"}},
		{"listing-data", &u.ListingData, []string{"nested", "value", "keyed", "state", "null"}},
		{"tag-charset", &u.TagCharset, []string{"strict", "loose"}},
		{"by-tag", &u.ByTag, []string{"both", "id", "name"}},
		{"empty-patch", &u.EmptyPatch, []string{"touch", "ignore"}},
		{"pipeline-put", &u.PipelinePut, []string{"keep", "clear"}},
		{"pipeline-name", &u.PipelineName, []string{"unique", "free"}},
		{"pipeline-check", &u.PipelineCheck, []string{"strict", "loose"}},
		{"pipeline-secret", &u.PipelineSecret, []string{"late", "early"}},
		{"webhook-retry", &u.WebhookRetry, []string{"none", "failures", "always"}},
		{"webhook-success", &u.WebhookSuccess, []string{"2xx", "200"}},
		{"webhook-id", &u.WebhookID, []string{"omit", "send"}},
		{"webhook-time", &u.WebhookTime, []string{"send", "omit"}},
		{"webhook-root", &u.WebhookRoot, []string{"/.s", "/.s/"}},
	}
}

func (u *Unknowns) durations() map[string]*time.Duration {
	return map[string]*time.Duration{
		"stream-window": &u.StreamWindow, "state-delay": &u.StateDelay, "stream-delay": &u.StreamDelay,
		"webhook-timeout": &u.WebhookTimeout, "webhook-backoff": &u.WebhookBackoff,
	}
}

// Set sets one switch from text such as "state-write=replace" or "state-delay=2s".
// Invalid when there is no such switch or value.
func (u *Unknowns) Set(text string) error {
	const op = "simulator: set a switch"
	name, value, _ := strings.Cut(text, "=")
	for _, c := range u.choices() {
		if c.name != name {
			continue
		}
		if !slices.Contains(c.values, value) {
			return tandem.Errorf(tandem.Invalid, op, name, "there is no value %q", value).
				WithHint("use one of %s", strings.Join(c.values, ", "))
		}
		*c.field = value
		return nil
	}
	if field, ok := u.durations()[name]; ok {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return tandem.Errorf(tandem.Invalid, op, name, "%q is not a duration", value).WithHint("write for example 2s")
		}
		*field = d
		return nil
	}
	return tandem.Errorf(tandem.Invalid, op, name, "there is no such switch").WithHint("the switches are %s", strings.Join(UnknownNames(), ", "))
}

// UnknownNames lists the switches with their values, the default first, as Set takes them.
func UnknownNames() []string {
	var u Unknowns
	var names []string
	for _, c := range u.choices() {
		names = append(names, c.name+"="+strings.Join(c.values, "|"))
	}
	return append(names, "stream-window=DURATION", "state-delay=DURATION", "stream-delay=DURATION", "webhook-timeout=DURATION", "webhook-backoff=DURATION")
}

// withDefaults fills what is not set and refuses what is not a value.
func (u Unknowns) withDefaults() (Unknowns, error) {
	for _, c := range u.choices() {
		if *c.field == "" {
			*c.field = c.values[0]
		}
		if err := u.Set(fmt.Sprintf("%s=%s", c.name, *c.field)); err != nil {
			return u, err
		}
	}
	if u.StreamWindow == 0 {
		u.StreamWindow = 4 * time.Hour
	}
	u.WebhookTimeout = cmp.Or(u.WebhookTimeout, 10*time.Second)
	u.WebhookBackoff = cmp.Or(u.WebhookBackoff, 500*time.Millisecond)
	return u, nil
}
