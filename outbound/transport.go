package outbound

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"tandem"
)

// maxRedirects is how often a reply may send a request elsewhere.
const maxRedirects = 3

// Dialer gives a dialer that connects to what the policy permits, for other protocols than HTTP too.
func Dialer(p Policy) *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: p.control}
}

// Transport gives a pool of connections to what the policy permits. It fits wherever an http.RoundTripper is taken.
func Transport(p Policy) *http.Transport {
	t := &http.Transport{
		DialContext:            Dialer(p).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  60 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         32 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if p.Proxy == nil {
		return t
	}
	// Everything goes through the proxy, whose address the operator named: only the text of the target is looked at.
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		return p.Proxy, p.checkURL("outbound: connect", r.URL)
	}
	return t
}

// Client gives an HTTP client for one-off calls with a time limit for each as a whole. Where a reply redirects it,
// the new address is checked like the first.
func Client(p Policy, transport http.RoundTripper, timeout time.Duration) *http.Client {
	return &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: p.CheckRedirect}
}

// CheckRedirect is for http.Client: it refuses to follow a reply to an address that may not be called,
// and to follow many.
func (p Policy) CheckRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return tandem.Errorf(tandem.Invalid, "outbound: follow redirect", r.URL.Hostname(), "the address redirects more than %d times", maxRedirects)
	}
	return p.checkURL("outbound: follow redirect", r.URL)
}

// Cause takes the URL out of an HTTP client's error: its path may be a secret.
func Cause(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// ReadBody reads a reply's body up to a limit; what is longer is Malformed. It does not close it.
func ReadBody(body io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(text)) > limit:
		return nil, tandem.Errorf(tandem.Malformed, "outbound: read reply", "", "the reply is longer than %d bytes", limit)
	}
	return text, nil
}
