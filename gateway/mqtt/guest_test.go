package mqtt

import (
	"net"
	"net/netip"
	"testing"
)

// from is a connection from somewhere.
type from struct {
	net.Conn
	at     string
	closed bool
}

func (f *from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.at)) }
func (f *from) Close() error         { f.closed = true; return nil }

// TestThoseOfWhoeverHasTheMostGo: a flood from one network, of IPv6 too, ends its own connections alone, the oldest first.
func TestThoseOfWhoeverHasTheMostGo(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string][]string{"IPv4": {"192.0.2.1:1000"}, "IPv6": {"[2001:db8::1]:1000", "[2001:db8::2]:1000"}} {
		var g guests
		quiet := []*from{{at: "198.51.100.1:1000"}, {at: "[2001:db8:1::1]:1000"}, {at: "203.0.113.1:1000"}}
		for _, one := range quiet {
			g.arrive(one, 10)
		}
		var loud []*from
		for i := range 100 {
			one := &from{at: flood[i%len(flood)]}
			loud = append(loud, one)
			g.arrive(one, 10)
		}
		for _, one := range quiet {
			if one.closed {
				t.Errorf("%s: %s was ended for others", name, one.at)
			}
		}
		for i, one := range loud {
			if want := i < len(loud)-7; one.closed != want {
				t.Errorf("%s: connection %d was ended: %t", name, i, one.closed)
			}
		}
		if len(g.all) != 10 || len(g.from) != 4 {
			t.Errorf("%s: %d are there, from %d networks", name, len(g.all), len(g.from))
		}
		for one := range g.all {
			one.known()
			one.known()
		}
		if len(g.all)+len(g.from) != 0 {
			t.Errorf("%s: %d are left, from %v", name, len(g.all), g.from)
		}
	}
}
