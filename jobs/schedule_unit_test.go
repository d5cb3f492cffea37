package jobs

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem"
	"tandem/syncer"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *time.Time {
	t := noon.Add(d)
	return &t
}

// TestScheduleDecides: whether a service's run begins now, and when it is looked at again.
func TestScheduleDecides(t *testing.T) {
	for name, c := range map[string]struct {
		service tandem.Service
		chance  float64
		start   bool
		after   time.Duration
	}{
		"in the middle of the jitter":      {tandem.Service{SyncInterval: 300}, 0.5, true, 5 * time.Minute},
		"a tenth early at most":            {tandem.Service{SyncInterval: 300}, 0, true, 270 * time.Second},
		"a tenth late at most":             {tandem.Service{SyncInterval: 300}, 1, true, 330 * time.Second},
		"never more often than a minute":   {tandem.Service{SyncInterval: 1}, 0.5, true, time.Minute},
		"doubled by each failure":          {tandem.Service{SyncInterval: 300, SyncFailures: 2}, 0.5, true, 20 * time.Minute},
		"an hour at most":                  {tandem.Service{SyncInterval: 300, SyncFailures: 30}, 0.5, true, time.Hour},
		"a longer interval stays":          {tandem.Service{SyncInterval: 7200, SyncFailures: 3}, 0.5, true, 2 * time.Hour},
		"a very long one does not wrap":    {tandem.Service{SyncInterval: 1 << 30, SyncFailures: 1000}, 0.5, true, (1 << 30) * time.Second},
		"degraded until it may be asked":   {tandem.Service{SyncInterval: 300, State: tandem.ServiceDegraded, RetryAt: at(7 * time.Minute)}, 0.5, false, 7 * time.Minute},
		"degraded, and it may be asked":    {tandem.Service{SyncInterval: 300, State: tandem.ServiceDegraded, RetryAt: at(-time.Second)}, 0.5, true, 5 * time.Minute},
		"another project behind it":        {tandem.Service{SyncInterval: 300, State: tandem.ServiceDegraded}, 0.5, false, recheck},
		"the key is refused":               {tandem.Service{SyncInterval: 300, State: tandem.ServiceRejected}, 0.5, false, recheck},
		"the stored key cannot be opened":  {tandem.Service{SyncInterval: 300, State: tandem.ServiceLocked}, 0.5, false, recheck},
		"failures do not stop it for ever": {tandem.Service{SyncInterval: 60, SyncFailures: 1, State: tandem.ServiceOK}, 0.5, true, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			got := decide(&c.service, noon, c.chance)
			if got.start != c.start || got.at.Sub(noon) != c.after || got.start != (got.why == "") {
				t.Errorf("start %v after %v (%q), want %v after %v", got.start, got.at.Sub(noon), got.why, c.start, c.after)
			}
		})
	}
}

// TestLessonOfARun: what a run's end says about the schedule.
func TestLessonOfARun(t *testing.T) {
	ok := tandem.Service{ID: "s", SyncEnabled: true, SyncInterval: 300, LastRunID: "r"}
	with := func(change func(*tandem.Service)) tandem.Service {
		s := ok
		change(&s)
		return s
	}
	failed := tandem.Run{ID: "r", Trigger: tandem.BySchedule, Status: tandem.RunFailed}
	for name, c := range map[string]struct {
		service  tandem.Service
		run      tandem.Run
		ok       bool
		failures int
		after    time.Duration // 0 where the next time stays
	}{
		"it failed":                     {ok, failed, true, 1, 10 * time.Minute},
		"it failed again":               {with(func(s *tandem.Service) { s.SyncFailures = 1 }), failed, true, 2, 20 * time.Minute},
		"the service says when":         {with(func(s *tandem.Service) { s.State, s.RetryAt = tandem.ServiceDegraded, at(30*time.Minute) }), failed, true, 1, 30 * time.Minute},
		"the service would be earlier":  {with(func(s *tandem.Service) { s.State, s.RetryAt = tandem.ServiceDegraded, at(time.Minute) }), failed, true, 1, 10 * time.Minute},
		"a person's run failed":         {ok, tandem.Run{ID: "r", Trigger: tandem.ByHand, Status: tandem.RunFailed}, false, 0, 0},
		"it went well":                  {ok, tandem.Run{ID: "r", Trigger: tandem.BySchedule, Status: tandem.RunCompleted}, false, 0, 0},
		"it went well after failures":   {with(func(s *tandem.Service) { s.SyncFailures = 4 }), tandem.Run{ID: "r", Trigger: tandem.BySchedule, Status: tandem.RunPartial}, true, 0, 5 * time.Minute},
		"it was let by a person":        {with(func(s *tandem.Service) { s.SyncInterval, s.NextSyncAt = 60, at(recheck) }), tandem.Run{ID: "r", Trigger: tandem.ByHand, Status: tandem.RunCompleted}, true, 0, time.Minute},
		"the next run is near already":  {with(func(s *tandem.Service) { s.NextSyncAt = at(time.Minute) }), tandem.Run{ID: "r", Trigger: tandem.ByHand, Status: tandem.RunCompleted}, false, 0, 0},
		"a person's run went well":      {with(func(s *tandem.Service) { s.SyncFailures = 4 }), tandem.Run{ID: "r", Trigger: tandem.ByHand, Status: tandem.RunCompleted}, true, 0, 5 * time.Minute},
		"another run has ended since":   {with(func(s *tandem.Service) { s.LastRunID = "later" }), failed, false, 0, 0},
		"the service was paused":        {with(func(s *tandem.Service) { s.SyncEnabled = false }), failed, false, 0, 0},
		"it was stopped in the middle":  {ok, tandem.Run{ID: "r", Trigger: tandem.BySchedule, Status: tandem.RunInterrupted}, false, 0, 0},
		"it was held back by a guard":   {ok, tandem.Run{ID: "r", Trigger: tandem.BySchedule, Status: tandem.RunBlocked}, false, 0, 0},
		"a person stopped it by cancel": {ok, tandem.Run{ID: "r", Trigger: tandem.BySchedule, Status: tandem.RunCanceled}, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			mark, got := lesson(&c.service, &c.run, noon, 0.5)
			if got != c.ok {
				t.Fatalf("something to note: %v, want %v", got, c.ok)
			}
			if !got {
				return
			}
			if *mark.SyncFailures != c.failures {
				t.Errorf("%d failures, want %d", *mark.SyncFailures, c.failures)
			}
			var after time.Duration
			if mark.NextSyncAt != nil {
				after = (*mark.NextSyncAt).Sub(noon)
			}
			if after != c.after {
				t.Errorf("next after %v, want %v", after, c.after)
			}
		})
	}
}

// TestWholeRuns: which runs keep the schedule from beginning another.
func TestWholeRuns(t *testing.T) {
	for name, c := range map[string]struct {
		run  tandem.Run
		want bool
	}{
		"going on":                         {tandem.Run{Status: tandem.RunRunning, Details: []byte(`{}`)}, true},
		"queued for any process":           {tandem.Run{Status: tandem.RunQueued, Details: []byte(`{"offered":true,"waiting_until":"2026-03-02T12:00:00Z"}`)}, true},
		"waiting in its process":           {tandem.Run{Status: tandem.RunQueued, Details: []byte(`{"waiting_until":"2026-03-01T12:00:05Z"}`)}, true},
		"its process died while it waited": {tandem.Run{Status: tandem.RunQueued, Details: []byte(`{"waiting_until":"2026-03-01T11:59:00Z"}`)}, false},
		"about one device":                 {tandem.Run{Status: tandem.RunRunning, DeviceID: "d", Details: []byte(`{"device_ids":["d"]}`)}, false},
		"about some devices":               {tandem.Run{Status: tandem.RunQueued, Details: []byte(`{"device_ids":["d","e"],"offered":true,"waiting_until":"2026-03-02T12:00:00Z"}`)}, false},
		"something that a person does":     {tandem.Run{Status: tandem.RunRunning, Details: []byte(`{"waiting_until":"2026-03-01T13:00:00Z"}`)}, false},
	} {
		if got := whole(&c.run, noon); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestPushesAreSorted: which go into runs, which wait, and which need none.
func TestPushesAreSorted(t *testing.T) {
	ok := tandem.Service{ID: "s", IsActive: true, SyncEnabled: true, State: tandem.ServiceOK, Config: tandem.DefaultServiceConfig()}
	ok.ApprovedConfig = syncer.Fingerprint(&ok.Config)
	with := func(change func(*tandem.Service)) tandem.Service {
		s := ok
		change(&s)
		return s
	}
	edit := func(device, by string) tandem.Push {
		return tandem.Push{DeviceID: device, Trigger: tandem.ByEdit, By: by}
	}
	hint := tandem.Push{ExternalDeviceID: "x", Trigger: tandem.ByWebhook}
	known := tandem.Push{DeviceID: "k", Trigger: tandem.ByWebhook}
	for name, c := range map[string]struct {
		service tandem.Service
		due     []tandem.Push
		runs    []tandem.RunRequest
		dropped int
		until   time.Time
	}{
		"edits together": {ok, []tandem.Push{edit("a", "ada@example.com"), edit("b", "ada@example.com")},
			[]tandem.RunRequest{{ServiceID: "s", Trigger: tandem.ByEdit, DeviceIDs: []string{"a", "b"}, CreatedBy: "ada@example.com"}}, 0, time.Time{}},
		"edits of several people": {ok, []tandem.Push{edit("a", "ada@example.com"), edit("b", "bob@example.com")},
			[]tandem.RunRequest{{ServiceID: "s", Trigger: tandem.ByEdit, DeviceIDs: []string{"a", "b"}}}, 0, time.Time{}},
		"hints by either id": {ok, []tandem.Push{hint, known, edit("a", "ada@example.com")}, []tandem.RunRequest{
			{ServiceID: "s", Trigger: tandem.ByEdit, DeviceIDs: []string{"a"}, CreatedBy: "ada@example.com"},
			{ServiceID: "s", Trigger: tandem.ByWebhook, DeviceIDs: []string{"k"}, ExternalIDs: []string{"x"}}}, 0, time.Time{}},
		"no automatic sync": {with(func(s *tandem.Service) { s.SyncEnabled = false }), []tandem.Push{edit("a", ""), hint},
			[]tandem.RunRequest{{ServiceID: "s", Trigger: tandem.ByWebhook, ExternalIDs: []string{"x"}}}, 1, time.Time{}},
		"disabled":          {with(func(s *tandem.Service) { s.IsActive = false }), []tandem.Push{edit("a", ""), hint}, nil, 2, time.Time{}},
		"the key is wrong":  {with(func(s *tandem.Service) { s.State = tandem.ServiceRejected }), []tandem.Push{edit("a", ""), hint}, nil, 2, time.Time{}},
		"settings not seen": {with(func(s *tandem.Service) { s.ApprovedConfig = "" }), []tandem.Push{edit("a", ""), hint}, nil, 2, time.Time{}},
		"degraded": {with(func(s *tandem.Service) { s.State, s.RetryAt = tandem.ServiceDegraded, at(time.Minute) }), []tandem.Push{edit("a", "")},
			nil, 0, noon.Add(time.Minute)},
		"degraded, tried again": {with(func(s *tandem.Service) { s.State, s.RetryAt = tandem.ServiceDegraded, at(0) }), []tandem.Push{edit("a", "")},
			[]tandem.RunRequest{{ServiceID: "s", Trigger: tandem.ByEdit, DeviceIDs: []string{"a"}}}, 0, time.Time{}},
		"another project": {with(func(s *tandem.Service) { s.State = tandem.ServiceDegraded }), []tandem.Push{edit("a", "")}, nil, 1, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, until := sortPushes(&c.service, c.due, noon)
			var requests []tandem.RunRequest
			answered := len(got.drop)
			for _, r := range got.runs {
				requests = append(requests, r.request)
				answered += len(r.of)
			}
			if d := cmp.Diff(c.runs, requests); d != "" {
				t.Errorf("runs (- want, + got):\n%s", d)
			}
			if len(got.drop) != c.dropped || !until.Equal(c.until) {
				t.Errorf("%d dropped, until %v; want %d, until %v", len(got.drop), until, c.dropped, c.until)
			}
			if c.until.IsZero() && answered != len(c.due) {
				t.Errorf("%d of %d pushes are answered", answered, len(c.due))
			}
		})
	}
}
