package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// putCertificate writes a certificate for this machine, with a serial number, and its key.
func putCertificate(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: text}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := putCertificate(t, dir, 1)
	var later atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	r := start(t, ok, func(o *Options) { o.CertFile, o.KeyFile, o.Clock = cert, key, clock })
	// shake makes a handshake and gives the serial number of the certificate.
	shake := func(at string, most uint16) (int64, *tls.ConnectionState, error) {
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: most, NextProtos: []string{"h2", "http/1.1"}}} //nolint:gosec // the certificate is its own
		conn, err := dialer.DialContext(t.Context(), "tcp", at)
		if err != nil {
			return 0, nil, err
		}
		defer func() { _ = conn.Close() }()
		state := conn.(*tls.Conn).ConnectionState()
		return state.PeerCertificates[0].SerialNumber.Int64(), &state, nil
	}
	serial, state, err := shake(r.addr, tls.VersionTLS13)
	if err != nil || serial != 1 || state.NegotiatedProtocol != "h2" {
		t.Fatalf("serial %d, %+v: %v", serial, state, err)
	}
	if _, _, err := shake(r.addr, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
	old := start(t, ok, func(o *Options) { o.CertFile, o.KeyFile, o.AllowTLS12 = cert, key, true })
	if _, _, err := shake(old.addr, tls.VersionTLS12); err != nil {
		t.Errorf("TLS 1.2, allowed: %v", err)
	}
	if _, _, err := shake(old.addr, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}

	// A certificate that is half there changes nothing; a whole one counts from the next look on.
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	later.Add(int64(2 * certificateLook))
	if serial, _, err := shake(r.addr, tls.VersionTLS13); err != nil || serial != 1 {
		t.Errorf("half a certificate: serial %d: %v", serial, err)
	}
	putCertificate(t, dir, 2)
	if serial, _, err := shake(r.addr, tls.VersionTLS13); err != nil || serial != 1 {
		t.Errorf("before the next look: serial %d: %v", serial, err)
	}
	later.Add(int64(2 * certificateLook))
	if serial, _, err := shake(r.addr, tls.VersionTLS13); err != nil || serial != 2 {
		t.Errorf("a new certificate: serial %d: %v", serial, err)
	}

	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // likewise
	r.client.Transport = transport
	r.url = "https://" + r.addr
	response, text := r.get(t, "/api/")
	if response.ProtoMajor != 2 || text != "ok" {
		t.Errorf("%s %q", response.Proto, text)
	}
	transport.CloseIdleConnections()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.log.String(), "the certificate was read again") {
		t.Error("the log does not say that the certificate was read again")
	}
}
