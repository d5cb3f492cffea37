package outbound

import (
	"net/netip"
	"slices"
)

// class says how far an address reaches.
type class int

const (
	public  class = iota
	private       // of this machine or network: called when the policy allows private addresses
	never         // not called unless the policy names it
)

// block is a part of the address space with what it is for.
type block struct {
	prefix netip.Prefix
	class  class
	name   string
}

// blocks are the special parts of the address space (RFC 6890 and its registries). The first that fits counts.
var blocks = []block{
	{netip.MustParsePrefix("169.254.169.254/32"), never, "the metadata service of a cloud"},
	{netip.MustParsePrefix("169.254.170.0/23"), never, "the metadata service of a cloud"}, // ECS and EKS credentials
	{netip.MustParsePrefix("100.100.100.200/32"), never, "the metadata service of a cloud"},
	{netip.MustParsePrefix("168.63.129.16/32"), never, "the metadata service of a cloud"},
	{netip.MustParsePrefix("192.0.0.192/32"), never, "the metadata service of a cloud"},
	{netip.MustParsePrefix("fd00:ec2::/32"), never, "the metadata service of a cloud"},
	{netip.MustParsePrefix("fd20:ce::254/128"), never, "the metadata service of a cloud"},

	{netip.MustParsePrefix("127.0.0.0/8"), private, "a loopback address"},
	{netip.MustParsePrefix("10.0.0.0/8"), private, "a private address"},
	{netip.MustParsePrefix("172.16.0.0/12"), private, "a private address"},
	{netip.MustParsePrefix("192.168.0.0/16"), private, "a private address"},
	{netip.MustParsePrefix("169.254.0.0/16"), private, "a link-local address"},
	{netip.MustParsePrefix("100.64.0.0/10"), private, "an address inside a provider's network"},
	{netip.MustParsePrefix("0.0.0.0/8"), never, "not the address of one host"},
	{netip.MustParsePrefix("192.0.0.0/24"), never, "a reserved address"},
	{netip.MustParsePrefix("192.0.2.0/24"), never, "an address for examples"},
	{netip.MustParsePrefix("192.88.99.0/24"), never, "a reserved address"},
	{netip.MustParsePrefix("198.18.0.0/15"), never, "an address for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), never, "an address for examples"},
	{netip.MustParsePrefix("203.0.113.0/24"), never, "an address for examples"},
	{netip.MustParsePrefix("224.0.0.0/4"), never, "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), never, "a reserved address"},

	{netip.MustParsePrefix("::1/128"), private, "a loopback address"},
	{netip.MustParsePrefix("fc00::/7"), private, "a private address"},
	{netip.MustParsePrefix("fe80::/10"), private, "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), private, "a private address"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), private, "a private address"},
	{netip.MustParsePrefix("::/128"), never, "not the address of one host"},
	{netip.MustParsePrefix("ff00::/8"), never, "a multicast address"},
	{netip.MustParsePrefix("2001::/23"), never, "a reserved address"}, // Teredo and others that lead elsewhere
	{netip.MustParsePrefix("2001:db8::/32"), never, "an address for examples"},
	{netip.MustParsePrefix("3fff::/20"), never, "an address for examples"},
}

// The parts of IPv6 that carry an IPv4 address, and from which byte on.
var carriers = []struct {
	prefix netip.Prefix
	from   int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible
}

// globalUnicast is where IPv6 addresses of single hosts on the internet are.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// plain gives an address without its zone and without the IPv6 around an IPv4 address: what is called in the end.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.WithZone("").Unmap()
	if !addr.Is6() || addr == netip.IPv6Unspecified() || addr == netip.IPv6Loopback() {
		return addr
	}
	bytes := addr.As16()
	for _, c := range carriers {
		if c.prefix.Contains(addr) {
			return netip.AddrFrom4([4]byte(bytes[c.from : c.from+4]))
		}
	}
	return addr
}

// classify says how far an address reaches, and what it is when that is not the internet.
func classify(addr netip.Addr) (class, string) {
	addr = plain(addr)
	if !addr.IsValid() {
		return never, "no address"
	}
	if i := slices.IndexFunc(blocks, func(b block) bool { return b.prefix.Contains(addr) }); i >= 0 {
		return blocks[i].class, blocks[i].name
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return never, "a reserved address"
	}
	return public, ""
}
