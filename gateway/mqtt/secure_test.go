package mqtt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	paho3 "github.com/eclipse/paho.mqtt.golang"

	"tandem"
	"tandem/gateway"
	"tandem/gateway/mqtt"
)

// certificate makes one that a parent signed, or itself.
func certificate(w *world, parent *tls.Certificate) tls.Certificate {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	w.must(err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "test " + serial.String()}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	signer, signerKey := template, any(key)
	if parent != nil {
		signer, signerKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	w.must(err)
	leaf, err := x509.ParseCertificate(der)
	w.must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// files writes a certificate and its key where mosquitto's clients read them.
func files(w *world, c *tls.Certificate) (certFile, keyFile string) {
	w.Helper()
	dir := w.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	w.must(os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600))
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	w.must(err)
	w.must(os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return certFile, keyFile
}

// secured is a broker with TLS, and who signs its devices' certificates.
func secured(w *world) (authority tls.Certificate, pool *x509.CertPool) {
	authority = certificate(w, nil)
	pool = x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	own := certificate(w, &authority)
	w.serve(func(o *mqtt.BrokerOptions) {
		o.ListenTLS, o.WebSocket = "127.0.0.1:0", "127.0.0.1:0"
		o.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12}
	})
	return authority, pool
}

func TestTLSAndClientCertificates(t *testing.T) {
	w := onSQLite(t)
	authority, _ := secured(w)
	d := w.device("sensor")
	known, stranger := certificate(w, &authority), certificate(w, &authority)
	w.credential(&d, tandem.Credential{Kind: tandem.CertificateCredential, Identity: gateway.Fingerprint(known.Certificate[0])})
	ca, _ := files(w, &authority)
	pub := func(value string, args ...string) error {
		w.Helper()
		args = append(append(hostPort(w.b.Addresses()["mqtts"]), "--cafile", ca, "-q", "1", "-t", w.topic(&d, "telemetry"), "-m", `{"battery":`+value+`}`), args...)
		out, err := exec.CommandContext(w.Context(), "mosquitto_pub", args...).CombinedOutput()
		if err != nil {
			w.Logf("%s", out)
		}
		return err
	}
	w.must(pub("31", "-u", d.user, "-P", d.password))
	equal(w, w.battery(&d), 31)
	for _, version := range []string{"311", "5"} {
		cert, key := files(w, &known)
		w.must(pub("3"+version[:1], "-V", version, "--cert", cert, "--key", key))
		equal(w, w.battery(&d), 30+float64(version[0]-'0'))
		cert, key = files(w, &stranger)
		if pub("1", "-V", version, "--cert", cert, "--key", key) == nil || pub("1", "-V", version) == nil {
			w.Error("a stranger is let in")
		}
	}
}

func TestWebSockets(t *testing.T) {
	w := onSQLite(t)
	_, pool := secured(w)
	d := w.device("sensor")
	c := w.client3(&d, func(o *paho3.ClientOptions) {
		o.Servers = nil
		o.AddBroker("wss://" + w.b.Addresses()["wss"] + "/mqtt").SetTLSConfig(&tls.Config{RootCAs: pool})
	})
	w.must(wait(c.Publish(w.topic(&d, "telemetry"), 1, false, `{"battery":44}`)))
	equal(w, w.battery(&d), 44)

	plain := onPlainSocket(w)
	u, err := url.Parse("ws://" + plain.b.Addresses()["ws"])
	w.must(err)
	manager, err := autopaho.NewConnection(t.Context(), autopaho.ClientConfig{ServerUrls: []*url.URL{u}, ConnectUsername: d.user, ConnectPassword: []byte(d.password), KeepAlive: 30,
		ClientConfig: paho.ClientConfig{ClientID: "five"}})
	w.must(err)
	w.must(manager.AwaitConnection(t.Context()))
	_, err = manager.Publish(t.Context(), &paho.Publish{Topic: w.topic(&d, "telemetry"), QoS: 1, Payload: []byte("\xa1\x67battery\x18\x4e"), Properties: &paho.PublishProperties{ContentType: "application/cbor"}})
	w.must(err)
	equal(w, w.battery(&d), 78)
	answer, err := manager.Publish(t.Context(), &paho.Publish{Topic: w.topic(&d, "telemetry"), QoS: 1, Payload: []byte(`{"battery":`), Properties: &paho.PublishProperties{ContentType: "application/json"}})
	if err == nil || answer == nil || answer.ReasonCode != 0x99 || answer.Properties.ReasonString == "" {
		w.Errorf("%+v %v", answer, err)
	}
	w.must(manager.Disconnect(t.Context()))
}

// onPlainSocket is another broker of the same world, with WebSockets and without TLS.
func onPlainSocket(w *world) *world {
	other := &world{T: w.T, store: w.store, org: w.org, slug: w.slug, g: w.g, log: w.log}
	return other.serve(func(o *mqtt.BrokerOptions) { o.Listen, o.WebSocket = "", "127.0.0.1:0" })
}
