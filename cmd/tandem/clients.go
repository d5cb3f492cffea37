package main

import (
	"bytes"
	"errors"
	"net/http"
	"sync"

	"tandem"
	"tandem/budget"
	"tandem/golioth"
	"tandem/secret"
)

// clients gives each service its client, with its key and its share of the budget (S32). One that is made is used
// again until the service's key, address or budget changes.
type clients struct {
	store tandem.BudgetStore
	keys  *secret.Keyring
	// transport carries a service's requests; nil for a pool of the client's own.
	transport func(service *tandem.Service) http.RoundTripper

	mu      sync.Mutex
	kept    map[string]*connection // by service
	retired []*connection          // replaced ones, which a run may still be using
}

// connection is a service's client with what it was made of.
type connection struct {
	made   tandem.Service
	client *golioth.Client
	budget *budget.Budget
}

// serves reports whether a connection is right for the service as it is now.
func (c *connection) serves(s *tandem.Service) bool {
	was, is := &c.made.Config, &s.Config
	return was.BaseURL == is.BaseURL && was.Project == is.Project && was.PrivateAddress == is.PrivateAddress &&
		was.RequestsPerMinute == is.RequestsPerMinute && was.Concurrency == is.Concurrency && bytes.Equal(c.made.Credentials, s.Credentials)
}

// close lets go of connections and of the share of the budget.
func (c *connection) close() {
	c.client.Close()
	c.budget.Close()
}

// of gives a service's client.
func (c *clients) of(s *tandem.Service, options golioth.Options) (*golioth.Client, error) {
	if len(s.Credentials) == 0 {
		return nil, tandem.Errorf(tandem.KeyLost, "connect", s.Name, "the service has no API key").
			WithHint("give it one: tandem service update %s --org %s --api-key-file FILE", word(s.Name), word(s.OrganizationID))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, ok := c.kept[s.ID]
	if ok && kept.serves(s) {
		return kept.client, nil
	}
	fresh, err := c.connect(s, options)
	if err != nil {
		return nil, err
	}
	if ok {
		c.retired = append(c.retired, kept)
	}
	if c.kept == nil {
		c.kept = map[string]*connection{}
	}
	c.kept[s.ID] = fresh
	return fresh.client, nil
}

// connect makes a client.
func (c *clients) connect(s *tandem.Service, options golioth.Options) (*connection, error) {
	key, err := c.keys.Unseal(s.Credentials, where(s.OrganizationID, s.ID))
	if err != nil {
		return nil, keyHint(err, s)
	}
	share := budget.New(budget.Options{Store: c.store, OrganizationID: s.OrganizationID, ServiceID: s.ID, Holder: newID(),
		RequestsPerMinute: s.Config.RequestsPerMinute, Concurrency: s.Config.Concurrency})
	options.BaseURL, options.Project, options.Key, options.Budget = s.Config.BaseURL, s.Config.Project, golioth.Secret(key.Reveal()), share
	if c.transport != nil {
		options.Transport = c.transport(s)
	}
	client, err := golioth.New(options)
	if err != nil {
		share.Close()
		return nil, err
	}
	return &connection{made: *s, client: client, budget: share}, nil
}

// close lets go of all.
func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kept := range c.kept {
		kept.close()
	}
	for _, old := range c.retired {
		old.close()
	}
}

// keyHint names the service that an unreadable key belongs to.
func keyHint(err error, v *tandem.Service) error {
	var e *tandem.Error
	if !errors.As(err, &e) || e.Code != tandem.KeyLost {
		return err
	}
	named := *e
	return named.WithHint("put the key file back from a backup, or give the key again: tandem service update %s --org %s --api-key-file FILE",
		word(v.Name), word(v.OrganizationID))
}
