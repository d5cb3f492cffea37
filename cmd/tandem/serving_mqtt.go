package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"tandem/gateway/mqtt"
)

// mqttFlags are the settings of devices over MQTT, for `tandem serve`.
type mqttFlags struct {
	MQTTListen          string `name:"mqtt-listen" placeholder:"ADDRESS" help:"Serve devices over MQTT here: HOST:PORT, such as 127.0.0.1:1883; without a port, 1883. Passwords are readable on the way: use it on this machine, or where the network is your own."`
	MQTTTLSListen       string `name:"mqtt-tls-listen" placeholder:"ADDRESS" help:"Serve MQTT with TLS here, with --tls-cert; without a port, 8883."`
	MQTTWebsocketListen string `name:"mqtt-websocket-listen" placeholder:"ADDRESS" help:"Serve MQTT over WebSockets here, at /mqtt: with TLS where there is --tls-cert; without a port, 8083."`
	MQTTClients         int    `name:"mqtt-clients" default:"20000" placeholder:"N" help:"MQTT clients at once."`
}

// The ports that MQTT has by convention.
const (
	mqttPort      = "1883"
	mqttTLSPort   = "8883"
	websocketPort = "8083"
)

// check refuses settings that cannot be meant.
func (c *mqttFlags) check(certificate bool) error {
	if c.MQTTClients < 1 {
		return &usageError{"--mqtt-clients must be at least 1", ""}
	}
	if c.MQTTTLSListen != "" && !certificate {
		return &usageError{"--mqtt-tls-listen needs --tls-cert", "name the certificate and its key, or use --mqtt-listen on this machine alone"}
	}
	for name, address := range map[string]string{"mqtt-listen": c.MQTTListen, "mqtt-tls-listen": c.MQTTTLSListen, "mqtt-websocket-listen": c.MQTTWebsocketListen} {
		if address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(withPort(address, mqttPort)); err != nil {
			return &usageError{fmt.Sprintf("--%s %q is no address", name, address), "write HOST:PORT, such as 127.0.0.1:1883"}
		}
	}
	return nil
}

// serveMQTT opens the broker, where it is asked for. It uses the server's certificate.
func (v *serving) serveMQTT(ctx context.Context) (err error) {
	c := &v.cmd.mqttFlags
	if c.MQTTListen+c.MQTTTLSListen+c.MQTTWebsocketListen == "" {
		return nil
	}
	o := mqtt.BrokerOptions{Gateway: v.devices.gateway, Clock: v.Clock, Log: v.log, Meter: reportMeter{v.metrics}, TLS: v.server.TLS(), Clients: c.MQTTClients}
	for _, l := range []struct {
		to            *string
		address, port string
	}{{&o.Listen, c.MQTTListen, mqttPort}, {&o.ListenTLS, c.MQTTTLSListen, mqttTLSPort}, {&o.WebSocket, c.MQTTWebsocketListen, websocketPort}} {
		if l.address != "" {
			*l.to = withPort(l.address, l.port)
		}
	}
	if v.devices.broker, err = mqtt.Open(ctx, o); err != nil {
		return err
	}
	at := v.devices.broker.Addresses()
	for _, scheme := range slices.Sorted(maps.Keys(at)) {
		place := scheme + "://" + at[scheme]
		if scheme == "ws" || scheme == "wss" {
			place += "/mqtt"
		}
		v.devices.places = append(v.devices.places, place)
		if (scheme == "mqtt" || scheme == "ws") && !loopback(at[scheme]) {
			v.log.Warn("devices' passwords are readable on their way to this address: it has no TLS", "address", place, "hint", "use --mqtt-tls-listen with --tls-cert, or a proxy with TLS before it")
		}
	}
	return nil
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().IsLoopback()
}
