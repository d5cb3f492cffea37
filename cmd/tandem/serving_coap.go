package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"tandem/gateway/coap"
)

// coapFlags are the settings of devices over CoAP, for `tandem serve`.
type coapFlags struct {
	CoAPListen      string `name:"coap-listen" placeholder:"ADDRESS" help:"Serve devices over CoAP with DTLS here: HOST:PORT, such as 0.0.0.0:5684; without a port, 5684."`
	CoAPPlainListen string `name:"coap-plain-listen" placeholder:"ADDRESS" help:"Serve CoAP without DTLS here, on this machine alone: 127.0.0.1, with 5683 where no port is named."`
	CoAPConnections int    `name:"coap-connections" default:"20000" placeholder:"N" help:"CoAP connections of devices at once."`
}

// The ports that CoAP has by convention (RFC 7252, 6).
const (
	coapsPort = "5684"
	coapPort  = "5683"
)

func (c *coapFlags) check() error {
	if c.CoAPConnections < 1 {
		return &usageError{"--coap-connections must be at least 1", ""}
	}
	for name, address := range map[string]string{"coap-listen": c.CoAPListen, "coap-plain-listen": c.CoAPPlainListen} {
		if address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(withPort(address, coapsPort)); err != nil {
			return &usageError{fmt.Sprintf("--%s %q is no address", name, address), "write HOST:PORT, such as 0.0.0.0:5684"}
		}
	}
	return nil
}

// withPort adds the usual port to an address that names none.
func withPort(address, port string) string {
	host := strings.Trim(address, "[]")
	if !strings.Contains(address, ":") || net.ParseIP(host) != nil {
		return net.JoinHostPort(host, port)
	}
	return address
}

// serveCoAP opens the sockets of devices that speak CoAP, where any are asked for.
func (v *serving) serveCoAP(ctx context.Context) error {
	c := &v.cmd.coapFlags
	if c.CoAPListen == "" && c.CoAPPlainListen == "" {
		return nil
	}
	s := coap.New(coap.Options{Gateway: v.devices.gateway, Clock: v.Clock, Log: v.log, Connections: c.CoAPConnections})
	v.devices.coap = s
	v.metrics.Scrape("coap_connections", "Connections of devices over CoAP.", "", func(context.Context) (map[string]float64, error) {
		return map[string]float64{"": float64(s.Connections())}, nil
	})
	if c.CoAPListen != "" {
		address, err := s.Listen(ctx, withPort(c.CoAPListen, coapsPort))
		if err != nil {
			return err
		}
		v.devices.places = append(v.devices.places, "coaps://"+address.String())
	}
	if c.CoAPPlainListen != "" {
		address, err := s.ListenPlain(ctx, withPort(c.CoAPPlainListen, coapPort))
		if err != nil {
			return err
		}
		v.devices.places = append(v.devices.places, "coap://"+address.String())
	}
	return nil
}
