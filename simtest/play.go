package simtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem"
	"tandem/golioth/simulator"
)

// play lives through a seed: rounds of edits, each with a run in which things go wrong, and people who
// settle a conflict now and then.
func (w *world) play(ctx context.Context) error {
	w.story.tell("%s", w.settings.words)
	if w.rng.IntN(3) > 0 {
		if _, err := w.told(ctx, nil, calm...); err != nil {
			return err
		}
	}
	for range w.settings.rounds {
		for range w.rng.IntN(6) {
			act := w.edit
			if w.rng.IntN(3) == 0 {
				act = w.both
			}
			if err := act(ctx); err != nil {
				return err
			}
		}
		if err := w.round(ctx); err != nil {
			return err
		}
		if w.rng.IntN(3) == 0 {
			if err := w.settle(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// round is one run with what the dice have for it.
func (w *world) round(ctx context.Context) error {
	var struck []simulator.Fault
	if w.rng.IntN(2) == 0 {
		for _, text := range faults(w.rng) {
			f, err := simulator.ParseFault(text)
			if err != nil {
				return err
			}
			struck = append(struck, f)
			w.story.tell("fault: %s", text)
		}
	}
	w.sim.SetFaults(struck...)
	defer w.sim.SetFaults()
	var failed error
	events := []event{}
	for range w.rng.IntN(3) {
		n := 1 + w.rng.IntN(25)
		events = append(events, event{arrives, n, func() bool {
			w.story.tell("while the run makes request %d:", n)
			if err := w.edit(ctx); err != nil && failed == nil {
				failed = err
			}
			return true
		}})
	}
	during := w.fate(&events)
	w.gate.arm(events...)
	args := slices.Clone(hurried)
	if w.service.Config.Direction == tandem.Bidirectional && w.rng.IntN(5) == 0 {
		args = append(args, "--operation", pick(w.rng, "import", "export"))
	}
	if _, err := w.told(ctx, during, args...); err != nil {
		return err
	}
	return failed
}

// fate draws how the run is killed, if it is.
func (w *world) fate(events *[]event) func(*process) {
	at := func(m moment, n int, goesOn bool) {
		*events = append(*events, event{m, n, func() bool {
			w.story.tell("request %d %s:", n, m)
			w.kill()
			return goesOn
		}})
	}
	switch n := w.rng.IntN(10); {
	case n < 2:
		return nil
	case n < 4:
		at(before, 1+w.rng.IntN(8), false)
	case n < 6:
		at(after, 1+w.rng.IntN(8), true)
	case n < 7:
		at(arrives, 1+w.rng.IntN(30), w.rng.IntN(2) == 0)
	case n < 8 && w.db.log() >= 0:
		return w.killAtCommit(1 + w.rng.IntN(20))
	default:
		return w.killAfter(time.Duration(10+w.rng.IntN(200)) * time.Millisecond)
	}
	return nil
}

// told runs a sync and tells how it ended.
func (w *world) told(ctx context.Context, during func(*process), args ...string) (outcome, error) {
	w.story.tell("tandem sync %s", strings.Join(args, " "))
	o, err := w.sync(ctx, during, args...)
	w.story.tell("→ %s, run %s %s, %+v", o.command, o.Run.ID, o.Run.Status, o.Run.Summary)
	return o, err
}

// settle lets a person settle one open conflict, through the program, which may be killed at it.
func (w *world) settle(ctx context.Context) error {
	open, _, err := w.store.Conflicts(ctx, w.org.ID, tandem.ConflictFilter{Page: tandem.Page{Limit: 1000}})
	if err != nil || len(open) == 0 {
		return err
	}
	c := pick(w.rng, open...)
	take := pick(w.rng, "local", "remote", "ignore")
	switch c.Type {
	case tandem.DeletedRemotely:
		take = pick(w.rng, "recreate", "unlink")
	case tandem.DeletedLocally:
		take = "unlink"
	case tandem.AmbiguousMatch:
		take = "create"
	case tandem.ConcurrentModification, tandem.InitialMismatch:
	}
	events := []event{}
	var during func(*process)
	if w.rng.IntN(2) == 0 {
		during = w.fate(&events)
	}
	w.gate.arm(events...)
	w.story.tell("a person settles the conflict about %s of %s: take %s", c.FieldName, c.DeviceID, take)
	done, err := w.start(ctx, during, "conflicts", "resolve", c.ID, "--take", take, "--json")
	w.story.tell("→ %s", done)
	return err
}

// finale runs until nothing is left to do, as a healthy world allows, and gives the picture; wrong says what
// was not as it should be on the way.
func (w *world) finale(ctx context.Context) (p *picture, wrong []string, err error) {
	w.sim.SetFaults()
	w.gate.arm()
	why := ""
	for n := 1; n <= 4; n++ {
		written := w.ledger.written()
		o, err := w.told(ctx, nil, calm...)
		if err != nil {
			return nil, nil, err
		}
		switch o.code {
		case 0, 3:
		case 4:
			w.story.tell("a person approves what the guard holds back")
			c, err := w.start(ctx, nil, "runs", "approve", o.Run.ID, "--json", "--yes")
			w.story.tell("→ %s", c)
			if err != nil {
				return nil, nil, err
			}
			why = "a guard holds back what a person has approved"
			continue
		default:
			wrong = append(wrong, fmt.Sprintf("a clean run failed: %s %s", o.command, o.Run.Error))
		}
		if p, err = w.take(ctx); err != nil {
			return nil, nil, err
		}
		if why = p.restless(o.Run.ID, w.ledger.written()-written); why == "" {
			return p, wrong, nil
		}
	}
	if p, err = w.take(ctx); err != nil {
		return nil, nil, err
	}
	return p, append(wrong, "the fourth clean run still changes something (S25): "+why), nil
}

// live plays a seed on a database from beginning to end, and gives what is wrong at the end with the story.
func live(ctx context.Context, seed uint64, db database, program string) (wrong []string, story string, err error) {
	rng := rand.New(rand.NewPCG(seed, 7))
	w, err := newWorld(ctx, seed, choose(rng), rng, db, program)
	if w == nil {
		return nil, "", err
	}
	defer func() {
		if closeErr := w.close(); err == nil {
			err = closeErr
		}
		story = w.story.String()
	}()
	if err != nil {
		return nil, "", err
	}
	if err := w.play(ctx); err != nil {
		return nil, "", err
	}
	p, wrong, err := w.finale(ctx)
	if err != nil {
		return wrong, "", err
	}
	return append(wrong, check(p)...), "", nil
}

// replay is the command that plays a seed again.
func replay(test string, seed uint64) string {
	return "go test ./simtest -run '^" + test + "$' -seed=" + strconv.FormatUint(seed, 10)
}
