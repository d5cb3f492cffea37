package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// DefaultPolicy is the content security policy of pages: everything from this server, pictures also inline, and no page
// of another site may show them in a frame.
const DefaultPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// hsts tells browsers to use https alone, for two years.
const hsts = "max-age=63072000"

// protected checks the host, and sets the headers that protect browsers. A handler may set them otherwise.
func (s *Server) protected(next http.Handler) http.Handler {
	policy := s.o.Policy
	orElse(&policy, DefaultPolicy)
	strict := s.public != nil && s.public.Scheme == "https"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if strict {
			h.Set("Strict-Transport-Security", hsts)
		}
		if s.o.CheckHost && !s.isHost(r.Host) && !probed(r.URL.Path) {
			writeProblem(w, r, http.StatusMisdirectedRequest, "other_host", "This is another host", "the request is for a host that this server is not")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isHost reports whether a Host header names this server, with or without its scheme's port.
func (s *Server) isHost(host string) bool {
	return strings.EqualFold(withoutPort(host, s.public.Scheme), withoutPort(s.public.Host, s.public.Scheme))
}

// withoutPort takes off the port that a scheme has anyway.
func withoutPort(host, scheme string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// probed are the paths that machines ask by address.
func probed(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/metrics", "/api/health", "/api/health/live", "/api/health/ready":
		return true
	}
	return false
}

// addressKey is what an address is limited by: IPv6 networks hand out a /64 to each customer.
func addressKey(address netip.Addr) string {
	if address.Is6() {
		if p, err := address.Prefix(64); err == nil {
			return p.String()
		}
	}
	return address.String()
}

// addressOf gives the client's address, as recorded or as the connection has it.
func addressOf(r *http.Request) netip.Addr {
	if a := Address(r.Context()); a.IsValid() {
		return a
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a
}
