package tandem

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Sorts are the keys that a listing can be sorted by. A minus before a key turns its order round.
type Sorts []string

// The keys of the listings that are read page by page. Package store says which index gives the rows in the order of each.
var (
	DeviceSorts      = Sorts{"name", "device_id", "last_seen", "battery_level", "created_at", "updated_at"}
	RunSorts         = Sorts{"created_at", "status", "operation"}
	EntrySorts       = Sorts{"created_at"}
	ConflictSorts    = Sorts{"created_at", "field_name", "conflict_type"}
	DeliverySorts    = Sorts{"received_at"}
	ObservationSorts = Sorts{"observed_at"}
	AlertSorts       = Sorts{"raised_at", "kind", "status"}
	AuditSorts       = Sorts{"at", "action"}
	NotLinkedSorts   = Sorts{"name", "external_device_id"}
	MemberSorts      = Sorts{"email", "name", "role", "created_at"}
)

// All gives the keys, each followed by its reverse.
func (s Sorts) All() []string {
	all := make([]string, 0, 2*len(s))
	for _, key := range s {
		all = append(all, key, "-"+key)
	}
	return all
}

// Check refuses what is neither "" nor one of All.
func (s Sorts) Check(by string) error {
	if by == "" || slices.Contains(s.All(), by) {
		return nil
	}
	return Errorf(Invalid, "sort", by, "this cannot be sorted by").WithHint("sort by %s; a minus before it turns the order round", strings.Join(s, ", "))
}

// Ordering sorts a short listing, which is read as a whole: an organization has dozens of these, not thousands.
type Ordering[T any] struct {
	Sorts   Sorts
	compare []func(a, b *T) int
}

// key is one order of an Ordering.
type key[T any] struct {
	name    string
	compare func(a, b *T) int
}

func ordering[T any](keys ...key[T]) (o Ordering[T]) {
	for _, k := range keys {
		o.Sorts, o.compare = append(o.Sorts, k.name), append(o.compare, k.compare)
	}
	return o
}

// Sort sorts by one of the keys; "" leaves the order as it is. What is equal keeps its order.
func (o Ordering[T]) Sort(all []T, by string) error {
	if err := o.Sorts.Check(by); err != nil || by == "" {
		return err
	}
	name, down := strings.CutPrefix(by, "-")
	compare := o.compare[slices.Index(o.Sorts, name)]
	slices.SortStableFunc(all, func(a, b T) int {
		if down {
			return compare(&b, &a)
		}
		return compare(&a, &b)
	})
	return nil
}

// The orders of the short listings.
var (
	OrganizationOrder = ordering(
		key[Organization]{"slug", func(a, b *Organization) int { return cmp.Compare(a.Slug, b.Slug) }},
		key[Organization]{"name", func(a, b *Organization) int { return byText(a.Name, b.Name) }},
		key[Organization]{"created_at", func(a, b *Organization) int { return a.CreatedAt.Compare(b.CreatedAt) }})
	ServiceOrder = ordering(
		key[Service]{"name", func(a, b *Service) int { return byText(a.Name, b.Name) }},
		key[Service]{"state", func(a, b *Service) int { return cmp.Compare(a.State, b.State) }},
		key[Service]{"last_run_at", func(a, b *Service) int { return byTime(a.LastRunAt, b.LastRunAt) }},
		key[Service]{"created_at", func(a, b *Service) int { return a.CreatedAt.Compare(b.CreatedAt) }},
		key[Service]{"updated_at", func(a, b *Service) int { return a.UpdatedAt.Compare(b.UpdatedAt) }})
	ChannelOrder = ordering(
		key[Channel]{"name", func(a, b *Channel) int { return byText(a.Name, b.Name) }},
		key[Channel]{"type", func(a, b *Channel) int { return cmp.Compare(a.Type, b.Type) }},
		key[Channel]{"last_sent_at", func(a, b *Channel) int { return byTime(a.LastSentAt, b.LastSentAt) }},
		key[Channel]{"created_at", func(a, b *Channel) int { return a.CreatedAt.Compare(b.CreatedAt) }})
	TokenOrder = ordering(
		key[Token]{"created_at", func(a, b *Token) int { return a.CreatedAt.Compare(b.CreatedAt) }},
		key[Token]{"name", func(a, b *Token) int { return byText(a.Name, b.Name) }},
		key[Token]{"last_used_at", func(a, b *Token) int { return byTime(a.LastUsedAt, b.LastUsedAt) }},
		key[Token]{"expires_at", func(a, b *Token) int { return byTime(a.ExpiresAt, b.ExpiresAt) }})
	InvitationOrder = ordering(
		key[Invitation]{"created_at", func(a, b *Invitation) int { return a.CreatedAt.Compare(b.CreatedAt) }},
		key[Invitation]{"email", func(a, b *Invitation) int { return byText(a.Email, b.Email) }},
		key[Invitation]{"expires_at", func(a, b *Invitation) int { return a.ExpiresAt.Compare(b.ExpiresAt) }})
)

// byText compares as people look things up: without regard to case.
func byText(a, b string) int {
	return cmp.Or(cmp.Compare(strings.ToLower(a), strings.ToLower(b)), cmp.Compare(a, b))
}

// byTime puts what never was first.
func byTime(a, b *time.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return a.Compare(*b)
}
