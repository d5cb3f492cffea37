package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"tandem"
)

// HealthCmd is `tandem health`.
type HealthCmd struct {
	Listen  string        `default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Where the server on this machine listens, as serve was told."`
	TLSCert string        `name:"tls-cert" placeholder:"FILE" help:"As serve was told: then HTTPS is asked."`
	Ready   bool          `help:"Ask whether it is ready: whether its database and its job engine work."`
	Timeout time.Duration `default:"4s" help:"How long it may take to answer."`
}

// Run asks the server on this machine, for a container's health check: exit code 0 or 1.
func (c *HealthCmd) Run(ctx context.Context, a *app) error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return &usageError{"--listen " + c.Listen + " is no address", "write it as HOST:PORT, as for tandem serve"}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme, path := "http://", "/healthz"
	if c.TLSCert != "" {
		scheme = "https://"
	}
	if c.Ready {
		path = "/readyz"
	}
	address := net.JoinHostPort(host, port)
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	status, err := ask(ctx, scheme+address+path)
	switch {
	case err != nil:
		return tandem.Errorf(tandem.Unavailable, "health", address, "the server does not answer: %w", err).WithHint("is tandem serve running there?")
	case status != http.StatusOK:
		return tandem.Errorf(tandem.Unavailable, "health", address, "the server answers %d", status).WithHint("see its log, and its /readyz")
	}
	if a.out.json {
		return a.out.value(map[string]string{"status": "ok"})
	}
	a.out.printf("ok\n")
	return nil
}

// ask gives the status of a GET. The certificate is not looked at: it is for other names than this machine's own.
func ask(ctx context.Context, url string) (status int, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}}} //nolint:gosec // it asks itself
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	reply, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(reply.Body, 1<<20))
	return reply.StatusCode, errors.Join(err, reply.Body.Close())
}
