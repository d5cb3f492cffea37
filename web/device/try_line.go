package device

import (
	"net"
	"net/url"
	"regexp"
	"strings"

	"tandem"
)

// line is a command for a terminal that reports as the device, with a credential of it filled in.
type line struct {
	Label string
	Text  string
	Note  string // why it may not work yet, "" where it does
}

// sample is what the lines report.
const sample = `{"battery":87}`

// tryLine gives the line that tries a credential out. The secret is "" where it is not known here: of a certificate, and
// of a key that the device has already.
func (p *page) tryLine(c *tandem.Credential, secret string) line {
	switch c.Kind {
	case tandem.PasswordCredential:
		return p.mqttLine(c, secret)
	case tandem.PSKCredential:
		return p.coapLine(c, secret)
	case tandem.CertificateCredential:
		return p.certificateLine()
	}
	return line{Label: "Report with curl", Text: "curl -d " + word(sample) + " -H " + word("Authorization: Bearer "+secret) + " " + p.base() + "/ingest/v1/telemetry"}
}

func (p *page) mqttLine(c *tandem.Credential, secret string) line {
	host, port, secure, open := p.door("mqtt", "1883", "8883")
	text := "mosquitto_pub -h " + host + " -p " + port
	if secure {
		text += " --tls-use-os-certs"
	}
	l := line{Label: "Report with mosquitto_pub", Text: text + " -u " + word(c.Identity) + " -P " + word(secret) + " -q 1 -t " + word(p.topic()) + " -m " + word(sample)}
	if broker := p.broker(); !open && broker != "" {
		l.Note = "This server takes what devices report from the broker at " + broker + ": the device needs an account there."
	} else if !open {
		l.Note = "This server does not listen for MQTT yet: it does when it is started with --mqtt-tls-listen or, on your own network, --mqtt-listen."
	}
	return l
}

func (p *page) coapLine(c *tandem.Credential, secret string) line {
	host, port, _, open := p.door("coap", "", "5684")
	key := `"$KEY"`
	if secret != "" {
		key = word(secret)
	}
	l := line{Label: "Report with libcoap, whose program is called coap-client elsewhere than on Debian", Text: "coap-client-openssl -m post -u " + word(c.Identity) + " -k " + key + " -t 50 -e " + word(sample) + " coaps://" + net.JoinHostPort(host, port) + "/telemetry"}
	if !open {
		l.Note = "This server does not listen for CoAP with DTLS yet: it does when it is started with --coap-listen."
	}
	return l
}

func (p *page) certificateLine() line {
	return line{Label: "Report with curl", Text: "curl --cert device.pem --key device.key -d " + word(sample) + " " + p.base() + "/ingest/v1/telemetry",
		Note: "The server has to be started with --tls-cert and, to name who signs the devices' certificates, --ingest-client-ca."}
}

// topic is where the device publishes its telemetry.
func (p *page) topic() string {
	level := strings.NewReplacer("%", "%25", "/", "%2F", "+", "%2B", "#", "%23").Replace(p.d.DeviceID)
	return "tandem/" + p.c.Org.Slug + "/devices/" + level + "/telemetry"
}

// base is where devices reach the server over HTTP: as its settings say, or else as the page was reached.
func (p *page) base() string {
	if at := p.c.Site.PublicURL; at != "" {
		return strings.TrimSuffix(at, "/")
	}
	if p.c.R.TLS != nil {
		return "https://" + p.c.R.Host
	}
	return "http://" + p.c.R.Host
}

// door finds where a protocol is served, with TLS (its name ends in s) rather than without; without a usual port, with TLS
// alone. Where it is not served, it gives where it would be.
func (p *page) door(scheme, port, securePort string) (host, at string, secure, open bool) {
	host = "localhost"
	if u, err := url.Parse(p.base()); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	var plain, safe *url.URL
	if p.c.Site.Doors != nil {
		for _, one := range p.c.Site.Doors() {
			u, err := url.Parse(one)
			switch {
			case err != nil:
			case u.Scheme == scheme+"s":
				safe = u
			case u.Scheme == scheme && port != "":
				plain = u
			}
		}
	}
	found := safe
	if found == nil {
		found = plain
	}
	if found == nil {
		return host, securePort, true, false
	}
	if ip := net.ParseIP(found.Hostname()); found.Hostname() != "" && (ip == nil || !ip.IsUnspecified()) {
		host = found.Hostname()
	}
	return host, found.Port(), found == safe, true
}

// broker is where devices publish by MQTT when this server listens at another's broker, "" where it does not.
func (p *page) broker() string {
	if p.c.Site.Doors != nil {
		for _, one := range p.c.Site.Doors() {
			if at, found := strings.CutPrefix(one, "the broker at "); found {
				return at
			}
		}
	}
	return ""
}

// plainWord is what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=-]+$`)

// word quotes a text for a shell.
func word(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
