package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"tandem"
)

// Where devices are listened for.
const (
	headerTime    = 10 * time.Second // for the request that opens a WebSocket
	acceptPause   = 250 * time.Millisecond
	subprotocol   = "mqtt"
	websocketPath = "/mqtt"
)

// dead finds out about connections whose other side is gone without a word, in about a minute.
var dead = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// listener listens on one address.
type listener struct {
	b    *Broker
	net  net.Listener
	kind string       // mqtt, mqtts, ws or wss
	tls  *tls.Config  // nil for plain
	http *http.Server // of WebSockets; nil otherwise
}

// open opens a listener.
func (b *Broker) open(ctx context.Context, address, kind string, config *tls.Config) error {
	if address == "" {
		return nil
	}
	nl, err := (&net.ListenConfig{KeepAliveConfig: dead}).Listen(ctx, "tcp", address)
	if err != nil {
		return tandem.Errorf(tandem.Unavailable, "mqtt: listen", address, "this address cannot be listened on: %w", err)
	}
	l := &listener{b: b, net: nl, kind: kind, tls: config}
	if kind == "ws" || kind == "wss" {
		l.http = l.webServer()
	}
	b.listeners = append(b.listeners, l)
	b.work.Go(l.serve)
	return nil
}

// close stops listening.
func (l *listener) close() {
	_ = l.net.Close() // nothing to lose
	if l.http != nil {
		_ = l.http.Close() // those that became WebSockets are not its any more
	}
}

// serve serves until the listener is closed.
func (l *listener) serve() {
	if l.http != nil {
		l.serveWebSockets()
		return
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		c, err := l.net.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many open files, perhaps
			l.b.o.Log.Warn("a connection cannot be accepted", "listener", l.kind, "error", err)
			pause.Reset(acceptPause)
			<-pause.C
			continue
		}
		l.accept(c)
	}
}

// accept serves a connection in a goroutine of its own, where there is room.
func (l *listener) accept(nc net.Conn) {
	c := &conn{Conn: nc, guest: l.b.guests.arrive(nc, l.b.room())}
	if l.tls != nil {
		secured := tls.Server(nc, l.tls) // the handshake comes with the first read, within the time for a CONNECT
		c.Conn, c.tls = secured, func() *tls.ConnectionState { state := secured.ConnectionState(); return &state }
	}
	if !l.b.enter(c) {
		_ = c.guest.Close()
		return
	}
	go l.b.serve(c)
}

// enter counts a connection; false when there are to be none, or too many end only slowly.
func (b *Broker) enter(c *conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping || len(b.conns) >= 2*(b.o.Clients+b.o.Pending) {
		return false
	}
	c.r = bufio.NewReaderSize(c.Conn, readBuffer)
	b.conns[c] = true
	b.work.Add(1)
	return true
}

// leave counts a connection out.
func (b *Broker) leave(c *conn) {
	_ = c.Close() // again, as a rule
	c.guest.known()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	b.work.Done()
}

// guestKey finds the guest of a request.
type guestKey struct{}

// webServer answers the requests that become WebSockets.
func (l *listener) webServer() *http.Server {
	upgrader := &websocket.Upgrader{Subprotocols: []string{subprotocol}, HandshakeTimeout: headerTime,
		// A page of any site may try: it has no credential that a browser would add by itself.
		CheckOrigin: func(*http.Request) bool { return true }}
	serve := func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // it was answered
		}
		ws.SetReadLimit(int64(l.b.mostPacket()) + mostConnect)
		is, ok := r.Context().Value(guestKey{}).(*guest)
		if !ok { // it came through the door
			_ = ws.Close()
			return
		}
		c := &conn{Conn: &socket{Conn: ws.NetConn(), ws: ws}, guest: is, tls: func() *tls.ConnectionState { return r.TLS }}
		if !l.b.enter(c) {
			_ = ws.Close()
			return
		}
		l.b.serve(c)
	}
	mux := http.NewServeMux()
	mux.HandleFunc(websocketPath, serve)
	mux.HandleFunc("/{$}", serve)
	var old http.Protocols
	old.SetHTTP1(true) // of newer ones no WebSocket is made here
	as := func(ctx context.Context, c net.Conn) context.Context {
		if secured, ok := c.(*tls.Conn); ok {
			c = secured.NetConn()
		}
		return context.WithValue(ctx, guestKey{}, c)
	}
	return &http.Server{Handler: mux, ConnContext: as, TLSConfig: l.tls, Protocols: &old, ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, IdleTimeout: headerTime,
		MaxHeaderBytes: mostConnect, ErrorLog: slog.NewLogLogger(l.b.o.Log.Handler(), slog.LevelDebug)}
}

// serveWebSockets serves until the listener is closed.
func (l *listener) serveWebSockets() {
	var err error
	if l.tls != nil {
		err = l.http.ServeTLS(door{l.net, l.b}, "", "")
	} else {
		err = l.http.Serve(door{l.net, l.b})
	}
	if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		l.b.o.Log.Error("WebSockets are not served any more", "error", err)
	}
}
