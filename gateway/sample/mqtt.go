package sample

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/eclipse/paho.golang/paho"
)

// keepalive is how often a silent device says that it is there, in seconds.
const keepalive = 30

// inTopic writes a name as a level of a topic.
var inTopic = strings.NewReplacer("%", "%25", "/", "%2F", "+", "%2B", "#", "%23")

// mqttLink publishes with QoS 1.
type mqttLink struct {
	client *paho.Client
	topics string // all begin with this
	lost   chan error
}

func dialMQTT(ctx context.Context, d Device, told chan<- command) (link, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", d.Address)
	if err != nil {
		return nil, err
	}
	l := &mqttLink{topics: "tandem/" + inTopic.Replace(d.Organization) + "/devices/" + inTopic.Replace(d.DeviceID) + "/", lost: make(chan error, 1)}
	gone := func(err error) {
		select {
		case l.lost <- err:
		default:
		}
	}
	l.client = paho.NewClient(paho.ClientConfig{Conn: conn, OnClientError: gone,
		OnServerDisconnect: func(p *paho.Disconnect) { gone(fmt.Errorf("the server ended the connection: %#x", p.ReasonCode)) },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			return true, take(p.Packet.Payload, told)
		}}})
	will := &paho.WillMessage{Topic: l.topics + "status", Payload: []byte("offline"), QoS: 1}
	if _, err := l.client.Connect(ctx, &paho.Connect{ClientID: d.DeviceID, KeepAlive: keepalive, CleanStart: true, Username: d.Identity, UsernameFlag: true,
		Password: []byte(d.Secret), PasswordFlag: true, WillMessage: will}); err != nil {
		_ = conn.Close() // it was not let in
		return nil, err
	}
	if _, err := l.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: l.topics + "commands", QoS: 1}}}); err != nil {
		_ = l.Close() // it was not let in
		return nil, err
	}
	return l, nil
}

func (l *mqttLink) report(ctx context.Context, body []byte) error {
	return l.publish(ctx, "telemetry", body)
}

func (l *mqttLink) answer(ctx context.Context, id string, body []byte) error {
	return l.publish(ctx, "commands/"+id, body)
}

// publish returns once the server has acknowledged.
func (l *mqttLink) publish(ctx context.Context, place string, body []byte) error {
	select {
	case err := <-l.lost:
		return err
	default:
	}
	_, err := l.client.Publish(ctx, &paho.Publish{Topic: l.topics + place, QoS: 1, Payload: body})
	return err
}

// Close says goodbye; the server takes the device for online for its usual time.
func (l *mqttLink) Close() error { return l.client.Disconnect(&paho.Disconnect{}) }
