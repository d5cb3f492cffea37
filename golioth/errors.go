package golioth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"tandem"
)

// The gRPC codes that change what a status means (API.md §1).
const (
	grpcNotFound = 5
	grpcAborted  = 10
)

// decodeError reads an error body; ok is false when it is not Golioth's.
func decodeError(body []byte) (code int, message string, ok bool) {
	var wire struct {
		Code    *count  `json:"code"`
		Message *string `json:"message"`
	}
	if json.Unmarshal(body, &wire) != nil || wire.Code == nil && wire.Message == nil {
		return 0, "", false
	}
	if wire.Code != nil {
		code = int(*wire.Code)
	}
	if wire.Message != nil {
		message = *wire.Message
	}
	return code, message, true
}

// html reports whether a reply is a web page.
func html(r *reply) bool {
	return strings.Contains(r.header.Get("Content-Type"), "html") || bytes.HasPrefix(bytes.TrimSpace(r.text), []byte("<"))
}

// clean makes a remote's text fit for a person: one line, bounded, without the key.
func (c *Client) clean(text string) string {
	text = strings.ReplaceAll(text, string(c.key), redacted)
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return strings.TrimRight(strings.TrimSpace(text), ".")
}

// has reports whether the message has one of the fragments that Golioth's own client goes by.
func has(message string, fragments ...string) bool {
	message = strings.ToLower(message)
	for _, f := range fragments {
		if strings.Contains(message, f) {
			return true
		}
	}
	return false
}

// refusal maps a reply that is no success to an error.
func (c *Client) refusal(k *call, r *reply) *tandem.Error {
	code, message, known := decodeError(r.text)
	if message = c.clean(message); k.private.tells(message) {
		message = ""
	}
	said := func(otherwise string) string {
		if message == "" {
			return otherwise
		}
		return fmt.Sprintf("Golioth says %q", message)
	}
	fail := func(as tandem.Code, text string) *tandem.Error {
		return &tandem.Error{Code: as, Op: k.op, Thing: k.thing, Message: text, Err: fmt.Errorf("HTTP %d, code %d", r.status, code)}
	}
	strange := !known && html(r)
	switch status := r.status; {
	case status >= 300 && status <= 399:
		return fail(tandem.Invalid, c.host+" sends the request elsewhere"+c.elsewhere(r)+", which is not followed").
			WithHint("set the base URL to where the API really is")
	case status == http.StatusUnauthorized:
		return fail(tandem.Unauthorized, "the API key was refused: "+said("HTTP 401")).
			WithHint("check the key in the Golioth console: it may have been deleted, or belong to another project")
	case status == http.StatusForbidden && strange:
		return fail(tandem.Forbidden, "access was denied with a web page, which does not look like Golioth").
			WithHint("a proxy or firewall may stand between; check the base URL %s", c.base)
	case status == http.StatusForbidden:
		return fail(tandem.Forbidden, "the API key may not do this: "+said("HTTP 403")).
			WithHint("check that the key belongs to project %q and that the project exists", c.project)
	case status == http.StatusTooManyRequests:
		e := fail(tandem.RateLimited, "Golioth asks for fewer requests").WithHint("lower the service's requests per minute")
		e.RetryAfter, _ = r.retryAfter(c.clock())
		return e
	case status == http.StatusNotImplemented:
		return fail(tandem.Unavailable, c.host+" does not know this call: "+said("HTTP 501")).
			WithHint("check that the base URL %s is Golioth's", c.base)
	case status == http.StatusGatewayTimeout, status == http.StatusBadGateway: // what stands before Golioth answers, while the call may go on behind it
		return fail(tandem.Timeout, "Golioth did not answer in time behind "+c.host+": "+said(fmt.Sprintf("HTTP %d", status))).WithHint("try again later")
	case status >= 500:
		e := fail(tandem.Unavailable, fmt.Sprintf("%s is failing (HTTP %d): %s", c.host, status, said("no reason given"))).
			WithHint("try again later")
		e.RetryAfter, _ = r.retryAfter(c.clock())
		return e
	case has(message, "already being used", "already exists", "already in use", "duplicate key"):
		return fail(tandem.Exists, said("")).WithHint("choose another name, or use the one that exists")
	case k.subject == aboutDevice && has(message, "tag not found", "cohort not found", "blueprint not found"):
		return fail(tandem.Invalid, said("")).WithHint("it was deleted on Golioth; sync again to learn what is there")
	case status == http.StatusNotFound && code == grpcNotFound && k.subject == aboutCollection:
		return fail(tandem.NotFound, "Golioth does not know this: "+said("HTTP 404")).
			WithHint("check the project id %q and the base URL %s", c.project, c.base)
	case status == http.StatusNotFound && code == grpcNotFound:
		return fail(tandem.NotFound, "Golioth has no such thing: "+said("HTTP 404"))
	case status == http.StatusNotFound:
		return fail(tandem.Malformed, c.host+" answers 404 in a way that does not look like Golioth").
			WithHint("check the base URL %s", c.base)
	case status == http.StatusConflict && code == grpcAborted:
		return fail(tandem.Stale, "another change came first: "+said("HTTP 409")).WithHint("read again and repeat")
	case status == http.StatusConflict:
		return fail(tandem.Exists, said("the name or identity is taken")).WithHint("choose another name, or use the one that exists")
	case status == http.StatusRequestTimeout || status == 499:
		return fail(tandem.Timeout, "Golioth gave the request up: "+said(fmt.Sprintf("HTTP %d", status))).WithHint("try again later")
	case status >= 400 && !strange:
		return fail(tandem.Invalid, said(fmt.Sprintf("Golioth refused the request (HTTP %d)", status)))
	}
	return fail(tandem.Malformed, fmt.Sprintf("%s answers HTTP %d in a way that does not look like Golioth", c.host, r.status)).
		WithHint("check the base URL %s", c.base)
}

// elsewhere names the host that a redirect points to, and nothing else of it.
func (c *Client) elsewhere(r *reply) string {
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil || u.Host == "" {
		return ""
	}
	return " (to " + c.clean(u.Scheme+"://"+u.Host) + ")"
}

// malformed says that a reply of status 200 could not be read.
func (c *Client) malformed(k *call, r *reply, err error) *tandem.Error {
	e := &tandem.Error{Code: tandem.Malformed, Op: k.op, Thing: k.thing, Message: "the reply from " + c.host + " cannot be read", Err: err}
	if k.write {
		return e.WithHint("the change may have been made; read it back")
	}
	if r != nil && html(r) {
		e.Message = c.host + " answers with a web page; this does not look like Golioth"
	}
	return e.WithHint("check that the base URL %s is Golioth's", c.base)
}

// failure maps what kept a call from getting a whole reply.
func (c *Client) failure(k *call, err error) error {
	var attempt *attemptError
	var known *tandem.Error
	fail := func(as tandem.Code, format string, args ...any) *tandem.Error {
		return &tandem.Error{Code: as, Op: k.op, Thing: k.thing, Message: fmt.Sprintf(format, args...), Err: err}
	}
	switch {
	case errors.Is(err, circuitbreaker.ErrOpen):
		return c.open(k, err)
	case k.write && !k.sent.Load() && errors.Is(err, context.DeadlineExceeded):
		return fail(tandem.RateLimited, "the request's turn did not come within %v; nothing was sent", positive(k.timeout, c.writeTimeout)).
			WithHint("try again later, or raise the service's requests per minute")
	case errors.As(err, &attempt):
	case errors.As(err, &known): // the budget's own
		return known
	case errors.Is(err, context.Canceled):
		return fail(tandem.Timeout, "the request to %s was canceled%s", c.host, effect(k))
	case errors.Is(err, context.DeadlineExceeded):
		e := fail(tandem.Timeout, "no answer from %s in time%s", c.host, effect(k))
		if last := k.last.Load(); last != nil {
			e.Message += fmt.Sprintf(" (the last reply was HTTP %d)", last.status)
		}
		return e.WithHint("try again later")
	default:
		return fail(tandem.Unavailable, "the request to %s could not be made", c.host)
	}
	switch {
	case attempt.kind == kindBroken || attempt.kind == kindShape:
		return attempt.err // Malformed, in words
	case attempt.kind == kindTooLarge:
		return fail(tandem.Malformed, "the reply from %s is larger than 16 MiB", c.host).WithHint("check that the base URL %s is Golioth's", c.base)
	case k.write && attempt.kind == kindTimeout:
		return fail(tandem.Timeout, "no answer from %s in time; effect unknown", c.host).WithHint("read it back before trying again")
	case k.write && (attempt.kind != kindNetwork || !neverSent(attempt.err)):
		return fail(tandem.Timeout, "the connection to %s ended before the reply; effect unknown", c.host).
			WithHint("read it back before trying again")
	case attempt.kind == kindTimeout:
		return fail(tandem.Timeout, "no answer from %s in time", c.host).WithHint("try again later")
	case attempt.kind == kindCut:
		return fail(tandem.Malformed, "the reply from %s was cut short", c.host).WithHint("try again later")
	}
	p := networkProblem(attempt.err, c.host)
	return fail(tandem.Unavailable, "%s", p.message).WithHint("%s", p.hint)
}

// effect says what a broken-off write leaves behind.
func effect(k *call) string {
	switch {
	case !k.write:
		return ""
	case k.sent.Load():
		return "; effect unknown"
	}
	return "; nothing was sent"
}

// open says that the breaker holds the call back, why, and when it lets one through again.
func (c *Client) open(k *call, err error) *tandem.Error {
	wait := c.breaker.RemainingDelay()
	why := ""
	if last := c.lastFailure.Load(); last != nil {
		why = ", the last time: " + c.clean(*last)
	}
	e := &tandem.Error{Code: tandem.Unavailable, Op: k.op, Thing: k.thing, RetryAfter: wait, Err: fmt.Errorf("%w: %w", tandem.ErrBreakerOpen, err),
		Message: fmt.Sprintf("%s has failed %d times in a row%s", c.host, c.retry.BreakerFailures, why)}
	return e.WithHint("it is tried again in %v, at %s", wait.Round(time.Second), c.clock().Add(wait).UTC().Format(time.RFC3339))
}

// confirm finds out whether a key that a write was refused with is refused altogether (S31), by one read.
func (c *Client) confirm(ctx context.Context, refusal *tandem.Error) error {
	if _, err := c.Project(ctx); err != nil || refusal.Code == tandem.Forbidden {
		return refusal
	}
	refusal.Code = tandem.RateLimited // a refusal that says nothing about the key: nothing was changed
	refusal.Message = "the API key was refused once and accepted right afterwards; nothing was changed"
	return refusal.WithHint("try again")
}

// problem is a network failure in words.
type problem struct{ message, hint string }

// networkProblem says what is wrong with the way to the host, and what to check.
func networkProblem(err error, host string) problem {
	var dns *net.DNSError
	var attempt *attemptError
	var denied *tandem.Error
	switch {
	case errors.As(err, &denied) && denied.Code == tandem.Invalid: // where the name leads is nobody's business
		return problem{host + " is not called: " + denied.Message, denied.Hint}
	case errors.As(err, &attempt) && attempt.kind == kindTimeout:
		return problem{"no answer from " + host + " in time", "try again later"}
	case errors.As(err, &attempt) && attempt.kind == kindBroken:
		return problem{"the reply from " + host + " could not be read", "try again later"}
	case errors.As(err, &dns):
		return problem{"the host " + host + " was not found", "check the base URL's host name and this machine's DNS"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return problem{"the connection to " + host + " was refused", "check the host and port of the base URL, and that the service is running"}
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH):
		return problem{"there is no way to " + host + " from here", "check this machine's network and firewall"}
	case plainOverTLS(err):
		return problem{host + " answers plain http where https was expected", "check the port and the scheme of the base URL"}
	case certificate(err):
		return problem{"the TLS certificate of " + host + " is not trusted", "check the host name, this machine's clock and its certificate authorities"}
	case strings.Contains(err.Error(), "malformed HTTP"):
		return problem{host + " does not speak http", "check the port and the scheme of the base URL"}
	}
	return problem{"the connection to " + host + " broke", "try again; if it stays, check the network, proxy and firewall between here and there"}
}

func plainOverTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

func certificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid)
}

// permanent reports whether trying again cannot help.
func permanent(err error) bool {
	var dns *net.DNSError
	return tandem.Is(err, tandem.Invalid) || certificate(err) || plainOverTLS(err) || errors.As(err, &dns) && dns.IsNotFound ||
		strings.Contains(err.Error(), "malformed HTTP") || strings.Contains(err.Error(), "unsupported protocol scheme")
}

// neverSent reports whether the connection failed before a request could leave.
func neverSent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial" || certificate(err) || plainOverTLS(err)
}

// timedOut reports whether the transport's own patience ended.
func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
