package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
)

// cause is one reason for failures, with the devices that it met.
type cause struct {
	code    tandem.Code
	text    string
	hint    string // what to do
	names   []string
	devices int
}

// hints say what to do about a failure that does not say it itself. Only codes that mean one thing wherever
// they come from have one.
var hints = map[tandem.Code]string{
	tandem.Unauthorized: "check the API key: tandem service test",
	tandem.Forbidden:    "the API key does not allow this; check its permissions in the Golioth console",
	tandem.RateLimited:  "lower the budget: tandem service update --requests-per-minute N; then sync again",
	tandem.Unavailable:  "the service had trouble; sync again later",
	tandem.Timeout:      "sync again; what was sent and not confirmed is looked up first",
}

// showFailures groups a run's failed and moved entries by cause.
func (s *desk) showFailures(ctx context.Context, org tandem.Organization, run *tandem.Run) error {
	var causes []*cause
	for _, outcome := range []tandem.EntryOutcome{tandem.OutcomeFailed, tandem.OutcomeMoved} {
		err := s.eachEntry(ctx, org, tandem.EntryFilter{RunID: run.ID, Outcome: outcome}, func(e *tandem.Entry) bool {
			name := e.DeviceName
			if name == "" {
				name = e.ExternalDeviceID
			}
			why := e.Error
			for _, thing := range []string{e.DeviceName, e.ExternalDeviceID, e.DeviceID} {
				why = strings.TrimPrefix(why, thing+": ")
			}
			if e.Outcome == tandem.OutcomeMoved && why == "" {
				why = "the device kept changing while it was merged"
			}
			why, hint, own := strings.Cut(why, "; ") // an error's text ends with what to do
			if !own {
				hint = hints[e.Code]
			}
			i := slices.IndexFunc(causes, func(c *cause) bool { return c.code == e.Code && c.text == why && c.hint == hint })
			if i < 0 {
				if len(causes) >= 100 {
					return false
				}
				i, causes = len(causes), append(causes, &cause{code: e.Code, text: why, hint: hint})
			}
			causes[i].devices++
			if len(causes[i].names) < 5 || s.flags.Verbose {
				causes[i].names = append(causes[i].names, name)
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	if len(causes) == 0 {
		return nil
	}
	slices.SortStableFunc(causes, func(a, b *cause) int { return b.devices - a.devices })
	s.out.printf("\n%s\n", s.out.bold("what failed, by cause"))
	for _, c := range causes {
		s.out.printf("  %s × %s\n", s.out.paint(text.FgRed, number(c.devices)), dash(c.text))
		names := list(c.names)
		if rest := c.devices - len(c.names); rest > 0 {
			names += fmt.Sprintf(" and %s more", number(rest))
		}
		s.out.printf("    %s\n", names)
		if c.hint != "" {
			s.out.printf("    → %s\n", clean(c.hint))
		}
	}
	return nil
}

// eachEntry walks entries page by page until fn has enough.
func (s *desk) eachEntry(ctx context.Context, org tandem.Organization, filter tandem.EntryFilter, fn func(*tandem.Entry) bool) error {
	for filter.Page = (tandem.Page{Number: 1, Limit: 1000}); ; filter.Page.Number++ {
		entries, _, err := s.Entries(ctx, org.ID, filter)
		if err != nil {
			return err
		}
		for i := range entries {
			if !fn(&entries[i]) {
				return nil
			}
		}
		if len(entries) < filter.Page.Limit {
			return nil
		}
	}
}
