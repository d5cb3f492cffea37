package syncer

import (
	"context"

	"tandem"
)

// PreviewSettings plans a run over the whole service as if it had the settings given, and hands each change
// to each. Nothing is stored; it is what a person is shown before settings are saved (S28).
func (e *Engine) PreviewSettings(ctx context.Context, org string, service tandem.Service, each func(tandem.Change) error) (tandem.Preview, error) {
	return e.preview(ctx, org, service, tandem.RunRequest{ServiceID: service.ID, Trigger: tandem.ByHand}, false, tandem.Plan{}, each, nil)
}

// Approved reports whether the service's settings are those that a person has let run (S28).
func (e *Engine) Approved(service *tandem.Service) bool { return Approved(service) }
