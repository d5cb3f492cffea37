package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// world is a database with one organization and one service, and a clock that stands still. The clock is an hour
// behind the database's, so that what it calls later is due there at once.
type world struct {
	*store.Store
	org     string
	service tandem.Service
	mu      sync.Mutex
	time    time.Time
	counted map[string]int
}

func (w *world) count(outcome string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted[outcome] += n
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) *store.Store{
		"sqlite": func(t *testing.T) *store.Store { return sqlitetest.Open(t) },
		"postgres": func(t *testing.T) *store.Store {
			s, err := postgres.Open(context.Background(), pgtest.Copy(t, "alert", func(ctx context.Context, url string) error {
				s, err := postgres.Open(ctx, url, store.Options{AutoMigrate: true})
				if err != nil {
					return err
				}
				return s.Close()
			}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{Store: open(t), org: newID(), counted: map[string]int{}, time: time.Now().UTC().Add(-time.Hour).Truncate(time.Second)}
			if err := w.CreateOrganization(t.Context(), tandem.Organization{ID: w.org, Name: "Acme", Slug: "acme", CreatedAt: w.time, UpdatedAt: w.time}); err != nil {
				t.Fatal(err)
			}
			w.service = tandem.Service{ID: newID(), OrganizationID: w.org, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig(),
				State: tandem.ServiceOK, CreatedAt: w.time, UpdatedAt: w.time}
			if err := w.CreateService(t.Context(), w.org, w.service); err != nil {
				t.Fatal(err)
			}
			test(t, w)
		})
	}
}

// channel adds a webhook channel and gives it.
func (w *world) channel(t *testing.T, name, address string, set func(c *tandem.Channel)) tandem.Channel {
	t.Helper()
	c := tandem.Channel{ID: newID(), OrganizationID: w.org, Name: name, Type: tandem.WebhookChannel, Config: json.RawMessage(`{"url":"` + address + `"}`),
		IsActive: true, CreatedAt: w.time, UpdatedAt: w.time}
	if set != nil {
		set(&c)
	}
	if err := w.Store.Apply(t.Context(), w.org, &tandem.Changes{PutChannels: []tandem.Channel{c}}); err != nil {
		t.Fatal(err)
	}
	return c
}

// judge applies what a run means.
func (w *world) judge(t *testing.T, status tandem.RunStatus, pending int) {
	t.Helper()
	w.apply(t, OfRun(tandem.Run{ID: newID(), Status: status, Error: "it would not"}, w.service, pending))
}

func (w *world) apply(t *testing.T, verdicts []Verdict) {
	t.Helper()
	if err := Apply(t.Context(), w, w.org, verdicts, w.now(), newID); err != nil {
		t.Fatal(err)
	}
}

// alerts spells the alerts, oldest kind first.
func (w *world) alerts(t *testing.T, filter tandem.AlertFilter) []string {
	t.Helper()
	found, _, err := w.Alerts(t.Context(), w.org, filter)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, a := range found {
		texts = append(texts, fmt.Sprintf("%s %s %d", a.Kind, a.Status, a.Count))
	}
	slices.Sort(texts)
	return texts
}

// notifications spells a channel's notifications, by their reasons.
func (w *world) notifications(t *testing.T, c tandem.Channel) []string {
	t.Helper()
	found, _, err := w.Notifications(t.Context(), w.org, c.ID, tandem.Page{})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, n := range found {
		state := "waits"
		switch {
		case n.SentAt != nil:
			state = "sent"
		case n.DeadAt != nil:
			state = "dead"
		}
		texts = append(texts, n.Reason+" "+state)
	}
	slices.Sort(texts)
	return texts
}

// notifier makes one that is process name.
func (w *world) notifier(t *testing.T, name string) *Notifier {
	t.Helper()
	n := New(Options{Store: w, Clock: w.now, Policy: here, Holder: name, PublicURL: "https://tandem.example.com", Meter: w.count,
		Open: func(*tandem.Channel) ([]byte, error) { return []byte(signingSecret), nil }})
	t.Cleanup(n.Close)
	return n
}

func (w *world) send(t *testing.T, n *Notifier, want int) {
	t.Helper()
	if sent, err := n.Send(t.Context()); err != nil || sent != want {
		t.Fatalf("sent %d, want %d: %v", sent, want, err)
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%v, want\n%v", what, got, want)
	}
}

func TestAnAlertIsOneRowWhileItLasts(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.channel(t, "all", "http://127.0.0.1:1", nil)
		w.channel(t, "off", "http://127.0.0.1:1", func(c *tandem.Channel) { c.IsActive = false })
		w.judge(t, tandem.RunCompleted, 0)
		same(t, "nothing to say", w.alerts(t, tandem.AlertFilter{All: true}), nil)
		for range 3 {
			w.judge(t, tandem.RunFailed, 2)
		}
		same(t, "it goes on", w.alerts(t, tandem.AlertFilter{}), []string{"conflicts raised 3", "run_failed raised 3"})
		same(t, "what is told", w.notifications(t, c), []string{"again waits", "again waits", "raised waits", "raised waits"})
		w.judge(t, tandem.RunCompleted, 2)
		same(t, "half of it passed", w.alerts(t, tandem.AlertFilter{All: true}), []string{"conflicts raised 4", "run_failed resolved 3"})
		w.judge(t, tandem.RunFailed, 0)
		same(t, "another failure is another alert", w.alerts(t, tandem.AlertFilter{All: true}),
			[]string{"conflicts resolved 4", "run_failed raised 1", "run_failed resolved 3"})
		w.apply(t, OfRemoved(w.service))
		same(t, "the service is gone", w.alerts(t, tandem.AlertFilter{}), nil)
	})
}

func TestTwoWhoRaiseAtOnceRaiseOne(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if err := Apply(t.Context(), w, w.org, OfDeadLetters(w.service, 1), w.now(), newID); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		same(t, "alerts", w.alerts(t, tandem.AlertFilter{All: true}), []string{"dead_letters raised 4"})
	})
}

func TestWhatNobodyAcknowledgesEscalates(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		usual := w.channel(t, "usual", "http://127.0.0.1:1", nil)
		boss := w.channel(t, "boss", "http://127.0.0.1:1", func(c *tandem.Channel) { c.EscalationOnly = true })
		w.judge(t, tandem.RunFailed, 1)
		escalate := func(want int) {
			t.Helper()
			if n, err := Escalate(t.Context(), w, w.now(), newID); err != nil || n != want {
				t.Fatalf("escalated %d, want %d: %v", n, want, err)
			}
		}
		found, _, err := w.Alerts(t.Context(), w.org, tandem.AlertFilter{Kind: tandem.AlertConflicts})
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		found[0].Status, found[0].AcknowledgedBy, found[0].AcknowledgedAt = tandem.AlertAcknowledged, "u1", &w.time
		if err := w.Store.Apply(t.Context(), w.org, &tandem.Changes{PutAlerts: found}); err != nil {
			t.Fatal(err)
		}
		w.wait(29 * time.Minute)
		escalate(0)
		w.wait(time.Minute)
		escalate(1)
		escalate(0)
		same(t, "the boss hears", w.notifications(t, boss), []string{"escalated waits"})
		same(t, "the others hear", w.notifications(t, usual), []string{"escalated waits", "raised waits", "raised waits"})
		w.judge(t, tandem.RunCompleted, 1)
		same(t, "the boss hears that it is over", w.notifications(t, boss), []string{"escalated waits", "resolved waits"})

		org, err := w.Organization(t.Context(), w.org)
		if err != nil {
			t.Fatal(err)
		}
		for minutes, want := range map[any]int{5: 1, 0: 0} {
			org.Settings = map[string]any{tandem.EscalateSetting: minutes}
			if err := w.UpdateOrganization(t.Context(), org); err != nil {
				t.Fatal(err)
			}
			org.Version++
			w.apply(t, OfDeadLetters(w.service, 1))
			w.wait(6 * time.Minute)
			escalate(want)
			w.apply(t, OfDeadLetters(w.service, 0))
		}
	})
}

func TestEscalationTimes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		set  any
		want time.Duration
	}{
		{nil, DefaultEscalation}, {"x", DefaultEscalation}, {-1.0, DefaultEscalation}, {1e9, DefaultEscalation}, {0.0, 0}, {0, 0}, {json.Number("45"), 45 * time.Minute}, {0.1, time.Minute},
	} {
		if got := EscalateAfter(tandem.Organization{Settings: map[string]any{tandem.EscalateSetting: test.set}}); got != test.want {
			t.Errorf("%v: %v", test.set, got)
		}
	}
	if got := EscalateAfter(tandem.Organization{}); got != DefaultEscalation {
		t.Errorf("nothing set: %v", got)
	}
}

func TestAThrottledChannelHearsOneSummary(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		h := newHook(t)
		n := w.notifier(t, "one")
		c := w.channel(t, "all", h.URL, func(c *tandem.Channel) { c.ThrottleS = 600 })
		w.judge(t, tandem.RunFailed, 0)
		w.send(t, n, 1)
		w.wait(time.Minute)
		w.apply(t, OfDeadLetters(w.service, 3))
		w.send(t, n, 0)
		w.wait(time.Minute)
		w.judge(t, tandem.RunBlocked, 4)
		w.send(t, n, 0)
		same(t, "meanwhile", w.notifications(t, c), []string{"raised sent", "raised waits", "raised waits", "raised waits"})
		w.wait(7 * time.Minute)
		w.send(t, n, 0)
		w.wait(time.Minute)
		w.send(t, n, 3)
		same(t, "in the end", w.notifications(t, c), []string{"raised sent", "raised sent", "raised sent", "raised sent"})
		bodies := h.all()
		if len(bodies) != 2 {
			t.Fatalf("%d messages", len(bodies))
		}
		var e event
		if err := json.Unmarshal([]byte(bodies[1]), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != "alerts.summary" || e.Data.Count != 3 || len(e.Data.By) != 3 || e.Data.By[0].Service != "prod" || e.Data.Organization != "Acme" {
			t.Errorf("the summary: %s", bodies[1])
		}
		if strings.Contains(strings.Join(bodies, ""), "MDEyMzQ1") {
			t.Error("a message holds the signing secret")
		}
	})
}

func TestWhatCannotBeSentIsTriedAgainAndThenGivenUp(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		h := newHook(t)
		h.answer(http.StatusServiceUnavailable, "")
		n := w.notifier(t, "one")
		c := w.channel(t, "all", h.URL, func(c *tandem.Channel) { c.ThrottleS = 60 })
		w.apply(t, OfDeadLetters(w.service, 1))
		var last tandem.Notification
		for attempt := 1; attempt <= len(pauses)+1; attempt++ {
			w.send(t, n, 0)
			found, _, err := w.Notifications(t.Context(), w.org, c.ID, tandem.Page{})
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			last = found[0]
			if last.Attempts != attempt {
				t.Fatalf("%d attempts, want %d", last.Attempts, attempt)
			}
			if attempt <= len(pauses) {
				// The receiver said two hours.
				if want := w.now().Add(max(pauses[attempt-1], 2*time.Hour)); !last.NextAt.Equal(want) {
					t.Errorf("attempt %d: next at %v, want %v", attempt, last.NextAt, want)
				}
				last.NextAt = w.now() // due again without waiting
				if err := w.Store.Apply(t.Context(), w.org, &tandem.Changes{PutNotifications: []tandem.Notification{last}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if last.DeadAt == nil || !strings.Contains(last.Error, "503") {
			t.Errorf("not given up: %+v", last)
		}
		if stored, err := w.Channel(t.Context(), w.org, c.ID); err != nil || !strings.Contains(stored.LastError, "503") || stored.LastSentAt != nil {
			t.Errorf("the channel: %+v %v", stored, err)
		}
		h.answer(http.StatusOK, "")
		w.send(t, n, 0)
		w.apply(t, OfDeadLetters(w.service, 0))
		w.send(t, n, 1)
		if stored, err := w.Channel(t.Context(), w.org, c.ID); err != nil || stored.LastError != "" || stored.LastSentAt == nil {
			t.Errorf("the channel, well again: %+v %v", stored, err)
		}
		same(t, "notifications", w.notifications(t, c), []string{"raised dead", "resolved sent"})
		same(t, "what is counted", []string{fmt.Sprint(w.counted)}, []string{fmt.Sprint(map[string]int{"failed": len(pauses), "given_up": 1, "sent": 1})})
	})
}

func TestATestCallIsMadeAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		h := newHook(t)
		n := w.notifier(t, "one")
		c := w.channel(t, "all", h.URL, func(c *tandem.Channel) { c.ThrottleS, c.IsActive = 3600, false })
		for range 2 {
			if err := n.Test(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		var e event
		if bodies := h.all(); len(bodies) != 2 || json.Unmarshal([]byte(bodies[0]), &e) != nil || e.Type != "alert.test" || e.Data.URL != "" {
			t.Errorf("messages %v", bodies)
		}
		h.answer(http.StatusForbidden, "")
		err := n.Test(t.Context(), c)
		if !tandem.Is(err, tandem.Unavailable) || !strings.Contains(err.Error(), "403") {
			t.Errorf("refused: %v", err)
		}
		if stored, err := w.Channel(t.Context(), w.org, c.ID); err != nil || !strings.Contains(stored.LastError, "403") || stored.LastSentAt != nil {
			t.Errorf("the channel: %+v %v", stored, err)
		}
		unstored := c
		unstored.ID = newID()
		if err := n.Test(t.Context(), unstored); !tandem.Is(err, tandem.Unavailable) {
			t.Errorf("a channel that is not stored yet: %v", err)
		}
	})
}

func TestChannelsThatGoOrAreSwitchedOffHearNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		h := newHook(t)
		n := w.notifier(t, "one")
		off, gone := w.channel(t, "off", h.URL, nil), w.channel(t, "gone", h.URL, nil)
		w.apply(t, OfDeadLetters(w.service, 1))
		stored, err := w.Channel(t.Context(), w.org, off.ID)
		if err != nil {
			t.Fatal(err)
		}
		stored.IsActive = false
		if err := w.Store.Apply(t.Context(), w.org, &tandem.Changes{PutChannels: []tandem.Channel{stored}, DropChannels: []tandem.Versioned{{ID: gone.ID}}}); err != nil {
			t.Fatal(err)
		}
		w.send(t, n, 0)
		same(t, "the one that is off", w.notifications(t, off), []string{"raised dead"})
		if bodies := h.all(); len(bodies) != 0 {
			t.Errorf("messages %v", bodies)
		}
	})
}

func TestSeveralProcessesSendEachOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		h := newHook(t)
		for i := range 30 {
			w.channel(t, fmt.Sprint("channel ", i), h.URL, nil)
		}
		w.apply(t, OfDeadLetters(w.service, 1))
		total := make(chan int, 3)
		var group sync.WaitGroup
		for i := range 3 {
			n := w.notifier(t, fmt.Sprint("process ", i))
			group.Go(func() {
				sent, err := n.Send(t.Context())
				if err != nil {
					t.Error(err)
				}
				total <- sent
			})
		}
		group.Wait()
		close(total)
		sum := 0
		for n := range total {
			sum += n
		}
		if sum != 30 || len(h.all()) != 30 {
			t.Errorf("%d sent, %d arrived", sum, len(h.all()))
		}
	})
}

// TestASlowChannelIsNotSpokenThroughTwice: a claim is short, so that a killed process's notifications are sent by another
// soon; one that lives keeps it for as long as it sends.
func TestASlowChannelIsNotSpokenThroughTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		arrived, answer := make(chan struct{}, 10), make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			arrived <- struct{}{}
			<-answer
		}))
		t.Cleanup(slow.Close)
		w.channel(t, "ops", slow.URL, nil)
		w.apply(t, OfDeadLetters(w.service, 1))
		one, two := w.notifier(t, "one"), w.notifier(t, "two")
		one.claimLife, one.keepEvery = time.Second, 50*time.Millisecond
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.send(t, one, 1)
		}()
		<-arrived
		look, late := time.NewTicker(100*time.Millisecond), time.After(2500*time.Millisecond)
		defer look.Stop()
		for waiting := true; waiting; {
			select {
			case <-arrived:
				t.Fatal("another process sent it too")
			case <-look.C:
				w.send(t, two, 0)
			case <-late:
				waiting = false
			}
		}
		close(answer)
		<-ended

		// A process that was killed keeps nothing.
		w.wait(time.Minute)
		w.apply(t, OfDeadLetters(w.service, 2))
		if claimed, err := w.ClaimNotifications(t.Context(), "killed", 10, 300*time.Millisecond); err != nil || len(claimed) != 1 {
			t.Fatalf("%d claimed: %v", len(claimed), err)
		}
		for sent := 0; sent == 0; <-look.C {
			var err error
			if sent, err = two.Send(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if longest := claimLife + 2*time.Second; longest > 30*time.Second {
			t.Errorf("a killed process's notifications wait for %v", longest)
		}
	})
}
