package mqtt_test

import (
	"strings"
	"testing"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"

	"tandem"
	"tandem/gateway"
)

func TestMosquittoPub(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *world{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(name, func(t *testing.T) {
			w := open(t).serve()
			d := w.device("sensor-1")
			for i, version := range []string{"311", "5"} {
				w.pub(&d, "-V", version, "-q", "1", "-t", w.topic(&d, "telemetry"), "-m", text(`{"battery":%d}`, 80-i))
				equal(w, w.battery(&d), float64(80-i)) // it is there once it is acknowledged
				w.pub(&d, "-V", version, "-q", "0", "-t", w.topic(&d, "telemetry/battery_level"), "-m", text("%d", 60-i))
				w.until("the battery changes", func() bool { return w.battery(&d) == float64(60-i) })
			}
			equal(w, len(w.history(&d, "telemetry")), 2)
			equal(w, len(w.history(&d, "battery_level")), 4)
			equal(w, w.status(&d), tandem.Online) // who says that it goes was there
		})
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	w := onSQLite(t).serve()
	d := w.device("sensor")
	topic := w.topic(&d, "telemetry")
	wrong := d
	wrong.password = "wrong"
	for _, version := range []string{"311", "5"} {
		for _, k := range []*known{&wrong, nil} {
			out, err := w.mosquitto("mosquitto_pub", k, "-V", version, "-t", topic, "-m", "1", "-q", "1")
			if err == nil || !strings.Contains(strings.ToLower(out), "not auth") && !strings.Contains(strings.ToLower(out), "bad user") {
				t.Errorf("with MQTT %s: %v %s", version, err, out)
			}
		}
	}
	w.pub(&d, "-t", topic, "-m", "1", "-q", "1")
	w.revoke(&d)
	w.until("a revoked credential is out", func() bool {
		_, err := w.mosquitto("mosquitto_pub", &d, "-t", topic, "-m", "1", "-q", "1")
		return err != nil
	})
	if strings.Contains(w.log.String(), d.password) {
		t.Error("the log has a password")
	}
}

func TestARevokedDeviceIsPartedFrom(t *testing.T) {
	w := onSQLite(t).serve()
	d := w.device("sensor")
	lost := make(chan error, 1)
	w.client3(&d, func(o *paho3.ClientOptions) {
		o.SetConnectionLostHandler(func(_ paho3.Client, err error) { lost <- err })
	})
	w.until("it is online", func() bool { return w.status(&d) == tandem.Online })
	w.revoke(&d)
	select {
	case <-lost:
	case <-time.After(5 * time.Second):
		t.Error("it is still connected")
	}
	w.until("it is offline", func() bool { return w.status(&d) == tandem.Offline })
}

func TestNobodyGetsAtAnother(t *testing.T) {
	w := onSQLite(t).serve()
	d, other := w.device("sensor"), w.device("sensor-other")
	for _, foreign := range []string{w.topic(&other, "telemetry"), w.topic(&d, "commands"), w.topic(&d, "other"), "telemetry", "$SYS/x",
		strings.Replace(w.topic(&d, "telemetry"), "acme", "umbrella", 1)} {
		out, err := w.mosquitto("mosquitto_pub", &d, "-V", "5", "-q", "1", "-t", foreign, "-m", `{"battery":1}`)
		if err == nil && !strings.Contains(out, "Not authorized") {
			t.Errorf("%s: %s", foreign, out)
		}
		lost := make(chan error, 1)
		c := w.client3(&d, func(o *paho3.ClientOptions) {
			o.SetConnectionLostHandler(func(_ paho3.Client, err error) { lost <- err })
		})
		c.Publish(foreign, 1, false, `{"battery":1}`)
		select {
		case <-lost:
		case <-time.After(5 * time.Second):
			t.Errorf("%s is let pass with MQTT 3.1.1", foreign)
		}
	}
	equal(w, w.battery(&other), -1)
	for _, version := range []string{"311", "5"} {
		for _, filter := range []string{"#", "+/+/devices/+/telemetry", "tandem/" + w.slug + "/devices/#", w.topic(&other, "#"), w.topic(&d, "#")[:len(w.topic(&d, "#"))-2],
			"$share/a/" + w.topic(&d, "#"), "$SYS/#", "tandem/" + w.slug + "/devices/sensor-other/commands"} {
			out, err := w.mosquitto("mosquitto_sub", &d, "-V", version, "-t", filter, "-W", "2", "-E")
			if err == nil && !strings.Contains(out, "denied") && !strings.Contains(out, "rejected") && !strings.Contains(out, "were") {
				t.Errorf("%s was granted with MQTT %s: %s", filter, version, out)
			}
		}
	}
	if w.counted(gateway.Unauthentic) < 12 {
		t.Errorf("%d were counted", w.counted(gateway.Unauthentic))
	}
}
