package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/mail"
	"net/netip"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"tandem"
	"tandem/outbound"
)

// mailTimeout bounds the sending of one mail as a whole.
const mailTimeout = 30 * time.Second

// Mail is one mail of plain text.
type Mail struct {
	ID      string // for the message id; the same whenever the same mail is sent
	Subject string
	Text    string
	At      time.Time
}

// Mailer sends mail through one server. It is also for letters that are no alerts.
type Mailer struct {
	Config   EmailConfig // its To is used where Send is given none
	Password string
	Policy   outbound.Policy
	Roots    *x509.CertPool // the authorities that the server's certificate is checked by; nil for the system's
}

// Send sends a mail to some addresses, nil for those of the configuration. A password is sent through an encrypted
// connection only, or to this machine.
func (m Mailer) Send(ctx context.Context, letter Mail, to ...string) error {
	config := m.Config
	if len(to) > 0 {
		config.To = to
	}
	if err := checkEmail(&config, m.Password != "", m.Password, m.Policy); err != nil {
		return err
	}
	message, err := compile(&config, letter)
	if err != nil {
		return err
	}
	client, err := m.connect(&config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	// A server that takes the mail and is rude at parting has taken it.
	if err := client.DialAndSendWithContext(ctx, message); err != nil && !message.IsDelivered() {
		return mailError(config.Host, err)
	}
	return nil
}

// compile makes the message with its headers.
func compile(config *EmailConfig, letter Mail) (*gomail.Msg, error) {
	message := gomail.NewMsg()
	for _, err := range []error{message.From(config.From), message.To(config.To...)} {
		if err != nil {
			return nil, invalid("an address cannot be written to")
		}
	}
	message.Subject(clean(letter.Subject, 200))
	message.SetDateWithValue(letter.At)
	message.SetMessageIDWithValue(letter.ID + "@" + domain(config.From))
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetUserAgent("Tandem")
	message.SetBodyString(gomail.TypeTextPlain, letter.Text)
	return message, nil
}

// connect makes the client for a server.
func (m Mailer) connect(config *EmailConfig) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithTimeout(callTimeout), gomail.WithDialContextFunc(outbound.Dialer(m.Policy).DialContext),
		gomail.WithTLSConfig(&tls.Config{ServerName: config.Host, MinVersion: tls.VersionTLS12, RootCAs: m.Roots}),
		gomail.WithHELO("localhost"), gomail.WithoutNoop(),
	}
	port := config.Port
	switch config.Security {
	case TLS:
		// The library's own switch for TLS from the first byte would not go through our dialer.
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithDialContextFunc(
			(&tls.Dialer{NetDialer: outbound.Dialer(m.Policy), Config: &tls.Config{ServerName: config.Host,
				MinVersion: tls.VersionTLS12, RootCAs: m.Roots}}).DialContext))
		port = orElse(port, 465)
	case Plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
		port = orElse(port, 25)
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
		port = orElse(port, 587)
	}
	options = append(options, gomail.WithPort(port))
	if config.Username != "" {
		ways := []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin}
		if config.Security == Plain { // checked: to this machine only
			ways = []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc}
		}
		options = append(options, gomail.WithOpportunisticSMTPAuth(ways...), gomail.WithUsername(config.Username), gomail.WithPassword(m.Password))
	}
	client, err := gomail.NewClient(config.Host, options...)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "alert: send mail", config.Host, "the mail server cannot be used: %w", err)
	}
	return client, nil
}

// mailError says why a mail was not sent.
func mailError(host string, err error) error {
	var refused *tandem.Error
	if errors.As(err, &refused) {
		return refused
	}
	return tandem.Errorf(tandem.Unavailable, "alert: send mail", host, "the mail was not sent: %s", clean(err.Error(), 300))
}

// orElse gives a port, or the usual one.
func orElse(port, usual int) int {
	if port == 0 {
		return usual
	}
	return port
}

// domain gives what follows the @ of an address.
func domain(address string) string {
	if a, err := mail.ParseAddress(address); err == nil {
		return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
	}
	return "localhost"
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}
