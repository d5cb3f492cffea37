package outbound

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"tandem"
)

// Setting is the setting that lets private addresses be called.
const Setting = "--allow-private-addresses"

// maxURL bounds an address, in bytes.
const maxURL = 2048

// Policy says which addresses may be called. The zero value is the strict one: the internet only, over https.
type Policy struct {
	// AllowPrivate lets loopback, private and link-local addresses be called, loopback over plain http too.
	AllowPrivate bool
	// Allow are addresses that may be called whatever they are.
	Allow []netip.Prefix
	// Proxy carries all HTTP requests when set; which addresses names lead to is then the proxy's to decide.
	// The environment's proxy settings are not looked at.
	Proxy *url.URL
}

// Permits reports whether an address may be called; when not, why is what it is.
func (p Policy) Permits(addr netip.Addr) (ok bool, why string) {
	reach, what := classify(addr)
	if reach == public || reach == private && p.AllowPrivate {
		return true, ""
	}
	for _, prefix := range p.Allow {
		if prefix.Contains(addr.WithZone("").Unmap()) || prefix.Contains(plain(addr)) {
			return true, ""
		}
	}
	return false, what
}

// Check says whether a URL may be called, as far as its text tells: the dialer decides about what a name turns
// out to be. Its errors are Invalid and quote the host only, since the rest may be a secret.
func (p Policy) Check(raw string) error {
	const op = "outbound: check address"
	if len(raw) > maxURL {
		return tandem.Errorf(tandem.Invalid, op, "", "the address is longer than %d characters", maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return notHTTPS(op)
	}
	return p.checkURL(op, u)
}

// checkURL is Check for a URL that is parsed.
func (p Policy) checkURL(op string, u *url.URL) error {
	host := u.Hostname()
	switch {
	case u.Host == "" || u.Opaque != "" || u.Scheme != "https" && u.Scheme != "http":
		return notHTTPS(op)
	case u.User != nil:
		return tandem.Errorf(tandem.Invalid, op, host, "the address holds a user name or password").
			WithHint("leave out what is before the @")
	case u.Scheme == "http" && !(p.AllowPrivate && loopback(host)) && !p.named(host):
		return tandem.Errorf(tandem.Invalid, op, host, "plain http can be read on the way").
			WithHint("use https; plain http is for this machine's own addresses, with %s", Setting)
	}
	if err := checkPort(op, host, u); err != nil {
		return err
	}
	return p.CheckHost(host)
}

// notHTTPS refuses what is no address of a web server at all; it is not quoted.
func notHTTPS(op string) error {
	return tandem.Errorf(tandem.Invalid, op, "", "this is not an https address").
		WithHint("it looks like https://example.com/path")
}

// named reports whether a host is an address that the policy allows by name.
func (p Policy) named(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil || !loopback(host) {
		return false
	}
	ok, _ := p.Permits(addr)
	return ok
}

// checkPort refuses ports that are none.
func checkPort(op, host string, u *url.URL) error {
	text := u.Port()
	if text == "" && !strings.HasSuffix(u.Host, ":") {
		return nil
	}
	if port, err := strconv.ParseUint(text, 10, 16); err != nil || port == 0 {
		return tandem.Errorf(tandem.Invalid, op, host, "the port is not between 1 and 65535")
	}
	return nil
}

// CheckHost says whether a host, a name or an address, may be called, as far as its text tells.
func (p Policy) CheckHost(host string) error {
	const op = "outbound: check address"
	if addr, err := netip.ParseAddr(host); err == nil {
		if ok, why := p.Permits(addr); !ok {
			return p.refusal(op, host, why)
		}
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	labels := strings.Split(name, ".")
	switch last := labels[len(labels)-1]; {
	case len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) }):
		return tandem.Errorf(tandem.Invalid, op, "", "the host is not a name")
	case last == "" || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x"):
		return tandem.Errorf(tandem.Invalid, op, host, "the host is neither a name nor a complete address")
	case last == "localhost":
		if ok, why := p.Permits(netip.AddrFrom4([4]byte{127, 0, 0, 1})); !ok {
			return p.refusal(op, host, why)
		}
	}
	return nil
}

// nameRune reports whether a host's name may hold it.
func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
}

// refusal says that an address may not be called, and which setting would let it.
func (p Policy) refusal(op, thing, why string) error {
	e := tandem.Errorf(tandem.Invalid, op, thing, "this is %s, which may not be called", why)
	addr, err := netip.ParseAddr(thing)
	if reach, _ := classify(addr); !p.AllowPrivate && (err != nil || reach == private) {
		return e.WithHint("whoever runs the server can allow private addresses with %s", Setting)
	}
	return e
}

// loopback reports whether a host's text means this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && plain(addr).IsLoopback() || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// control looks at the address of a connection that is about to be made, after the name was resolved.
func (p Policy) control(network, address string, _ syscall.RawConn) error {
	const op = "outbound: connect"
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		host, _, _ := net.SplitHostPort(address)
		return tandem.Errorf(tandem.Invalid, op, host, "connections of the kind %s are not made", network)
	}
	if ok, why := p.Permits(to.Addr()); !ok {
		return p.refusal(op, to.Addr().String(), why)
	}
	return nil
}
