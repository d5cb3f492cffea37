package jobs

import (
	"context"
	"strconv"
	"time"

	"tandem"
)

// The bounds of taking over: jobs at once, and how long they are kept from other processes.
const (
	takeAtOnce = 500
	takeFor    = 10 * time.Second
	// lookAgain is how long to wait for word of new jobs: one that a dead process had claimed comes without.
	lookAgain = time.Second
)

// takeOver hands the jobs that committed changes left over to the job engine, under their ids: twice is once.
func (j *Jobs) takeOver(ctx context.Context) (more bool, err error) {
	pending, err := j.Store.ClaimJobs(ctx, j.Holder, takeAtOnce, takeFor)
	if err != nil {
		return false, err
	}
	if len(pending) == 0 {
		waiting, cancel := context.WithTimeout(ctx, lookAgain)
		defer cancel()
		if err := j.Store.WaitForJobs(waiting); err != nil && waiting.Err() == nil {
			return false, err
		}
		return true, nil
	}
	list := make([]work, 0, len(pending))
	ids := make([]int64, len(pending))
	for i, p := range pending {
		ids[i] = p.ID
		if p.Kind == tandem.JobPush {
			continue // every process looks for pushes, and sees them when they are due
		}
		list = append(list, work{kind: p.Kind, Org: p.OrganizationID, Args: p.Args, at: j.machine(p.At), handed: true,
			Key: "pending/" + strconv.FormatInt(p.ID, 10)})
	}
	if len(list) > 0 {
		if err := j.engine.insert(ctx, list); err != nil {
			return false, err
		}
	}
	return true, j.Store.DropJobs(ctx, ids)
}
