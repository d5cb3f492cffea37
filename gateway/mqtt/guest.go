package mqtt

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// guest is a connection of somebody who has not said who they are.
type guest struct {
	net.Conn
	guests *guests
	from   string // its network
	since  time.Time
}

// guests are all of them. Where there is no room one of those goes that are from where the most are: who opens connections and
// says nothing keeps nobody else out.
type guests struct {
	mu   sync.Mutex
	all  map[*guest]bool
	from map[string]int // how many, by network
}

// looked is among how many the one is chosen that goes.
const looked = 64

// arrive counts a connection in, where there is room for so many.
func (g *guests) arrive(nc net.Conn, room int) *guest {
	one := &guest{Conn: nc, guests: g, from: network(nc.RemoteAddr()), since: time.Now()}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all, g.from = map[*guest]bool{}, map[string]int{}
	}
	for len(g.all) >= max(room, 1) {
		gone := g.choose()
		g.drop(gone)
		_ = gone.Conn.Close() // whoever reads from it ends
	}
	g.all[one] = true
	g.from[one.from]++
	return one
}

// choose gives the one that is to go. The lock is held.
func (g *guests) choose() (found *guest) {
	n := 0
	for one := range g.all { // in no order
		if found == nil || g.from[one.from] > g.from[found.from] || g.from[one.from] == g.from[found.from] && one.since.Before(found.since) {
			found = one
		}
		if n++; n >= looked {
			break
		}
	}
	return found
}

// drop counts one out, once. The lock is held.
func (g *guests) drop(one *guest) {
	if !g.all[one] {
		return
	}
	delete(g.all, one)
	if g.from[one.from]--; g.from[one.from] == 0 {
		delete(g.from, one.from)
	}
}

// known counts a connection out: it is a guest's no more, or has ended.
func (one *guest) known() {
	one.guests.mu.Lock()
	defer one.guests.mu.Unlock()
	one.guests.drop(one)
}

// Close ends it.
func (one *guest) Close() error {
	one.known()
	return one.Conn.Close()
}

// network is what one customer of a provider has: an address of IPv4, or an IPv6 /64.
func network(at net.Addr) string {
	port, err := netip.ParseAddrPort(at.String())
	if err != nil {
		return at.String()
	}
	address := port.Addr().Unmap().WithZone("")
	if address.Is6() {
		return netip.PrefixFrom(address, 64).Masked().String()
	}
	return address.String()
}

// door lets in who is to open a WebSocket.
type door struct {
	net.Listener
	b *Broker
}

// Accept gives the next, as a guest.
func (d door) Accept() (net.Conn, error) {
	nc, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return d.b.guests.arrive(nc, d.b.room()), nil
}

// room is how many guests there may be now.
func (b *Broker) room() int { return b.o.Clients + b.o.Pending - b.Clients() }
