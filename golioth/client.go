package golioth

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"tandem"
)

// The client's constants. Sizes are in bytes.
const (
	// DefaultBaseURL is Golioth's own service.
	DefaultBaseURL = "https://api.golioth.io"
	// WriteTimeout bounds a write from the call to the last byte of its reply, waiting for the budget
	// included. A lease must outlast it when a write starts (S19).
	WriteTimeout = 10 * time.Second
	// ReadTimeout bounds one attempt of a read, from the first byte sent to the last received.
	ReadTimeout = 30 * time.Second
	// DefaultPageConcurrency is how many pages of a listing are fetched at once (docs/decisions/0004).
	DefaultPageConcurrency = 4
	// MaxBody bounds every reply. A page of 100 devices takes about 60 kB.
	MaxBody = 16 << 20
	// MaxPerPage is the most devices that Golioth puts on a page.
	MaxPerPage = 100
)

// Options say which project a client talks to, and how. Only Project and Key are required.
type Options struct {
	// BaseURL is where the API is, without /v1; "" means DefaultBaseURL. Plain http is for loopback only.
	BaseURL string
	// Project is the project's id, a slug such as my-first-project.
	Project string
	// Key is the project's API key.
	Key Secret
	// Budget is asked before every request, retries included (S32); nil means no limit.
	Budget tandem.Budget
	// PageConcurrency is how many pages of one listing are fetched at once; 0 means the default.
	PageConcurrency int
	// Transport carries the requests; nil means a pool of the client's own.
	Transport http.RoundTripper
	// Clock tells the time; nil means time.Now.
	Clock tandem.Clock
	// ReadTimeout and WriteTimeout replace the constants of the same name when positive.
	ReadTimeout  time.Duration
	WriteTimeout time.Duration
	// Retry tunes how reads are retried; the zero value is right for production.
	Retry Retry
}

// Client talks to one project. It is safe for concurrent use.
type Client struct {
	base         string // scheme, host and path, without a final slash or /v1
	host         string // for messages
	project      string
	key          Secret
	budget       tandem.Budget
	ahead        int
	transport    http.RoundTripper
	own          *http.Transport // the pool made here, nil for a given one
	clock        tandem.Clock
	readTimeout  time.Duration
	writeTimeout time.Duration
	retry        Retry

	reads       failsafe.Executor[*reply]
	writes      failsafe.Executor[*reply]
	breaker     circuitbreaker.CircuitBreaker[*reply]
	pausedUntil atomic.Int64           // Unix nanoseconds by clock, from Retry-After
	lastFailure atomic.Pointer[string] // what a breaker that opened should say

	organization atomic.Pointer[string] // the remote's own, for the paths under it
}

var _ tandem.Remote = (*Client)(nil)

// New makes a client. It sends nothing; Project is the first contact. Its errors are Invalid.
func New(o Options) (*Client, error) {
	const op = "golioth: new client"
	if o.BaseURL == "" {
		o.BaseURL = DefaultBaseURL
	}
	base, host, err := parseBase(op, o.BaseURL)
	if err != nil {
		return nil, err
	}
	key := Secret(strings.TrimSpace(string(o.Key)))
	switch {
	case o.Project == "" || o.Project == "." || o.Project == "..":
		return nil, tandem.Errorf(tandem.Invalid, op, "", "the project id is missing").
			WithHint("it is the last part of the project's address in the Golioth console")
	case key == "":
		return nil, tandem.Errorf(tandem.Invalid, op, "", "the API key is missing").
			WithHint("create one in the Golioth console, under the project's API keys")
	case strings.ContainsFunc(string(key), func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, tandem.Errorf(tandem.Invalid, op, "", "the API key holds spaces or characters that no key has").
			WithHint("check that the file or variable holds the key and nothing else")
	}
	c := &Client{base: base, host: host, project: o.Project, key: key, budget: o.Budget, ahead: o.PageConcurrency,
		transport: o.Transport, clock: o.Clock, readTimeout: o.ReadTimeout, writeTimeout: o.WriteTimeout,
		retry: o.Retry.withDefaults()}
	if c.ahead <= 0 {
		c.ahead = DefaultPageConcurrency
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.readTimeout <= 0 {
		c.readTimeout = ReadTimeout
	}
	if c.writeTimeout <= 0 {
		c.writeTimeout = WriteTimeout
	}
	if c.transport == nil {
		c.own = newPool()
		c.transport = c.own
	}
	c.breaker = c.newBreaker()
	c.reads = failsafe.With[*reply](c.newRetry(), c.newConfirmation(), c.breaker)
	c.writes = failsafe.With[*reply](c.breaker)
	return c, nil
}

// Close lets go of idle connections. Calls under way are not disturbed.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// newPool makes a transport for one host with as many kept connections as a service's default concurrency.
func newPool() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ReadBufferSize:        32 << 10,
	}
}

// parseBase checks a base URL and gives it without a final slash or /v1, and its host.
func parseBase(op, raw string) (base, host string, err error) {
	u, parseErr := url.Parse(strings.TrimSpace(raw))
	switch {
	case parseErr != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		// The text is not quoted: a mangled URL may hold a secret.
		return "", "", tandem.Errorf(tandem.Invalid, op, "", "the base URL is not an http or https address").
			WithHint("use %s, or the address of a simulator such as http://127.0.0.1:7070", DefaultBaseURL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", "", tandem.Errorf(tandem.Invalid, op, u.Host, "the base URL holds more than a scheme, a host and a path").
			WithHint("leave out user names, passwords and everything from ? or # on")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "", "", tandem.Errorf(tandem.Invalid, op, u.Host, "the API key is not sent over plain http").
			WithHint("use https; plain http is for an address of this machine only")
	}
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/v1")
	return u.Scheme + "://" + u.Host + path, u.Host, nil
}

// loopback reports whether a host name means this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
