package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// sameWithin is how long equal content without an event id counts once (S35).
const sameWithin = time.Minute

// WebhookService finds a service by its id alone; a deleted one is not there.
func (s *Store) WebhookService(ctx context.Context, service string) (found tandem.Service, err error) {
	const op = "find the service of a webhook"
	if err := checkText(service); err != nil { // comes from an address
		return tandem.Service{}, s.fail(op, missing("service", ""))
	}
	err = s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		services, err := scanServices(ctx, tx, s.dialect.Indexed("device_services_active"), "id = ? AND deleted_at IS NULL AND is_active = TRUE ORDER BY organization_id LIMIT 2", service)
		switch {
		case err != nil:
			return err
		case len(services) != 1: // an id is unique in its organization; two of one id are nobody's
			return missing("service", service)
		}
		found = services[0]
		return nil
	})
	return found, err
}

const (
	deliveryWritten = `organization_id, id, service_id, event_id, digest, type, external_device_id, project_id, path, content_type, headers, body,
	sent_at, received_at`
	deliveryStateWritten = "organization_id, id, service_id, external_device_id, status, attempts, due_at, error, processed_at, run_id, claimed_by, claimed_until"
	deliveryRead         = `d.organization_id, d.id, d.service_id, d.event_id, d.digest, d.type, d.external_device_id, d.project_id, d.path, d.content_type,
	d.headers, d.body, d.sent_at, d.received_at, s.status, s.attempts, s.due_at, s.error, s.processed_at, s.run_id`
)

// StoreDeliveries adds deliveries of any organizations in one transaction (S34), and names by position those that were stored before (S35).
// Their bodies must not be changed afterwards.
func (s *Store) StoreDeliveries(ctx context.Context, deliveries []tandem.Delivery) (duplicates []int, err error) {
	_, duplicates, err = s.StoreAndClaim(ctx, deliveries, "", 0)
	return duplicates, err
}

// StoreAndClaim stores deliveries and claims those that are due for a holder, "" for nobody; they are given as reading them would.
func (s *Store) StoreAndClaim(ctx context.Context, deliveries []tandem.Delivery, holder string, ttl time.Duration) (claimed []tandem.Delivery, duplicates []int, err error) {
	if err := checkText(holder); err != nil {
		return nil, nil, s.fail("store deliveries", err)
	}
	if len(deliveries) == 0 {
		return nil, nil, nil
	}
	var fresh []int
	var claim deliveryClaim
	err = s.write(ctx, "store deliveries", everyOrganization, func(tx bun.Conn) error {
		now, err := s.deliverable(ctx, tx, deliveries)
		if err != nil {
			return err
		}
		if fresh, err = s.unseen(ctx, tx, deliveries); err != nil {
			return err
		}
		duplicates = others(len(deliveries), fresh)
		claim = deliveryClaim{now: now, holder: holder, until: now.Add(ttl)}
		if err := s.insert(ctx, tx, "deliveries", deliveryWritten, "", len(fresh), func(b *bulk, i int) { writeDelivery(b, &deliveries[fresh[i]]) }); err != nil {
			return err
		}
		if err := s.insert(ctx, tx, "delivery_states", deliveryStateWritten, "", len(fresh), func(b *bulk, i int) { writeDeliveryState(b, &deliveries[fresh[i]], claim) }); err != nil {
			return err
		}
		return s.putEvents(ctx, tx, arrivals(deliveries, fresh, now))
	})
	if err != nil {
		return nil, nil, err
	}
	s.received(deliveries, fresh)
	s.bell.ring(false)
	var left []int
	for _, i := range fresh {
		if !claim.takes(&deliveries[i]) {
			left = append(left, i)
			continue
		}
		d := asRead(&deliveries[i])
		d.Status, d.NextAt = tandem.DeliveryStored, &claim.now
		claimed = append(claimed, d)
	}
	s.recent.keep(deliveries, left)
	return claimed, duplicates, nil
}

// deliveryClaim is who has new deliveries, and until when; holder is "" for nobody.
type deliveryClaim struct {
	now    time.Time // the database's
	holder string
	until  time.Time
}

// takes reports whether a new delivery is the holder's.
func (c *deliveryClaim) takes(d *tandem.Delivery) bool {
	return c.holder != "" && (d.Status == "" || d.Status == tandem.DeliveryStored) && d.NextAt == nil
}

// others gives what of 0 to n-1 is not in a sorted list.
func others(n int, listed []int) (rest []int) {
	for i := range n {
		if len(listed) > 0 && listed[0] == i {
			listed = listed[1:]
			continue
		}
		rest = append(rest, i)
	}
	return rest
}

// arrivals gives an event for each organization with new deliveries.
func arrivals(deliveries []tandem.Delivery, fresh []int, now time.Time) (events []tandem.Event) {
	seen := map[string]bool{}
	for _, i := range fresh {
		if org := deliveries[i].OrganizationID; !seen[org] {
			seen[org] = true
			events = append(events, tandem.Event{ID: newEventID(), OrganizationID: org, At: now, Kind: deliveriesKind, Many: true})
		}
	}
	return events
}

// deliverable makes sure of the organizations, which stay until the transaction ends, and of the services, and gives the
// database's time.
func (s *Store) deliverable(ctx context.Context, tx bun.Conn, deliveries []tandem.Delivery) (now time.Time, err error) {
	type place struct{ org, service string }
	places, orgs := map[place]bool{}, map[string]bool{}
	for i := range deliveries {
		places[place{deliveries[i].OrganizationID, deliveries[i].ServiceID}] = false
		orgs[deliveries[i].OrganizationID] = false
	}
	ids := make([]string, 0, len(orgs))
	for org := range orgs {
		ids = append(ids, org)
	}
	slices.Sort(ids)
	err = s.inChunks("id", ids, chunk, func(list bun.Safe) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var id word
			var at stamp
			err := rows.Scan(&id, &at)
			orgs[string(id)], now = true, at.Time
			return err
		}, "SELECT id, "+s.dialect.Clock()+" FROM organizations WHERE ? ORDER BY id"+s.dialect.Share(), list)
	})
	if err != nil {
		return now, err
	}
	asked := make([]place, 0, len(places))
	for p := range places {
		asked = append(asked, p)
	}
	err = s.returning(ctx, tx, "WITH v (organization_id, id) AS (", `) SELECT s.organization_id, s.id FROM v JOIN device_services AS s
		ON s.organization_id = v.organization_id AND s.id = v.id`, len(asked), func(b *bulk, i int) {
		b.text(asked[i].org)
		b.text(asked[i].service)
	}, func(rows *sql.Rows) error {
		var org, service word
		err := rows.Scan(&org, &service)
		places[place{string(org), string(service)}] = orgs[string(org)]
		return err
	})
	for p, there := range places {
		if err == nil && !there {
			err = missing("service", p.service)
		}
	}
	return now, err
}

// deliveryKey is what a delivery is told apart by.
type deliveryKey struct{ org, key string }

// keyOf gives the key of a delivery. Digests are random, and so would be the places of their keys in the table, each in a
// page of its own: the sender's time, which the digest covers, puts together what comes together.
func keyOf(d *tandem.Delivery) deliveryKey {
	key := make([]byte, 0, 9+sha256.Size)
	what := d.EventID
	if what != "" {
		key = append(key, 'e')
	} else {
		key, what = append(key, 'd'), d.Digest
		sent := int64(0)
		if d.SentAt != nil && !d.SentAt.IsZero() {
			sent = asKept(*d.SentAt).Unix()
		}
		key = binary.BigEndian.AppendUint64(key, uint64(sent))
	}
	sum := sha256.Sum256([]byte(d.ServiceID + "\x00" + what))
	return deliveryKey{d.OrganizationID, string(append(key, sum[:16]...))}
}

// unseen gives the positions of the deliveries that were not stored before. A refused one is no delivery that another
// could be equal to: whoever sends it says what they like.
func (s *Store) unseen(ctx context.Context, tx bun.Conn, deliveries []tandem.Delivery) (fresh []int, err error) {
	var waiting []int
	for i := range deliveries {
		if deliveries[i].Status == tandem.DeliveryRefused {
			fresh = append(fresh, i)
		} else {
			waiting = append(waiting, i)
		}
	}
	for len(waiting) > 0 { // again only where the same content comes more than a minute apart in one batch
		var round []int
		round, waiting = oneOfEach(deliveries, waiting)
		taken, err := s.takeKeys(ctx, tx, deliveries, round)
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, taken...)
	}
	slices.Sort(fresh)
	return fresh, nil
}

// oneOfEach picks the first delivery of each key; what follows it within the time is left out, what comes later is for another round.
func oneOfEach(deliveries []tandem.Delivery, waiting []int) (first, later []int) {
	at := make(map[deliveryKey]int, len(waiting))
	for _, i := range waiting {
		d := &deliveries[i]
		k := keyOf(d)
		earlier, met := at[k]
		switch {
		case !met:
			at[k] = i
			first = append(first, i)
		case d.EventID == "" && d.ReceivedAt.Sub(deliveries[earlier].ReceivedAt) >= sameWithin:
			later = append(later, i)
		}
	}
	return first, later
}

// takeKeys writes the keys of deliveries and gives those whose key nobody had, or had too long ago to matter.
func (s *Store) takeKeys(ctx context.Context, tx bun.Conn, deliveries []tandem.Delivery, round []int) (taken []int, err error) {
	at := make(map[deliveryKey]int, len(round))
	keys := make([]deliveryKey, len(round))
	for n, i := range round {
		keys[n] = keyOf(&deliveries[i])
		at[keys[n]] = i
	}
	slices.SortFunc(keys, func(a, b deliveryKey) int { // all writers lock them in this order
		return cmp.Or(strings.Compare(a.org, b.org), strings.Compare(a.key, b.key))
	})
	err = s.returning(ctx, tx, "INSERT INTO delivery_keys (organization_id, key, until) ",
		` ON CONFLICT (organization_id, key) DO UPDATE SET until = excluded.until
			WHERE excluded.until - `+strconv.FormatInt(sameWithin.Microseconds(), 10)+` >= delivery_keys.until RETURNING organization_id, key`,
		len(keys), func(b *bulk, i int) {
			d := &deliveries[at[keys[i]]]
			b.text(keys[i].org)
			b.bytes([]byte(keys[i].key))
			if d.EventID != "" {
				b.put(isInt, nil) // for ever
			} else {
				b.int(asKept(d.ReceivedAt).Add(sameWithin).UnixMicro())
			}
		}, func(rows *sql.Rows) error {
			var org word
			var key []byte
			err := rows.Scan(&org, &key)
			taken = append(taken, at[deliveryKey{string(org), string(key)}])
			return err
		})
	return taken, err
}

func writeDelivery(b *bulk, d *tandem.Delivery) {
	b.text(d.OrganizationID)
	b.text(d.ID)
	b.text(d.ServiceID)
	b.opt(d.EventID)
	b.text(d.Digest)
	b.text(d.Type)
	b.opt(d.ExternalDeviceID)
	b.opt(d.ProjectID)
	b.opt(d.Path)
	b.text(d.ContentType)
	b.json(d.Headers, len(d.Headers) == 0)
	b.bytes(d.Body)
	b.optTime(d.SentAt)
	b.instant(d.ReceivedAt)
}

// writeDeliveryState writes the state of a new delivery. What waits for its processing is due by the database's clock.
func writeDeliveryState(b *bulk, d *tandem.Delivery, claim deliveryClaim) {
	status := d.Status
	if status == "" {
		status = tandem.DeliveryStored
	}
	due := d.NextAt
	if due == nil && (status == tandem.DeliveryStored || status == tandem.DeliveryRetrying) {
		due = &claim.now
	}
	b.text(d.OrganizationID)
	b.text(d.ID)
	b.text(d.ServiceID)
	b.text(d.ExternalDeviceID)
	b.text(string(status))
	b.int(int64(d.Attempts))
	b.optTime(due)
	b.opt(d.Error)
	b.optTime(d.ProcessedAt)
	b.opt(d.RunID)
	if !claim.takes(d) {
		b.opt("")
		b.optTime(nil)
		return
	}
	b.opt(claim.holder)
	b.optTime(&claim.until)
}
