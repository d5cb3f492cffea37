package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"

	"tandem"
	"tandem/gateway/mqtt"
)

// mqttFlags are the settings of devices over MQTT, for `tandem serve`.
type mqttFlags struct {
	MQTTListen          string `name:"mqtt-listen" placeholder:"ADDRESS" help:"Serve devices over MQTT here: HOST:PORT, such as 127.0.0.1:1883; without a port, 1883. Passwords are readable on the way: use it on this machine, or where the network is your own."`
	MQTTTLSListen       string `name:"mqtt-tls-listen" placeholder:"ADDRESS" help:"Serve MQTT with TLS here, with --tls-cert; without a port, 8883."`
	MQTTWebsocketListen string `name:"mqtt-websocket-listen" placeholder:"ADDRESS" help:"Serve MQTT over WebSockets here, at /mqtt: with TLS where there is --tls-cert; without a port, 8083."`
	MQTTClients         int    `name:"mqtt-clients" default:"20000" placeholder:"N" help:"MQTT clients at once."`

	MQTTBroker             string `name:"mqtt-broker" placeholder:"URL" help:"Take what devices publish to this MQTT 5 broker: mqtt://HOST:PORT, mqtts://, ws:// or wss://. It decides who may publish what; processes share its messages."`
	MQTTBrokerUser         string `name:"mqtt-broker-user" placeholder:"NAME" help:"Who signs in there."`
	MQTTBrokerPasswordFile string `name:"mqtt-broker-password-file" placeholder:"FILE" help:"The file with that password."`
	MQTTBrokerCA           string `name:"mqtt-broker-ca" placeholder:"FILE" help:"The authorities (PEM) that its certificate may be signed by, instead of the system's."`
	MQTTBrokerClient       string `name:"mqtt-broker-client" placeholder:"ID" help:"The client id of this process there: its own, and the same after a restart (tandem, the host's name and the port of --listen)."`
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
	return c.checkBroker()
}

// brokerPorts are the usual ones, by the scheme of a broker's URL.
var brokerPorts = map[string]string{"mqtt": mqttPort, "mqtts": mqttTLSPort, "ws": "80", "wss": "443"}

func (c *mqttFlags) checkBroker() error {
	if c.MQTTBroker == "" {
		if c.MQTTBrokerUser+c.MQTTBrokerPasswordFile+c.MQTTBrokerCA+c.MQTTBrokerClient != "" {
			return &usageError{"the settings of a broker need --mqtt-broker", "name it, such as mqtts://broker.example.com:8883"}
		}
		return nil
	}
	u, err := url.Parse(c.MQTTBroker)
	switch {
	case err != nil || u.Hostname() == "" || brokerPorts[u.Scheme] == "":
		return &usageError{"--mqtt-broker is not the URL of a broker", "write it as mqtts://broker.example.com:8883, or with mqtt, ws or wss"}
	case u.User != nil:
		return &usageError{"--mqtt-broker holds a name or password", "use --mqtt-broker-user and --mqtt-broker-password-file: others on this machine see arguments"}
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
	v.metrics.Scrape("mqtt_clients", "MQTT clients that are connected.", "", func(context.Context) (map[string]float64, error) {
		return map[string]float64{"": float64(v.devices.broker.Clients())}, nil
	})
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

// linkMQTT connects to a broker elsewhere, where one is named.
func (v *serving) linkMQTT(ctx context.Context) error {
	c := &v.cmd.mqttFlags
	if c.MQTTBroker == "" {
		return nil
	}
	u, err := url.Parse(c.MQTTBroker)
	if err != nil {
		return err
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), brokerPorts[u.Scheme])
	}
	password, err := optionalSecret(c.MQTTBrokerPasswordFile)
	if err != nil {
		return err
	}
	config, err := authorities(c.MQTTBrokerCA)
	if err != nil {
		return err
	}
	name := c.MQTTBrokerClient
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return tandem.Errorf(tandem.Internal, "connect to the MQTT broker", "", "this host has no name: %w", err).WithHint("name this process: --mqtt-broker-client ID")
		}
		_, port, _ := net.SplitHostPort(v.server.Addresses()[0].String()) // it is one of ours
		name = "tandem-" + host + "-" + port
	}
	v.devices.link, err = mqtt.Connect(ctx, mqtt.LinkOptions{Gateway: v.devices.gateway, Clock: v.Clock, Log: v.log, Meter: reportMeter{v.metrics}, Broker: u, ClientID: name,
		User: c.MQTTBrokerUser, Password: []byte(password.Reveal()), TLS: config})
	if err != nil {
		return err
	}
	v.metrics.Scrape("mqtt_broker_up", "Whether the MQTT broker elsewhere is connected.", "", func(context.Context) (map[string]float64, error) {
		up := 0.0
		if v.devices.link.Up() {
			up = 1
		}
		return map[string]float64{"": up}, nil
	})
	v.devices.places = append(v.devices.places, "the broker at "+u.String())
	v.registry.Brokered = true
	return nil
}

// authorities reads who may sign a broker's certificate; nil where no file is named.
func authorities(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "read certificate authorities", file, "the file cannot be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, tandem.Errorf(tandem.Invalid, "read certificate authorities", file, "the file holds no certificate in PEM")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().IsLoopback()
}
