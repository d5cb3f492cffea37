package coap

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"

	"tandem"
	"tandem/gateway"
)

// The bounds of handshakes.
const (
	keyTime     = 5 * time.Second // for asking for a key
	mostGuesses = 4               // handshakes at once of one identity at one address
)

// suites are those of pre-shared keys: what constrained devices have, and those that keep past messages secret first.
var suites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256,
	dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
	dtls.TLS_PSK_WITH_AES_128_CCM,
	dtls.TLS_PSK_WITH_AES_128_CCM_8,
	dtls.TLS_PSK_WITH_AES_256_CCM_8,
	dtls.TLS_PSK_WITH_AES_128_CBC_SHA256,
}

// handshake is one that goes on.
type handshake struct {
	s        *Server
	link     *link
	context  context.Context
	identity string
	device   gateway.Device // once the identity has one
	counted  bool
}

// shake lets a device in, and serves it.
func (k *socket) shake(l *link) {
	ctx, cancel := context.WithTimeout(k.s.context, k.s.o.Handshake)
	defer cancel()
	h := &handshake{s: k.s, link: l, context: ctx}
	secured, err := h.run()
	if err != nil {
		// The link ended, or ends here.
		_ = l.Close()
		k.s.o.Log.Debug("a DTLS handshake failed", "address", l.address(), "error", err)
		return
	}
	c := k.s.newConn(secured, h.device, l.address())
	former, ok := k.promote(l)
	if former != nil {
		former.shut() // whoever reads from it ends
	}
	if !ok || !k.s.join(c) {
		c.close()
		return
	}
	c.run()
}

// run shakes hands.
func (h *handshake) run() (conn *dtls.Conn, err error) {
	conn, err = dtls.ServerWithOptions(h.link, h.link.RemoteAddr(), dtls.WithPSK(h.key), dtls.WithCipherSuites(suites...), dtls.WithLoggerFactory(silence{}),
		dtls.WithPSKIdentityHint([]byte("tandem"))) // with elliptic curves there has to be one (RFC 5489), and the library leaves an empty one out
	if err != nil {
		return nil, err
	}
	err = conn.HandshakeContext(h.context)
	if h.counted {
		h.s.guesses.end(h.identity, h.link.address())
	}
	state, known := conn.ConnectionState()
	if err == nil && (!known || h.device.ID == "" || string(state.IdentityHint) != h.identity) {
		err = errIdentity
	}
	if err == nil {
		return conn, nil
	}
	if h.device.ID != "" && h.s.context.Err() == nil { // it was given a key, and could not use it
		h.s.o.Gateway.WrongKey(h.identity, h.link.address())
	}
	return nil, errors.Join(err, conn.Close())
}

var (
	errIdentity = errors.New("the handshake ended with another identity than it began with")
	errGuesses  = errors.New("too many handshakes of this identity at once")
)

// key gives the pre-shared key of an identity. The database may be away: then the handshake fails, and the device tries again.
func (h *handshake) key(identity []byte) ([]byte, error) {
	h.link.proven.Store(true)
	if h.counted {
		return nil, errIdentity
	}
	h.identity = string(identity)
	if !h.s.guesses.begin(h.identity, h.link.address()) {
		return nil, errGuesses
	}
	h.counted = true
	ctx, cancel := context.WithTimeout(h.context, keyTime)
	defer cancel()
	device, key, err := h.s.o.Gateway.PSK(ctx, h.identity, h.link.address())
	if tandem.Is(err, tandem.Unauthorized) { // it fails as it would with a wrong key: nobody finds out which identities there are
		return []byte(rand.Text()), nil
	}
	if err != nil {
		if !tandem.Is(err, tandem.RateLimited) {
			h.s.o.Log.Warn("a device's key cannot be read", "error", err)
		}
		return nil, err
	}
	h.device = device
	return key, nil
}

// plain serves an address without DTLS.
func (k *socket) plain(l *link) {
	c := k.s.newConn(l, gateway.Device{}, l.address())
	if !k.s.join(c) {
		c.close()
		return
	}
	c.run()
}

// guesses counts the handshakes under way by identity and address: one at a time is for devices, many are for guessing.
type guesses struct {
	mu sync.Mutex
	by map[[2]string]int
}

func (g *guesses) begin(identity, address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = map[[2]string]int{}
	}
	key := [2]string{identity, address}
	if g.by[key] >= mostGuesses {
		return false
	}
	g.by[key]++
	return true
}

func (g *guesses) end(identity, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := [2]string{identity, address}
	if g.by[key]--; g.by[key] <= 0 {
		delete(g.by, key)
	}
}

// silence is where the DTLS library's log goes: what matters of it comes as errors.
type silence struct{}

// NewLogger gives a logger that says nothing.
func (silence) NewLogger(string) logging.LeveledLogger { return &logging.DefaultLeveledLogger{} }
