package api

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
)

// How each listing can be sorted, as a query says it: one of its keys, or a minus and one. Anything else is refused, and
// the refusal names them.
type (
	deviceSort       string
	runSort          string
	entrySort        string
	conflictSort     string
	deliverySort     string
	observationSort  string
	alertSort        string
	auditSort        string
	notLinkedSort    string
	memberSort       string
	organizationSort string
	serviceSort      string
	channelSort      string
	tokenSort        string
	invitationSort   string
)

// Schema names the keys.
func (deviceSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.DeviceSorts) }

// Schema names the keys.
func (runSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.RunSorts) }

// Schema names the keys.
func (entrySort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.EntrySorts) }

// Schema names the keys.
func (conflictSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.ConflictSorts) }

// Schema names the keys.
func (deliverySort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.DeliverySorts) }

// Schema names the keys.
func (observationSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.ObservationSorts) }

// Schema names the keys.
func (alertSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.AlertSorts) }

// Schema names the keys.
func (auditSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.AuditSorts) }

// Schema names the keys.
func (notLinkedSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.NotLinkedSorts) }

// Schema names the keys.
func (memberSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.MemberSorts) }

// Schema names the keys.
func (organizationSort) Schema(huma.Registry) *huma.Schema {
	return sortSchema(tandem.OrganizationOrder.Sorts)
}

// Schema names the keys.
func (serviceSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.ServiceOrder.Sorts) }

// Schema names the keys.
func (channelSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.ChannelOrder.Sorts) }

// Schema names the keys.
func (tokenSort) Schema(huma.Registry) *huma.Schema { return sortSchema(tandem.TokenOrder.Sorts) }

// Schema names the keys.
func (invitationSort) Schema(huma.Registry) *huma.Schema {
	return sortSchema(tandem.InvitationOrder.Sorts)
}

func sortSchema(keys tandem.Sorts) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: "Sorted by " + strings.Join(keys, ", ") + "; a minus in front turns the order round."}
	for _, key := range keys.All() {
		s.Enum = append(s.Enum, key)
	}
	return s
}

// sortedPage gives a page of a listing that was read as a whole.
func sortedPage[T any](order tandem.Ordering[T], all []T, by string, l Listing, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	if err := order.Sort(all, by); err != nil {
		return nil, err
	}
	return list(paged(all, l)), nil
}
