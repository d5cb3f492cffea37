// Package client is Tandem's API from Go: what the command line does at a server that runs, and what other programs may.
//
// It speaks the registry's words, so that a command does not know where its work is done. Every call takes the
// organization by id or slug, "" for the only one. Failures are *tandem.Error with the code that the server gave.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tandem"
)

// The bounds of a call.
const (
	tries       = 5
	firstPause  = 250 * time.Millisecond
	longestWait = 30 * time.Second
	maxReply    = 256 << 20
	maxProblem  = 1 << 20
)

// Options say where the server is and who calls.
type Options struct {
	URL   string // such as https://tandem.example.com
	Token string // tdm_…
	HTTP  *http.Client
	// Agent is told to the server; default "tandem-client".
	Agent string
}

// Client calls a server. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
	agent string
}

// New makes a client; it calls nobody yet. A token is not sent over plain HTTP except to this machine.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.URL, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, tandem.Errorf(tandem.Invalid, "call server", "", "the server's address must be https:// and a host, such as https://tandem.example.com")
	}
	if base.Scheme == "http" && !onThisMachine(base.Hostname()) {
		return nil, tandem.Errorf(tandem.Invalid, "call server", base.Host, "a token may not travel over plain HTTP").WithHint("use https://")
	}
	c := &Client{base: base, token: o.Token, http: o.HTTP, agent: o.Agent}
	if c.http == nil {
		c.http = &http.Client{Timeout: 5 * time.Minute}
	}
	if c.agent == "" {
		c.agent = "tandem-client"
	}
	// What is sent on elsewhere would carry the token along.
	if c.http.CheckRedirect == nil {
		own := *c.http
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		c.http = &own
	}
	return c, nil
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// call is one request.
type call struct {
	method string
	path   string
	org    string
	query  url.Values
	body   any    // written as JSON, unless raw is set
	raw    []byte // of the media type
	media  string
	match  string // If-Match
	once   bool   // it is done at most once, by an Idempotency-Key, and can so be repeated
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do makes a call and reads its reply into a value; nil ignores it.
func (c *Client) do(ctx context.Context, one call, into any) error {
	r, err := c.send(ctx, one)
	if err != nil || into == nil || len(r.body) == 0 {
		return err
	}
	if err := decode(r.body, into); err != nil {
		return tandem.Errorf(tandem.Malformed, one.op(), "", "the server's reply cannot be read: %w", err).WithHint("is %s a Tandem server of this version?", c.base.Host)
	}
	return nil
}

// decode keeps numbers of free-form values as they were written.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

func (one *call) op() string { return strings.ToLower(one.method) + " " + one.path }

// send makes a call, again where that can do no harm: reads, and what is done at most once, after any failure on the
// way; everything else only where the server says that it did nothing.
func (c *Client) send(ctx context.Context, one call) (reply, error) {
	text, media, err := one.content()
	if err != nil {
		return reply{}, err
	}
	key := ""
	if one.once {
		key = rand.Text()
	}
	repeatable := one.method == http.MethodGet || one.once
	for try := 1; ; try++ {
		r, err := c.once(ctx, one, text, media, key)
		again, wait := judge(r, err, repeatable)
		if !again || try == tries || ctx.Err() != nil {
			return r, err
		}
		if wait == 0 {
			wait = firstPause << (try - 1)
		}
		if !pause(ctx, wait) {
			return r, err
		}
	}
}

// judge says whether a call is worth another try, and after what time.
func judge(r reply, err error, repeatable bool) (again bool, wait time.Duration) {
	var e *tandem.Error
	if !errors.As(err, &e) || e.RetryAfter > longestWait {
		return false, 0
	}
	switch {
	case r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable:
		return true, e.RetryAfter
	case r.status == http.StatusConflict && e.Code == tandem.Busy && repeatable: // the first try is still under way
		return true, e.RetryAfter
	case r.status == 0 || r.status == http.StatusBadGateway && e.Code == tandem.Malformed:
		return repeatable, 0
	}
	return false, 0
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (one *call) content() ([]byte, string, error) {
	if one.raw != nil {
		return one.raw, one.media, nil
	}
	if one.body == nil {
		return nil, "", nil
	}
	text, err := json.Marshal(one.body)
	if err != nil {
		return nil, "", tandem.Errorf(tandem.Invalid, one.op(), "", "the request cannot be written: %w", err)
	}
	return text, "application/json", nil
}

// once makes one try.
func (c *Client) once(ctx context.Context, one call, text []byte, media, key string) (reply, error) {
	var r reply
	request, err := c.request(ctx, one, text, media, key)
	if err != nil {
		return r, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return r, c.away(ctx, one, err)
	}
	defer func() { _ = answer.Body.Close() }()
	r.status, r.header = answer.StatusCode, answer.Header
	limit := int64(maxReply)
	if answer.StatusCode >= 400 {
		limit = maxProblem
	}
	if r.body, err = io.ReadAll(io.LimitReader(answer.Body, limit)); err != nil {
		return reply{}, c.away(ctx, one, err)
	}
	if answer.StatusCode >= 300 {
		return r, c.problem(one, &r)
	}
	return r, nil
}

func (c *Client) request(ctx context.Context, one call, text []byte, media, key string) (*http.Request, error) {
	u := c.base.JoinPath(one.path)
	u.RawQuery = one.query.Encode()
	request, err := http.NewRequestWithContext(ctx, one.method, u.String(), bytes.NewReader(text))
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, one.op(), "", "the request cannot be made: %w", err)
	}
	for name, value := range map[string]string{"Content-Type": media, "Tandem-Organization": one.org, "If-Match": one.match, "Idempotency-Key": key} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.agent)
	return request, nil
}

// away is the error of a call without a reply.
func (c *Client) away(ctx context.Context, one call, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	code, message := tandem.Unavailable, "the server does not answer"
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		code, message = tandem.Timeout, "the server did not answer in time"
	}
	return &tandem.Error{Code: code, Op: one.op(), Thing: c.base.Host, Message: message, Hint: "is it running, and is this its address?", Err: err}
}

// problem reads a failure.
func (c *Client) problem(one call, r *reply) error {
	var p struct {
		Code, Detail, Hint string
		RequestID          string `json:"request_id"`
		Errors             []struct{ Location, Message string }
	}
	if err := json.Unmarshal(r.body, &p); err != nil || p.Code == "" {
		return &tandem.Error{Code: tandem.Malformed, Op: one.op(), Thing: c.base.Host, Message: fmt.Sprintf("the reply has the status %d and is none of Tandem's", r.status),
			Hint: "is this a Tandem server's address?"}
	}
	e := &tandem.Error{Code: tandem.Code(p.Code), Op: one.op(), Message: p.Detail, Hint: p.Hint, RetryAfter: retryAfter(r.header)}
	for _, wrong := range p.Errors {
		e.Message += "; " + strings.TrimPrefix(wrong.Location, "body.") + ": " + wrong.Message
	}
	switch e.Code {
	case "no_route", "method_not_allowed":
		e.Code, e.Hint = tandem.Invalid, "the server is of another version than this program"
	case "too_large", "unsupported_media_type", "precondition_required":
		e.Code = tandem.Invalid
	case "second_factor_required", "cross_origin":
		e.Code = tandem.Unauthorized
	case tandem.Internal:
		e.Hint = "whoever runs the server finds the request " + p.RequestID + " in its log"
	}
	return e
}

// retryAfter reads seconds or a date.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 && seconds < 1<<31 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// path joins parts of an address, each escaped.
func path(parts ...string) string {
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return "/api/v1/" + strings.Join(parts, "/")
}

// values makes a query of pairs, without the empty ones.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

// paging adds a page to a query.
func paging(v url.Values, p tandem.Page) url.Values {
	if p.Number > 0 {
		v.Set("page", strconv.Itoa(p.Number))
	}
	if p.Limit > 0 {
		v.Set("limit", strconv.Itoa(min(p.Limit, 1000)))
	}
	return v
}

// truth writes a switch that is on.
func truth(on bool) string {
	if on {
		return "true"
	}
	return ""
}

// version writes If-Match.
func version(v *int64) string {
	if v == nil {
		return "*"
	}
	return `"` + strconv.FormatInt(*v, 10) + `"`
}

// versions writes If-Match of a call to which a version may be given.
func versions(ifVersion []int64) string {
	if len(ifVersion) == 0 {
		return version(nil)
	}
	return version(&ifVersion[0])
}
