package syncer

import (
	"context"
	"errors"
	"fmt"

	"tandem"
)

// ConfirmProject lets a service be pinned to the project that is behind its address now, by a person's
// word (S21): every assignment is detached first, each with an entry, and the next run matches anew.
// It waits for a run that is under way. The devices here stay as they are.
func (e *Engine) ConfirmProject(ctx context.Context, org, serviceID, by string, along ...tandem.Along) (detached int, err error) {
	service, err := e.Store.Service(ctx, org, serviceID)
	if err != nil {
		return 0, err
	}
	r := e.prepare(org, service, tandem.RunRequest{ServiceID: service.ID, Operation: tandem.OpBidirectional, Trigger: tandem.ByHand, CreatedBy: by}, nil)
	if err := r.queue(ctx, along...); err != nil {
		return 0, err
	}
	held, err := r.takeLease(ctx)
	if err != nil {
		r.record.Status, r.record.Error = tandem.RunFailed, err.Error()
		return 0, errors.Join(err, r.putRecord(context.WithoutCancel(ctx), nil))
	}
	detached, err = e.Store.DetachService(held, org, *r.lease.fence(), r.record, func(l tandem.Linked) tandem.Entry {
		c := about(&l)
		c.Side, c.Action, c.Before = tandem.LocalSide, tandem.ActUnlink, snapshot(l.Assignment.Base.Local)
		c.Note = "another project was confirmed behind the service"
		return r.entry(c, tandem.OutcomeDone)
	}, r.now())
	r.record.Summary = tandem.Summary{Processed: detached, Successful: detached}
	r.warn(fmt.Sprintf("the project was confirmed: %d assignments were detached, and nothing was synced", detached))
	_, endErr := r.finish(ctx, held, err)
	return detached, endErr
}
