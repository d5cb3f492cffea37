package server

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"sync"
	"time"

	"tandem"
)

// certificateLook is how often the files are looked at, at most.
const certificateLook = 10 * time.Second

// certificates is a certificate that follows its files: whoever renews it need not restart the program.
type certificates struct {
	certFile, keyFile string
	clock             tandem.Clock
	log               *slog.Logger

	mu     sync.Mutex
	now    *tls.Certificate
	state  [2]fileState
	looked time.Time
}

// fileState tells one version of a file from another.
type fileState struct {
	changed time.Time
	size    int64
}

// newCertificates reads the files for the first time.
func newCertificates(certFile, keyFile string, clock tandem.Clock, log *slog.Logger) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile, clock: clock, log: log, looked: clock()}
	c.state = c.files()
	var err error
	if c.now, err = c.read(); err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "server: read certificate", certFile, "the certificate or its key cannot be used: %w", err)
	}
	return c, nil
}

// get is for tls.Config. Files that cannot be used leave what there was.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if now.Sub(c.looked) < certificateLook {
		return c.now, nil
	}
	c.looked = now
	state := c.files()
	if state == c.state {
		return c.now, nil
	}
	fresh, err := c.read()
	if err != nil { // half written, perhaps: looked at again
		c.log.Warn("the changed certificate cannot be used; the one before stays", "file", c.certFile, "error", err.Error())
		return c.now, nil
	}
	c.now, c.state = fresh, state
	c.log.Info("the certificate was read again", "file", c.certFile)
	return c.now, nil
}

// read reads both files.
func (c *certificates) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	return &pair, err
}

// files says how the files are.
func (c *certificates) files() (state [2]fileState) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			state[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return state
}

// TLS gives what others that listen with the server's certificate, and for the same clients' ones, are to use; nil where
// there is none.
func (s *Server) TLS() *tls.Config { return s.http.TLSConfig.Clone() }

// readClientCAs reads who signs clients' certificates.
func readClientCAs(file, certFile string) (*x509.CertPool, error) {
	const op = "server: read client certificate authorities"
	if certFile == "" {
		return nil, tandem.Errorf(tandem.Invalid, op, file, "clients can show a certificate only to a server that has one")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, op, file, "the file cannot be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, tandem.Errorf(tandem.Invalid, op, file, "the file holds no certificate in PEM")
	}
	return pool, nil
}
