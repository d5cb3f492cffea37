package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"tandem"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	lan := Policy{AllowPrivate: true}
	named := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("169.254.169.254/32")}}
	for _, test := range []struct {
		addr              string
		strict, lan, some bool
	}{
		{"1.1.1.1", true, true, true},
		{"2606:4700::1111", true, true, true},
		{"172.32.0.1", true, true, true},
		{"100.128.0.1", true, true, true},
		{"127.0.0.1", false, true, false},
		{"127.255.0.9", false, true, false},
		{"10.1.2.3", false, true, true},
		{"10.2.2.3", false, true, false},
		{"172.31.255.255", false, true, false},
		{"192.168.1.1", false, true, false},
		{"100.64.0.1", false, true, false},
		{"169.254.1.1", false, true, false},
		{"::1", false, true, false},
		{"fe80::1%eth0", false, true, false},
		{"fd12::1", false, true, false},
		{"fec0::1", false, true, false},
		{"169.254.169.254", false, false, true},
		{"169.254.170.2", false, false, false},
		{"fd00:ec2::254", false, false, false},
		{"100.100.100.200", false, false, false},
		{"0.0.0.0", false, false, false},
		{"0.1.2.3", false, false, false},
		{"::", false, false, false},
		{"224.0.0.1", false, false, false},
		{"255.255.255.255", false, false, false},
		{"ff02::1", false, false, false},
		{"198.18.0.1", false, false, false},
		{"192.0.2.1", false, false, false},
		{"2001:db8::1", false, false, false},
		{"2001::1", false, false, false},
		{"4000::1", false, false, false},
		{"::ffff:127.0.0.1", false, true, false},
		{"::ffff:10.1.0.1", false, true, true},
		{"::ffff:8.8.8.8", true, true, true},
		{"::ffff:169.254.169.254", false, false, true},
		{"64:ff9b::8.8.8.8", true, true, true},
		{"64:ff9b::10.0.0.1", false, true, false},
		{"64:ff9b::169.254.169.254", false, false, true},
		{"64:ff9b:1::1", false, true, false},
		{"2002:7f00:1::", false, true, false},
		{"2002:808:808::1", true, true, true},
		{"2002:a9fe:a9fe::1", false, false, true},
		{"::127.0.0.1", false, true, false},
		{"::0.0.0.2", false, false, false},
	} {
		addr := netip.MustParseAddr(test.addr)
		for i, want := range []bool{test.strict, test.lan, test.some} {
			if got, why := []Policy{{}, lan, named}[i].Permits(addr); got != want {
				t.Errorf("%s: policy %d permits: %v (%s)", test.addr, i, got, why)
			}
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url         string
		strict, lan bool
	}{
		{"https://example.com", true, true},
		{"https://example.com:8443/a?b#c", true, true},
		{"HTTPS://EXAMPLE.com./", true, true},
		{"https://xn--bcher-kva.example/", true, true},
		{"https://1.1.1.1/", true, true},
		{"https://[2606:4700::1111]:443/", true, true},
		{"http://example.com", false, false},
		{"http://127.0.0.1:7070", false, true},
		{"http://localhost:7070", false, true},
		{"http://LOCALHOST.", false, true},
		{"http://[::1]/", false, true},
		{"http://[::ffff:127.0.0.1]/", false, true},
		{"http://10.0.0.1", false, false}, // a key is not sent in plain text over a network
		{"https://10.0.0.1", false, true},
		{"https://localhost", false, true},
		{"https://a.localhost", false, true},
		{"https://[fe80::1%25eth0]/", false, true},
		{"https://169.254.169.254/latest/meta-data", false, false},
		{"https://user@example.com", false, false},
		{"https://user:word@example.com", false, false},
		{"https://example.com:0", false, false},
		{"https://example.com:", false, false},
		{"https://example.com:65536", false, false},
		{"https://2130706433/", false, false},
		{"https://0x7f000001/", false, false},
		{"https://0x7f.1/", false, false},
		{"https://127.1/", false, false},
		{"https://017700000001/", false, false},
		{"https://1.2.3.4.5/", false, false},
		{"https://exa mple.com", false, false},
		{"https://example.com%2f@evil.example", false, false},
		{"https://a..b/", true, true}, // no such name: the resolver says so
		{"https:///path", false, false},
		{"https:example.com", false, false},
		{"//example.com", false, false},
		{"ftp://example.com", false, false},
		{"file:///etc/passwd", false, false},
		{"", false, false},
		{"https://" + strings.Repeat("a", 300) + ".example", false, false},
		{"https://example.com/" + strings.Repeat("a", maxURL), false, false},
		{"https://exämple.com", false, false},
		{"https://．example.com", false, false},
	} {
		for i, want := range []bool{test.strict, test.lan} {
			p := []Policy{{}, {AllowPrivate: true}}[i]
			err := p.Check(test.url)
			if (err == nil) != want {
				t.Errorf("%.80s: policy %d: %v", test.url, i, err)
			}
			if err != nil && !tandem.Is(err, tandem.Invalid) {
				t.Errorf("%.80s: code %s", test.url, tandem.CodeOf(err))
			}
		}
	}
	err := Policy{}.Check("https://192.168.0.7/hooks/secret-part")
	if err == nil || !strings.Contains(err.Error(), Setting) || strings.Contains(err.Error(), "secret-part") {
		t.Errorf("the refusal: %v", err)
	}
	if err := (Policy{}).Check("https://169.254.169.254/"); err == nil || strings.Contains(err.Error(), Setting) {
		t.Errorf("no setting lets it be called, and the refusal says: %v", err)
	}
	if err := (Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}).Check("http://127.0.0.1:1"); err != nil {
		t.Errorf("an address that is allowed by itself: %v", err)
	}
}

// resolver answers every name with one address, through the protocol.
func resolver(t *testing.T, addr netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response = true
			m.Additionals = nil
			q := m.Questions[0]
			if q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0},
					Body:   &dnsmessage.AResource{A: addr.As4()},
				}}
			}
			reply, err := m.Pack()
			if err == nil {
				_, err = server.WriteTo(reply, from)
			}
			if err != nil {
				return
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func TestANameThatLeadsInsideIsRefusedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	reached := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(inside.Close)
	port := inside.Listener.Addr().(*net.TCPAddr).Port
	target := (&url.URL{Scheme: "http", Host: net.JoinHostPort("rebound.example.com", itoa(port)), Path: "/secret-part"}).String()

	call := func(p Policy) error {
		transport := Transport(p)
		dialer := Dialer(p)
		dialer.Resolver = resolver(t, netip.MustParseAddr("127.0.0.1"))
		transport.DialContext = dialer.DialContext
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := Client(p, transport, 10*time.Second).Do(request)
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}
	err := call(Policy{})
	if !tandem.Is(err, tandem.Invalid) || reached {
		t.Fatalf("the call: %v, reached %v", err, reached)
	}
	if text := Cause(err).Error(); strings.Contains(text, "secret-part") || !strings.Contains(text, Setting) {
		t.Errorf("the cause: %s", text)
	}
	if err := call(Policy{AllowPrivate: true}); err != nil || !reached {
		t.Errorf("with private addresses allowed: %v, reached %v", err, reached)
	}
}

// itoa spells a port.
func itoa(n int) string {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n)).String()[len("0.0.0.0:"):]
}

func TestARedirectIsCheckedLikeTheFirstAddress(t *testing.T) {
	t.Parallel()
	var to string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/loop" {
			http.Redirect(w, r, "/loop", http.StatusFound)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	t.Cleanup(server.Close)
	p := Policy{AllowPrivate: true}
	transport := Transport(p)
	t.Cleanup(transport.CloseIdleConnections)
	get := func(path string) error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := Client(p, transport, 10*time.Second).Do(request)
		if response != nil {
			_ = response.Body.Close()
		}
		return err
	}
	for _, to = range []string{"http://10.0.0.1/", "https://169.254.169.254/", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/"} {
		if err := get("/"); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if err := get("/loop"); !tandem.Is(err, tandem.Invalid) {
		t.Errorf("in a circle: %v", err)
	}
}

func TestAProxyIsUsedOnlyWhenItIsSet(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1")
	if Transport(Policy{}).Proxy != nil {
		t.Error("the environment's proxy is used")
	}
	var asked string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked = r.URL.String() }))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{Proxy: at, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}}
	transport := Transport(p)
	t.Cleanup(transport.CloseIdleConnections)
	for target, want := range map[string]bool{"http://127.0.0.9/x": true, "http://127.0.0.8/x": false} {
		response, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, target, nil))
		if (err == nil) != want {
			t.Errorf("%s: %v", target, err)
		}
		if err == nil {
			_ = response.Body.Close()
		}
	}
	if asked != "http://127.0.0.9/x" {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

func TestABodyIsReadUpToItsLimit(t *testing.T) {
	t.Parallel()
	if text, err := ReadBody(strings.NewReader("12345"), 5); err != nil || string(text) != "12345" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := ReadBody(strings.NewReader("123456"), 5); !tandem.Is(err, tandem.Malformed) {
		t.Errorf("too long: %v", err)
	}
	broken := errors.New("broken")
	if _, err := ReadBody(io.MultiReader(strings.NewReader("1"), brokenReader{broken}), 5); !errors.Is(err, broken) {
		t.Errorf("broken: %v", err)
	}
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

func FuzzCheck(f *testing.F) {
	for _, text := range []string{"https://example.com", "http://[::ffff:127.0.0.1%25x]:80/", "https://a@b:1/", "https://0x7f.1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if (Policy{}).Check(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil {
			t.Fatalf("%q passed: %v", raw, err)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			if reach, _ := classify(addr); reach != public {
				t.Fatalf("%q passed", raw)
			}
		}
		if (Policy{AllowPrivate: true}).Check(raw) != nil {
			t.Fatalf("%q passes the strict policy only", raw)
		}
	})
}
