package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"tandem"
	"tandem/gateway"
	"tandem/gateway/coap"
	ingest "tandem/gateway/http"
	"tandem/gateway/mqtt"
	"tandem/golioth"
	"tandem/registry"
	"tandem/server"
)

// deviceDoor is what serves devices that speak to this process.
type deviceDoor struct {
	gateway *gateway.Gateway
	http    http.Handler
	broker  *mqtt.Broker  // nil where MQTT is not served
	link    *mqtt.Link    // to a broker elsewhere; nil for none
	coap    *coap.Server  // nil where it is not served
	places  []string      // where else than over HTTP, as URLs
	stopped chan struct{} // closed when requests that wait for commands are to end
	once    sync.Once
}

// letDevicesIn sets the gateway up.
func (v *serving) letDevicesIn() {
	writers := 2
	if v.onSQLite() {
		writers = 1
	}
	unseal := vault{v.keys}.Unseal
	v.devices.stopped = make(chan struct{})
	v.devices.gateway = gateway.New(gateway.Options{Store: v.store, Clock: v.Clock, IDs: newID, Log: v.log, Meter: reportMeter{v.metrics}, Rate: v.cmd.DeviceRate, Writers: writers,
		Unseal: func(c *tandem.Credential) ([]byte, error) { return unseal(registry.CredentialPlace(c), c.Sealed) }})
	v.devices.http = ingest.New(ingest.Options{Gateway: v.devices.gateway, Log: v.log, Address: addressOf, Stopped: v.devices.stopped})
}

// addressOf gives where a request came from, behind trusted proxies too.
func addressOf(r *http.Request) string {
	if a := server.Address(r.Context()); a.IsValid() {
		return a.String()
	}
	return ""
}

// stopping ends what lasts, once the server is to stop.
func (v *serving) stopping() {
	v.api.Close()
	v.devices.gateway.Stopping(stopReports)
	v.devices.once.Do(func() { close(v.devices.stopped) })
}

// close waits until all that devices reported is stored.
func (d *deviceDoor) close() {
	if d.broker != nil {
		d.broker.Close()
	}
	if d.link != nil {
		d.link.Close()
	}
	if d.coap != nil {
		d.coap.Close()
	}
	if d.gateway != nil {
		d.gateway.Close()
	}
}

// reportMeter counts what devices report.
type reportMeter struct{ metrics *server.Metrics }

// Count counts n reports.
func (m reportMeter) Count(via tandem.Via, what gateway.Outcome, n int) {
	m.metrics.Report(string(via), string(what), n)
}

// Took times a message.
func (m reportMeter) Took(via tandem.Via, d time.Duration) { m.metrics.ReportTook(string(via), d) }

// reach gives what reaches the devices of a service.
func (s *session) reach(_ context.Context, service tandem.Service) (registry.Reach, error) {
	client, err := s.client(service)
	if err != nil {
		return nil, err
	}
	return reach{client}, nil
}

// reach reaches devices on Golioth.
type reach struct{ client *golioth.Client }

// PSK gives a device's newest pre-shared key.
func (r reach) PSK(ctx context.Context, externalID string) (identity, key string, err error) {
	all, err := r.client.Credentials(ctx, externalID)
	if err != nil {
		return "", "", err
	}
	var newest *golioth.Credential
	for i := range all {
		if c := &all[i]; c.Type == golioth.PreSharedKey && (newest == nil || c.CreatedAt.After(newest.CreatedAt)) {
			newest = c
		}
	}
	if newest == nil {
		return "", "", tandem.Errorf(tandem.NotFound, "find the device's key", externalID, "the device has no pre-shared key on Golioth")
	}
	return newest.Identity, string(newest.PreSharedKey), nil
}

// Call runs a procedure on a device. A payload that is a list is its parameters, another the only one; Golioth carries
// truths, numbers and texts, so that what is none of them goes as its JSON text.
func (r reach) Call(ctx context.Context, externalID, method string, params any, timeout time.Duration) (any, bool, error) {
	var value any
	if text, ok := params.(json.RawMessage); ok {
		if err := json.Unmarshal(text, &value); err != nil {
			return nil, false, tandem.Errorf(tandem.Invalid, "call device", externalID, "the payload is not JSON")
		}
	}
	list, several := value.([]any)
	if !several && value != nil {
		list = []any{value}
	}
	for i, one := range list {
		switch one.(type) {
		case bool, float64, string:
			continue
		}
		text, err := json.Marshal(one)
		if err != nil {
			return nil, false, tandem.Errorf(tandem.Invalid, "call device", externalID, "the payload is not JSON")
		}
		list[i] = string(text)
	}
	answer, err := r.client.Call(ctx, externalID, method, list, timeout)
	return answer.Detail, answer.StatusCode != 0, err
}
