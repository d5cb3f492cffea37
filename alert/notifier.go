package alert

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem"
	"tandem/outbound"
)

// The notifier's bounds: how many notifications it claims at once and for how long, and how many channels it
// speaks through at the same time.
const (
	claimBatch = 100
	claimTurns = 50
	claimLife  = 24 * time.Second // of a process that was killed; one that lives renews it
	abreast    = 16
)

// pauses are the times between attempts; after the last one a notification is given up.
var pauses = []time.Duration{time.Minute, 3 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

// Options say how a Notifier sends.
type Options struct {
	Store Store
	Clock tandem.Clock
	// Open gives a channel's secret, nil where it has none.
	Open func(channel *tandem.Channel) ([]byte, error)
	// Policy says which addresses may be called.
	Policy outbound.Policy
	// PublicURL is where people find this server, for links; "" leaves them out.
	PublicURL string
	// Holder names this process among those that send.
	Holder string
	// Meter is told how many notifications were sent, failed, or were given_up, for metrics; nil for nobody.
	Meter func(outcome string, n int)
	// Roots are the authorities that certificates of mail servers and webhooks are checked by; nil for the system's.
	Roots *x509.CertPool
}

// Notifier sends notifications through their channels. It is safe for concurrent use.
type Notifier struct {
	store     Store
	clock     tandem.Clock
	open      func(channel *tandem.Channel) ([]byte, error)
	policy    outbound.Policy
	publicURL string
	holder    string
	meter     func(outcome string, n int)
	roots     *x509.CertPool
	transport *http.Transport
	client    *http.Client
	claimLife time.Duration
	keepEvery time.Duration
}

// New makes a notifier. Close lets go of its connections.
func New(o Options) *Notifier {
	transport := outbound.Transport(o.Policy)
	transport.TLSClientConfig.RootCAs = o.Roots
	client := outbound.Client(o.Policy, transport, callTimeout)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if o.Meter == nil {
		o.Meter = func(string, int) {}
	}
	return &Notifier{store: o.Store, clock: o.Clock, open: o.Open, policy: o.Policy, publicURL: o.PublicURL, holder: o.Holder, meter: o.Meter,
		roots: o.Roots, transport: transport, client: client, claimLife: claimLife, keepEvery: claimLife / 4}
}

// Close lets go of idle connections.
func (n *Notifier) Close() { n.transport.CloseIdleConnections() }

// CheckChannel says what is wrong with a channel's settings; secret is nil where the stored one stays.
func (n *Notifier) CheckChannel(c *tandem.Channel, secret []byte) error {
	return CheckChannel(c, secret, n.policy)
}

// Send sends the notifications that are due, of all organizations, and says how many were sent. A channel that
// fails is noted and tried again later; an error means that the database could not be used.
func (n *Notifier) Send(ctx context.Context) (sent int, err error) {
	for range claimTurns {
		claimed, err := n.store.ClaimNotifications(ctx, n.holder, claimBatch, n.claimLife)
		if err != nil {
			return sent, fmt.Errorf("claim notifications: %w", err)
		}
		done, err := n.spreadHeld(ctx, claimed)
		sent += done
		if err != nil || len(claimed) < claimBatch {
			return sent, err
		}
	}
	return sent, nil
}

// channelKey names a channel.
type channelKey struct{ org, channel string }

// spreadHeld sends claimed notifications and keeps the claim while that lasts: a slow channel must not have another
// process send the same, and a killed process's are sent by another soon.
func (n *Notifier) spreadHeld(ctx context.Context, claimed []tandem.Notification) (sent int, err error) {
	if len(claimed) == 0 {
		return 0, nil
	}
	done, kept := make(chan struct{}), make(chan error)
	go func() {
		again := time.NewTicker(n.keepEvery)
		defer again.Stop()
		var last error // the claim bears some failures
		for {
			select {
			case <-done:
				kept <- last
				return
			case <-again.C:
				last = n.store.KeepNotifications(context.WithoutCancel(ctx), n.holder, claimed, n.claimLife)
			}
		}
	}()
	sent, err = n.spread(ctx, claimed)
	close(done)
	return sent, errors.Join(err, <-kept)
}

// spread sends claimed notifications, several channels at once.
func (n *Notifier) spread(ctx context.Context, claimed []tandem.Notification) (sent int, err error) {
	by := map[channelKey][]tandem.Notification{}
	for _, c := range claimed {
		key := channelKey{c.OrganizationID, c.ChannelID}
		by[key] = append(by[key], c)
	}
	counts := make(chan int, len(by))
	var group errgroup.Group
	group.SetLimit(abreast)
	for key, notifications := range by {
		group.Go(func() error {
			done, err := n.through(ctx, key, notifications)
			counts <- done
			return err
		})
	}
	err = group.Wait()
	close(counts)
	for done := range counts {
		sent += done
	}
	return sent, err
}

// through tells a channel what is due there, as one message, unless it was told something just before.
func (n *Notifier) through(ctx context.Context, key channelKey, due []tandem.Notification) (sent int, err error) {
	now := n.clock()
	channel, err := n.store.Channel(ctx, key.org, key.channel)
	switch {
	case tandem.Is(err, tandem.NotFound):
		return 0, nil // what was to be sent went with it
	case err != nil:
		return 0, fmt.Errorf("read a channel: %w", err)
	case !channel.IsActive:
		for i := range due {
			due[i].DeadAt, due[i].Error = &now, "the channel is switched off"
		}
		return 0, n.put(ctx, key.org, due)
	}
	if throttle := time.Duration(channel.ThrottleS) * time.Second; channel.LastSentAt != nil && now.Before(channel.LastSentAt.Add(throttle)) {
		for i := range due {
			due[i].NextAt = channel.LastSentAt.Add(throttle)
		}
		return 0, n.put(ctx, key.org, due)
	}
	m, err := n.gather(ctx, key.org, due, now)
	if err != nil || len(m.items) == 0 {
		return 0, err
	}
	return n.attempt(ctx, &channel, &m, now)
}

// attempt sends a message and writes down how that went. A throttled channel's time is taken before, so that another
// process that is about to speak there waits, and given back when nothing was said.
func (n *Notifier) attempt(ctx context.Context, channel *tandem.Channel, m *message, now time.Time) (sent int, err error) {
	before := channel.LastSentAt
	if before != nil && channel.ThrottleS > 0 {
		if err := n.note(ctx, channel, &now, channel.LastError); err != nil {
			return 0, err
		}
	}
	failure := n.send(ctx, channel, m)
	if failure != nil && ctx.Err() != nil {
		// The process is stopping: that is not the channel's fault. The claim runs out and another one sends.
		return 0, errors.Join(ctx.Err(), n.note(context.WithoutCancel(ctx), channel, before, channel.LastError))
	}
	ctx = context.WithoutCancel(ctx) // what was sent is written down, even while stopping
	outcome := make([]tandem.Notification, 0, len(m.items))
	for _, i := range m.items {
		outcome = append(outcome, after(i.notification, failure, now))
	}
	if err := n.put(ctx, channel.OrganizationID, outcome); err != nil {
		return 0, err
	}
	n.count(outcome)
	if failure != nil {
		return 0, n.note(ctx, channel, before, failure.Error())
	}
	return len(outcome), n.note(ctx, channel, &now, "")
}

// count tells the meter how an attempt went.
func (n *Notifier) count(outcome []tandem.Notification) {
	for _, o := range outcome {
		switch {
		case o.SentAt != nil:
			n.meter("sent", 1)
		case o.DeadAt != nil:
			n.meter("given_up", 1)
		default:
			n.meter("failed", 1)
		}
	}
}

// after gives a notification as an attempt leaves it.
func after(of tandem.Notification, failure error, now time.Time) tandem.Notification {
	of.Attempts++
	if failure == nil {
		of.SentAt, of.Error = &now, ""
		return of
	}
	of.Error = failure.Error()
	if of.Attempts > len(pauses) {
		of.DeadAt = &now
		return of
	}
	wait := pauses[of.Attempts-1]
	var e *tandem.Error
	if errors.As(failure, &e) {
		wait = min(max(wait, e.RetryAfter), pauses[len(pauses)-1])
	}
	of.NextAt = now.Add(wait)
	return of
}

// gather reads what the notifications are about. Those whose alert is gone meanwhile are gone too.
func (n *Notifier) gather(ctx context.Context, org string, due []tandem.Notification, now time.Time) (message, error) {
	organization, err := n.store.Organization(ctx, org)
	if err != nil {
		return message{}, fmt.Errorf("read an organization: %w", err)
	}
	ids := make([]string, 0, len(due))
	for _, d := range due {
		ids = append(ids, d.AlertID)
	}
	alerts, _, err := n.store.Alerts(ctx, org, tandem.AlertFilter{IDs: ids, All: true, Page: tandem.Page{Limit: 1000}})
	if err != nil {
		return message{}, fmt.Errorf("read alerts: %w", err)
	}
	byID := map[string]tandem.Alert{}
	for _, a := range alerts {
		byID[a.ID] = a
	}
	names := map[string]string{}
	var items []item
	for _, d := range due {
		a, ok := byID[d.AlertID]
		if !ok {
			continue
		}
		name, err := n.serviceName(ctx, org, a.ServiceID, names)
		if err != nil {
			return message{}, err
		}
		items = append(items, item{notification: d, alert: a, service: name})
	}
	return compose(organization, items, n.publicURL, now), nil
}

// serviceName gives a service's name, its id where it is gone.
func (n *Notifier) serviceName(ctx context.Context, org, id string, known map[string]string) (string, error) {
	if name, ok := known[id]; ok || id == "" {
		return name, nil
	}
	service, err := n.store.Service(ctx, org, id)
	switch {
	case tandem.Is(err, tandem.NotFound):
		service.Name = id
	case err != nil:
		return "", fmt.Errorf("read a service: %w", err)
	}
	known[id] = service.Name
	return service.Name, nil
}

// Test sends one message through a channel at once, and says how that went. It counts for no throttle.
func (n *Notifier) Test(ctx context.Context, channel tandem.Channel) error {
	now := n.clock()
	organization, err := n.store.Organization(ctx, channel.OrganizationID)
	if err != nil {
		return err
	}
	m := compose(organization, []item{{
		notification: tandem.Notification{ID: channel.ID + now.UTC().Format(time.RFC3339Nano), Reason: Test, CreatedAt: now},
		alert: tandem.Alert{OrganizationID: channel.OrganizationID, Kind: tandem.AlertTest, Severity: tandem.Warning, RaisedAt: now, LastAt: now,
			Count: 1, Status: tandem.AlertRaised, Message: "this is a test call of the channel " + clean(channel.Name, 200)},
	}}, n.publicURL, now)
	failure := n.send(ctx, &channel, &m)
	text := ""
	if failure != nil {
		text = failure.Error()
	}
	if err := n.note(context.WithoutCancel(ctx), &channel, nil, text); err != nil {
		return errors.Join(failure, err)
	}
	return failure
}

// send sends a message the way its channel does. The error holds no secret.
func (n *Notifier) send(ctx context.Context, channel *tandem.Channel, m *message) error {
	secret, err := n.open(channel)
	if err != nil {
		return tandem.Errorf(tandem.KeyLost, "alert: open channel", channel.Name, "the channel's stored secret cannot be opened").
			WithHint("give the channel its secret anew")
	}
	switch channel.Type {
	case tandem.SlackChannel:
		return n.sendSlack(ctx, string(secret), m)
	case tandem.WebhookChannel:
		config, err := parse[WebhookConfig](channel.Config)
		if err != nil {
			return err
		}
		return n.sendWebhook(ctx, config, string(secret), m)
	case tandem.EmailChannel:
		config, err := parse[EmailConfig](channel.Config)
		if err != nil {
			return err
		}
		mailer := Mailer{Config: config, Password: string(secret), Policy: n.policy, Roots: n.roots}
		return mailer.Send(ctx, Mail{ID: m.id, Subject: m.subject(), Text: m.plain(), At: m.at})
	}
	return invalid("the type %q is none of slack, email and webhook", string(channel.Type))
}

// put writes notifications. Where one of them went with its channel or its alert meanwhile, the others are written alone.
func (n *Notifier) put(ctx context.Context, org string, of []tandem.Notification) error {
	if len(of) == 0 {
		return nil
	}
	err := n.store.Apply(ctx, org, &tandem.Changes{PutNotifications: of})
	if tandem.Is(err, tandem.NotFound) && len(of) > 1 {
		for i := range of {
			if err := n.put(ctx, org, of[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil && !tandem.Is(err, tandem.NotFound) {
		return fmt.Errorf("write notifications: %w", err)
	}
	return nil
}

// note writes when a channel was last told something, nil for no other time than it has, and what went wrong.
func (n *Notifier) note(ctx context.Context, channel *tandem.Channel, sentAt *time.Time, failure string) error {
	err := n.store.NoteChannel(ctx, channel.OrganizationID, channel.ID, sentAt, failure)
	if err != nil && !tandem.Is(err, tandem.NotFound) { // the channel may go while it is spoken through, or be tested before it is there
		return fmt.Errorf("note on a channel: %w", err)
	}
	return nil
}
