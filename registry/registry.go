// Package registry is what people and programs may do: the use cases behind every command, route and
// page, with the validation of what they bring. It decides and has the store write; who may do what
// is decided here and nowhere else: every use case takes an Actor and begins by asking whether it may.
//
// What changes something leaves its audit entry in the same transaction (S37), with the jobs that it leads to.
//
// It knows neither SQL nor HTTP: the store, the engine and the rest come in through the small interfaces below.
package registry

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"tandem"
)

// Store is what the registry needs of the store.
type Store interface {
	tandem.Applier
	tandem.OrganizationStore
	tandem.ServiceStore
	tandem.DeviceStore
	tandem.RunStore
	tandem.ConflictStore
	tandem.PlanStore
	Candidates(ctx context.Context, org, service string, probes []tandem.Probe) ([]tandem.Candidate, error)
	LinkedByExternal(ctx context.Context, org, service string, externalIDs []string) ([]tandem.Linked, error)
	LinkedCount(ctx context.Context, org, service string) (int, error)
	NotLinked(ctx context.Context, org, service string, filter tandem.NotLinkedFilter) ([]tandem.NotLinked, int, error)
}

// ServerStore is what a server needs beside it: people, what is received, what is told, what was done.
type ServerStore interface {
	tandem.PeopleStore
	tandem.TokenStore
	Audit(ctx context.Context, org string, filter tandem.AuditFilter) ([]tandem.SealedEntry, int, error)
	Sealed(ctx context.Context, org string, after int64, limit int) ([]tandem.SealedEntry, error)
	Unsealed(ctx context.Context, org string, limit int) ([]tandem.AuditEntry, int, error)
	LastSeal(ctx context.Context, org string) (tandem.AuditSeal, error)
	RunDigests(ctx context.Context, org, run string) (tandem.RunDigests, error)
	DeletedOrganizations(ctx context.Context) ([]tandem.DeletedOrganization, error)
	Deliveries(ctx context.Context, org string, filter tandem.DeliveryFilter) ([]tandem.Delivery, int, error)
	Delivery(ctx context.Context, org, id string) (tandem.Delivery, error)
	ReplayDeliveries(ctx context.Context, org string, ids []string, along ...tandem.Along) (int, error)
	Observations(ctx context.Context, org string, filter tandem.ObservationFilter) ([]tandem.DeviceObservation, int, error)
	Alerts(ctx context.Context, org string, filter tandem.AlertFilter) ([]tandem.Alert, int, error)
	Alert(ctx context.Context, org, id string) (tandem.Alert, error)
	Channels(ctx context.Context, org string) ([]tandem.Channel, error)
	Channel(ctx context.Context, org, idOrName string) (tandem.Channel, error)
	Notifications(ctx context.Context, org, channel string, page tandem.Page) ([]tandem.Notification, int, error)
	tandem.OverviewStore
	tandem.PlanView
	Credentials(ctx context.Context, org, device string) ([]tandem.Credential, error)
	Credential(ctx context.Context, org, id string) (tandem.Credential, error)
	Commands(ctx context.Context, org string, filter tandem.CommandFilter) ([]tandem.Command, int, error)
	Command(ctx context.Context, org, id string) (tandem.Command, error)
	OpenCommands(ctx context.Context, org, device string) (int, error)
	CancelCommand(ctx context.Context, org, id string, now time.Time, along ...tandem.Along) (tandem.Command, error)
	Series(ctx context.Context, org string, filter tandem.SeriesFilter) ([]tandem.SeriesPoint, error)
}

// Engine is what the registry needs of the sync engine.
type Engine interface {
	Link(ctx context.Context, org, serviceID, deviceID, externalID, by string, along ...tandem.Along) (tandem.Assignment, error)
	Unlink(ctx context.Context, org, serviceID, deviceID, by string, along ...tandem.Along) error
	ImportRemote(ctx context.Context, org, serviceID string, externalIDs []string, by string, along ...tandem.Along) (tandem.Run, error)
	IgnoreRemote(ctx context.Context, org, serviceID string, externalIDs []string, ignore bool, along ...tandem.Along) error
	ConfirmProject(ctx context.Context, org, serviceID, by string, along ...tandem.Along) (detached int, err error)
	Preview(ctx context.Context, org string, req tandem.RunRequest, save bool, each func(tandem.Change) error, report tandem.Report) (tandem.Preview, error)
	PreviewRevert(ctx context.Context, org, runID string, each func(tandem.Change) error) (tandem.Preview, error)
	// PreviewSettings plans a run over the whole service as if it had other settings; nothing is stored (S28).
	PreviewSettings(ctx context.Context, org string, service tandem.Service, each func(tandem.Change) error) (tandem.Preview, error)
	// Approved reports whether a person has let the service's settings run (S28).
	Approved(service *tandem.Service) bool
	Discard(ctx context.Context, org, runID, by string, along ...tandem.Along) error
	Settle(ctx context.Context, org string, s tandem.Settlement) ([]tandem.Settled, error)
	Compare(ctx context.Context, org, deviceID string) ([]tandem.Comparison, error)
	// Run, Approve and Revert do a run in this process, to its end, and write along with its beginning.
	Run(ctx context.Context, org string, req tandem.RunRequest, report tandem.Report, along ...tandem.Along) (tandem.Run, error)
	Approve(ctx context.Context, org, runID, by string, report tandem.Report, along ...tandem.Along) (tandem.Run, error)
	Revert(ctx context.Context, org, runID, by string, report tandem.Report, along ...tandem.Along) (tandem.Run, error)
	// Queue stores a run that a background job performs, with that job and extra, in one transaction.
	Queue(ctx context.Context, org string, req tandem.RunRequest, extra ...*tandem.Changes) (tandem.Run, error)
}

// Vault seals secrets for the row that they belong to; package secret does it.
type Vault interface {
	Seal(place Place, plain []byte) ([]byte, error)
	Unseal(place Place, sealed []byte) ([]byte, error)
}

// Place says where a sealed secret lies; it can be unsealed for no other.
type Place struct{ OrganizationID, Table, Column, Row string }

// Notifier checks channels and sends through them; package alert does it.
type Notifier interface {
	// CheckChannel says what is wrong with a channel's settings; secret is nil where it stays as it is.
	CheckChannel(channel *tandem.Channel, secret []byte) error
	// Test sends one message through a channel now, and says how that went.
	Test(ctx context.Context, channel tandem.Channel) error
}

// Letter is mail to one person that carries a one-time secret.
type Letter struct {
	Purpose      tandem.LinkPurpose
	To           string // an email address
	Organization string // the name, of an invitation
	Secret       string // goes into the link
}

// Pipelines is what connecting a webhook needs of a project; the Golioth client does it.
type Pipelines interface {
	// Definition gives the text of a pipeline that posts to a URL with a secret in a header.
	Definition(url, header, secretName string, paths ...string) string
	PutSecret(ctx context.Context, name, value string) error
	PutPipeline(ctx context.Context, name, definition string) error
	DeletePipeline(ctx context.Context, name string) error // NotFound where there is none
	DeleteSecret(ctx context.Context, name string) error   // likewise
}

// Registry holds the use cases. Its members are set once, before use; it is safe for concurrent use.
type Registry struct {
	Store  Store
	Engine Engine
	Clock  tandem.Clock
	NewID  tandem.IDs

	// The rest may be missing where only the command line is served.
	Server    ServerStore
	Vault     Vault
	Notifier  Notifier
	Pipelines func(ctx context.Context, service tandem.Service) (Pipelines, error)
	// Remote asks a service's project who it is, with the stored key.
	Remote func(ctx context.Context, service tandem.Service) (tandem.RemoteProject, error)
	// Reach reaches devices on a service.
	Reach func(ctx context.Context, service tandem.Service) (Reach, error)
	// Brokered says that devices are reached by a broker that knows them itself, so that a credential here is not needed.
	Brokered bool
	// Post takes a letter to be sent in the background; it must not block. Nil where no mail is set up.
	Post func(Letter)
	// MayCall refuses addresses that a service may not have when they come over the network; nil allows all.
	MayCall func(ctx context.Context, url string) error
	// Auditor checks and exports the audit's chain.
	Auditor Auditor
	// Throttle slows down guessing from one address; nil for none.
	Throttle *Throttle
	// Previews bounds those under way at once; nil for no bound.
	Previews *Previews
}

// doors let one at a time be judged of those who try to be the same person, so that many at once do not pass for few.
// Seed spreads people over them.
var (
	doors [64]sync.Mutex
	seed  = maphash.MakeSeed()
)

// door gives the one that a person's tries pass.
func door(user string) *sync.Mutex {
	return &doors[maphash.String(seed, user)%uint64(len(doors))]
}

// tries is how often a change that finds its row moved is decided again (S22).
const tries = 3

// retryMoved does a change again when rows moved under it.
func retryMoved(do func() error) error {
	var err error
	for range tries {
		var final *staleVersion
		if err = do(); errors.As(err, &final) {
			return final.why
		}
		if !tandem.Is(err, tandem.Stale) {
			return err
		}
	}
	return err
}

// problems collects everything that is wrong with one input, so that people mend it in one go.
type problems []string

func (p *problems) add(err error) {
	var e *tandem.Error
	switch {
	case err == nil:
	case errors.As(err, &e):
		*p = append(*p, e.Message)
	default:
		*p = append(*p, err.Error())
	}
}

// err says everything in one error, nil when there is nothing to say.
func (p problems) err(op, name string) error {
	if len(p) == 0 {
		return nil
	}
	return tandem.Errorf(tandem.Invalid, op, name, "%s", strings.Join(p, "; "))
}

// expect refuses a change of what is not at the version that was asked for. The use case gives the current value with it.
func expect(op, name string, version int64, want *int64) error {
	if want == nil || *want == version {
		return nil
	}
	return &staleVersion{tandem.Errorf(tandem.Stale, op, name, "it was changed meanwhile: it is at version %d, and version %d was to be changed", version, *want).
		WithHint("look at it as it is now, and repeat the change if it is still wanted")}
}

// wanted gives the version that a removal is asked for, nil for whatever is there.
func wanted(ifVersion []int64) *int64 {
	if len(ifVersion) == 0 {
		return nil
	}
	return &ifVersion[0]
}

// staleVersion is Stale for good: deciding again would meet the same version.
type staleVersion struct{ why *tandem.Error }

func (s *staleVersion) Error() string { return s.why.Error() }
func (s *staleVersion) Unwrap() error { return s.why }
