package api

import (
	"context"
	"net/http"
)

// runActions registers what is done with a run that is there.
func (a *API) runActions() {
	type startInput struct {
		OnceByID
		Waiting
	}
	handle(a, a.accepted(route("runs-approve", http.MethodPost, "/api/v1/runs/{id}/approve", "runs", "Let through what a blocked run held back")),
		func(ctx context.Context, in *startInput) (*runOutput, error) {
			wait, err := parseWait(in.Wait)
			if err != nil {
				return nil, err
			}
			c := callerOf(ctx)
			run, err := a.options.Registry.ApproveRun(ctx, c.actor, c.org, in.ID)
			if err != nil {
				return nil, err
			}
			return a.awaited(ctx, c, run, wait)
		})

	type discarded struct {
		ID        string `json:"operation_id"`
		Discarded bool   `json:"discarded"`
	}
	handle(a, route("runs-discard", http.MethodPost, "/api/v1/runs/{id}/discard", "runs", "Drop what a blocked run held back"),
		func(ctx context.Context, in *ByID) (*body[discarded], error) {
			c := callerOf(ctx)
			return with(discarded{in.ID, true}, a.options.Registry.DiscardRun(ctx, c.actor, c.org, in.ID))
		})

	type cancelling struct {
		ID        string `json:"operation_id"`
		Requested bool   `json:"cancel_requested"`
	}
	handle(a, describing(route("runs-cancel", http.MethodPost, "/api/v1/runs/{id}/cancel", "runs", "Ask a run to stop"), "It stops at its next batch; what it has done stays."),
		func(ctx context.Context, in *ByID) (*body[cancelling], error) {
			c := callerOf(ctx)
			_, err := a.options.Registry.CancelRun(ctx, c.actor, c.org, in.ID)
			return with(cancelling{in.ID, true}, err)
		})

	type runRevertInput struct {
		OnceByID
		Waiting
		Body *struct {
			DryRun     bool `json:"dry_run,omitempty" doc:"Plan only; the reply says what would be done."`
			MaxDetails int  `json:"max_details,omitempty" minimum:"1" maximum:"100000" doc:"Of a dry run: how many details to reply (default 1000)."`
		} `required:"false"`
	}
	handle(a, a.accepted(describing(route("runs-revert", http.MethodPost, "/api/v1/runs/{id}/revert", "runs", "Undo a finished run"),
		"As a run of its own, from what the entries say was there before. What changed since is left out and named.")),
		func(ctx context.Context, in *runRevertInput) (*runOutput, error) {
			wait, err := parseWait(in.Wait)
			if err != nil {
				return nil, err
			}
			c := callerOf(ctx)
			if in.Body != nil && in.Body.DryRun {
				return a.planRevert(ctx, c, in.ID, in.Body.MaxDetails)
			}
			run, err := a.options.Registry.RevertRun(ctx, c.actor, c.org, in.ID)
			if err != nil {
				return nil, err
			}
			return a.awaited(ctx, c, run, wait)
		})
}

// planRevert replies what undoing a run would do.
func (a *API) planRevert(ctx context.Context, c caller, id string, most int) (*runOutput, error) {
	planned := newPlanning(most)
	preview, err := a.options.Registry.PreviewRevert(ctx, c.actor, c.org, id, planned.add)
	if err != nil {
		return nil, err
	}
	preview.Run.Reverts = id
	return &runOutput{Status: http.StatusOK, Body: planned.reply(&preview)}, nil
}

// paged gives one page of a list that is there as a whole.
func paged[T any](all []T, l Listing) []T {
	page := l.page()
	from := min((page.Number-1)*page.Limit, len(all))
	return all[from:min(from+page.Limit, len(all))]
}
