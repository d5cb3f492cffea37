package syncer_test

import (
	"testing"

	"tandem"
	"tandem/syncer"
)

// TestS28WhatApproves: only a run by hand that does what the settings say lets them run by themselves.
func TestS28WhatApproves(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  func(w *world, req *tandem.RunRequest)
		want bool
	}{
		{"a whole run as configured", func(*world, *tandem.RunRequest) {}, true},
		{"the configured direction by name", func(_ *world, r *tandem.RunRequest) { r.Operation = tandem.OpBidirectional }, true},
		{"one direction of both", func(_ *world, r *tandem.RunRequest) { r.Operation = tandem.OpImport }, false},
		{"one device", func(w *world, r *tandem.RunRequest) { r.DeviceIDs = []string{w.local("one")} }, false},
		{"creating otherwise", func(_ *world, r *tandem.RunRequest) { r.CreateMissing = tandem.MissingNone }, false},
		{"by force", func(_ *world, r *tandem.RunRequest) { r.Operation, r.Force = tandem.OpImport, true }, false},
		{"a saved plan", func(w *world, r *tandem.RunRequest) {
			r.PlanID = w.save(tandem.RunRequest{Operation: tandem.OpBidirectional})
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.remote("gate")
			req := tandem.RunRequest{}
			tt.ask(w, &req)
			_, err := w.run(req)
			w.must(err)
			w.equal(syncer.Approved(ptr(w.stored())), tt.want)
			scheduled, err := w.run(tandem.RunRequest{Trigger: tandem.BySchedule})
			w.must(err)
			w.equal(scheduled.Status == tandem.RunBlocked, !tt.want)
		})
	}
}

// TestS27PlanOfAFailedRun: a run that fails before it does anything of its plan leaves the plan open; one
// that began leaves it used.
func TestS27PlanOfAFailedRun(t *testing.T) {
	var h hooks
	w, ids := stocked(t, 30, h.hooked())
	w.deleteRemote(ids[:10]...)
	blocked := w.sync(tandem.OpBidirectional)
	w.ended(blocked, tandem.RunBlocked)
	away := func(call string) {
		h.on(func(c, _ string) error {
			if c == call {
				return tandem.Errorf(tandem.Unavailable, "test", "", "away")
			}
			return nil
		}, nil)
	}
	away("remote list")
	_, err := w.engine.Approve(w.ctx, w.org, blocked.ID, "ada", nil)
	w.wantCode(err, tandem.Unavailable)
	w.equal(w.openPlans(), []string{blocked.PlanID})
	h.on(nil, nil)
	run, err := w.engine.Approve(w.ctx, w.org, blocked.ID, "ada", nil)
	w.must(err)
	w.completed(run)
	w.equal(w.openPlans(), []string{})
	_, err = w.engine.Approve(w.ctx, w.org, blocked.ID, "ada", nil)
	w.wantCode(err, tandem.Stale) // used once
}

// TestS27PlanWithNothingLeft: a plan whose rows all moved is used up all the same.
func TestS27PlanWithNothingLeft(t *testing.T) {
	w, ids := stocked(t, 3)
	w.setHere(w.localOf(ids[0]).ID, "name", "planned")
	plan := w.save(tandem.RunRequest{Operation: tandem.OpBidirectional})
	w.setHere(w.localOf(ids[0]).ID, "name", "otherwise")
	_, err := w.run(tandem.RunRequest{PlanID: plan})
	w.must(err)
	w.equal(w.openPlans(), []string{})
	_, err = w.run(tandem.RunRequest{PlanID: plan})
	w.wantCode(err, tandem.Stale)
}
