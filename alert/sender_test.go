package alert

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tandem"
	"tandem/outbound"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// here lets the tests call this machine.
var here = outbound.Policy{AllowPrivate: true}

const signingSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// inbox is a mail server, of the real protocol, that keeps what it takes.
type inbox struct {
	mu     sync.Mutex
	mails  []received
	refuse error // the answer to RCPT
	auths  int
}

type received struct {
	from string
	to   []string
	text string
	tls  bool
	user string
}

func (b *inbox) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &mailSession{inbox: b, mail: received{tls: secure}}, nil
}

// mailSession is one connection.
type mailSession struct {
	inbox *inbox
	mail  received
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.inbox.mu.Lock()
		defer s.inbox.mu.Unlock()
		s.inbox.auths++
		if user != "alerts" || password != "the-password" {
			return errors.New("wrong")
		}
		s.mail.user = user
		return nil
	}), nil
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error { s.mail.from = from; return nil }
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = append(s.mail.to, to)
	return s.inbox.refuse
}
func (s *mailSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.mail.text = string(text)
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	s.inbox.mails = append(s.inbox.mails, s.mail)
	return err
}
func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

func (b *inbox) all() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]received(nil), b.mails...)
}

// serveMail starts a mail server and gives its port. With startTLS it offers it, with implicit it begins with TLS.
func serveMail(t *testing.T, b *inbox, security Security, certificate *tls.Certificate) int {
	t.Helper()
	server := smtp.NewServer(b)
	server.Domain = "localhost"
	server.ReadTimeout, server.WriteTimeout = 10*time.Second, 10*time.Second
	server.ErrorLog = log.New(io.Discard, "", 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	switch security {
	case TLS:
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*certificate}})
	case StartTLS:
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	default:
		server.AllowInsecureAuth = true
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return port
}

// certificate makes a certificate for this machine, and the pool that trusts it.
var certificate = sync.OnceValues(func() (*tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
})

func TestMailArrivesBySMTP(t *testing.T) {
	t.Parallel()
	cert, roots := certificate()
	for name, security := range map[string]Security{"starttls": StartTLS, "the usual": "", "tls": TLS, "none": Plain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b inbox
			serve := security
			if serve == "" {
				serve = StartTLS
			}
			port := serveMail(t, &b, serve, cert)
			mailer := Mailer{Config: EmailConfig{Host: "127.0.0.1", Port: port, Security: security, Username: "alerts",
				From: "Tandem <tandem@example.com>", To: []string{"a@example.com", "B <b@example.com>"}}, Password: "the-password", Policy: here, Roots: roots}
			letter := Mail{ID: "msg_1", Subject: "Pümpe\r\nBcc: evil@example.com", Text: "line one\n.\nline three, ü\n", At: noon}
			if err := mailer.Send(t.Context(), letter); err != nil {
				t.Fatalf("send: %v", err)
			}
			mails := b.all()
			if len(mails) != 1 {
				t.Fatalf("%d mails", len(mails))
			}
			got := mails[0]
			if got.from != "tandem@example.com" || strings.Join(got.to, " ") != "a@example.com b@example.com" || got.user != "alerts" || got.tls != (security != Plain) {
				t.Errorf("envelope %+v", got)
			}
			parsed, err := mail.ReadMessage(strings.NewReader(got.text))
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string]string{"Bcc": "", "Message-Id": "<msg_1@example.com>", "Auto-Submitted": "auto-generated"} {
				if value := parsed.Header.Get(header); value != want {
					t.Errorf("%s: %q", header, value)
				}
			}
			if strings.Contains(got.text, "the-password") || strings.Contains(got.text, "\r\nBcc:") {
				t.Errorf("the mail:\n%s", got.text)
			}
			body, err := io.ReadAll(parsed.Body)
			if err != nil || !strings.Contains(string(body), "line one\r\n.\r\nline three, =C3=BC") {
				t.Errorf("body %q %v", body, err)
			}
		})
	}
}

func TestAPasswordNeverGoesOutInPlainText(t *testing.T) {
	t.Parallel()
	cert, roots := certificate()
	var b inbox
	port := serveMail(t, &b, Plain, nil) // does not offer STARTTLS
	config := EmailConfig{Host: "127.0.0.1", Port: port, Username: "alerts", From: "a@example.com", To: []string{"b@example.com"}}
	mailer := Mailer{Config: config, Password: "the-password", Policy: here, Roots: roots}
	if err := mailer.Send(t.Context(), Mail{ID: "1", Subject: "s", Text: "t", At: noon}); !tandem.Is(err, tandem.Unavailable) {
		t.Errorf("without STARTTLS: %v", err)
	}
	mailer.Config.Port, mailer.Roots = serveMail(t, &b, StartTLS, cert), nil
	if err := mailer.Send(t.Context(), Mail{ID: "1", Subject: "s", Text: "t", At: noon}); !tandem.Is(err, tandem.Unavailable) {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	mailer.Config.Security, mailer.Config.Host = Plain, "mail.example.com"
	if err := mailer.Send(t.Context(), Mail{ID: "1", Subject: "s", Text: "t", At: noon}); !tandem.Is(err, tandem.Invalid) {
		t.Errorf("plain, and not to this machine: %v", err)
	}
	if b.auths != 0 || len(b.all()) != 0 {
		t.Errorf("%d tries to sign in, %d mails", b.auths, len(b.all()))
	}
}

func TestMailThatIsRefused(t *testing.T) {
	t.Parallel()
	var b inbox
	port := serveMail(t, &b, Plain, nil)
	config := EmailConfig{Host: "127.0.0.1", Port: port, Security: Plain, Username: "alerts", From: "a@example.com", To: []string{"b@example.com"}}
	mailer := Mailer{Config: config, Password: "another-password", Policy: here}
	err := mailer.Send(t.Context(), Mail{ID: "1", Subject: "s", Text: "t", At: noon})
	if !tandem.Is(err, tandem.Unavailable) || strings.Contains(err.Error(), "another-password") {
		t.Errorf("a wrong password: %v", err)
	}
	b.refuse = &smtp.SMTPError{Code: 550, Message: "no such mailbox"}
	mailer.Password = "the-password"
	if err := mailer.Send(t.Context(), Mail{ID: "1", Subject: "s", Text: "t", At: noon}); err == nil || !strings.Contains(err.Error(), "no such mailbox") {
		t.Errorf("an unknown mailbox: %v", err)
	}
	mailer.Policy = outbound.Policy{}
	if err := mailer.Send(t.Context(), Mail{ID: "1", Subject: "s", Text: "t", At: noon}); !tandem.Is(err, tandem.Invalid) {
		t.Errorf("a server on this machine, which the policy refuses: %v", err)
	}
}

// hook is a web server that keeps what it is sent.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	header []http.Header
	status int
	reply  string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies, h.header = append(h.bodies, string(body)), append(h.header, r.Header)
		if h.status/100 == 3 {
			w.Header().Set("Location", h.URL+"/elsewhere")
		}
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(h.status)
		_, _ = io.WriteString(w, h.reply)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.bodies...)
}

// answer sets what is answered from now on.
func (h *hook) answer(status int, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.reply = status, text
}

// told makes a message about n alerts.
func told(n int) *message {
	var items []item
	for i := range n {
		a := tandem.Alert{ID: "a" + strconv.Itoa(i), OrganizationID: "o1", Kind: tandem.AlertRunFailed, Subject: "s1", ServiceID: "s1",
			Severity: tandem.Critical, Message: "a run of <!channel> & co failed", Hint: "look", Count: i + 1, Status: tandem.AlertRaised, RaisedAt: noon, LastAt: noon}
		items = append(items, item{alert: a, service: "prod",
			notification: tandem.Notification{ID: "n" + strconv.Itoa(i), Reason: Raised, CreatedAt: noon.Add(time.Duration(i) * time.Second)}})
	}
	m := compose(tandem.Organization{ID: "o1", Name: "Acme"}, items, "https://tandem.example.com/", time.Now())
	return &m
}

// sender makes a notifier whose channels have one secret.
func sender(t *testing.T, secret string) *Notifier {
	t.Helper()
	n := New(Options{Clock: time.Now, Policy: here, Open: func(*tandem.Channel) ([]byte, error) { return []byte(secret), nil }})
	t.Cleanup(n.Close)
	return n
}

func TestASignedWebhookVerifies(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := sender(t, signingSecret)
	channel := &tandem.Channel{Type: tandem.WebhookChannel, Config: json.RawMessage(`{"url":"` + h.URL + `/in"}`)}
	for _, count := range []int{1, 30} {
		if err := n.send(t.Context(), channel, told(count)); err != nil {
			t.Fatalf("%d: %v", count, err)
		}
	}
	verifier, err := standardwebhooks.NewWebhook(signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	bodies := h.all()
	for i, body := range bodies {
		if err := verifier.Verify([]byte(body), h.header[i]); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	var one, many event
	if err := errors.Join(json.Unmarshal([]byte(bodies[0]), &one), json.Unmarshal([]byte(bodies[1]), &many)); err != nil {
		t.Fatal(err)
	}
	if one.Type != "alert.raised" || one.Data.Alert.ID != "a0" || one.Data.Service != "prod" || one.Data.URL != "https://tandem.example.com/alerts/a0" {
		t.Errorf("one: %+v", one)
	}
	if many.Type != "alerts.summary" || many.Data.Count != 30 || len(many.Data.Newest) != newest || many.Data.Newest[0].Alert.ID != "a29" ||
		len(many.Data.By) != 1 || many.Data.By[0].Count != 30 {
		t.Errorf("many: %+v", many)
	}
	if first, second := told(3), told(3); first.id != second.id || first.id == told(4).id {
		t.Error("the same is told under another id, or something else under the same")
	}
}

func TestSlackTextMentionsNobody(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := sender(t, h.URL+"/services/secret-part")
	channel := &tandem.Channel{Type: tandem.SlackChannel}
	for _, count := range []int{1, 30} {
		if err := n.send(t.Context(), channel, told(count)); err != nil {
			t.Fatal(err)
		}
	}
	for i, body := range h.all() {
		var said map[string]string
		if err := json.Unmarshal([]byte(body), &said); err != nil {
			t.Fatal(err)
		}
		text := said["text"]
		if strings.Contains(text, "<!") || !strings.Contains(text, "&lt;!channel&gt; &amp; co") || !strings.Contains(text, "<https://tandem.example.com/alerts/a") {
			t.Errorf("message %d: %s", i, text)
		}
		if i == 1 && (!strings.Contains(text, "30 × run failed on prod") || strings.Count(text, "|open>") != newest) {
			t.Errorf("the summary: %s", text)
		}
	}
}

func TestFailuresSayWhatHappenedAndNoSecret(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := sender(t, h.URL+"/services/secret-part")
	channel := &tandem.Channel{Type: tandem.SlackChannel}
	h.answer(http.StatusNotFound, "no_service\x1b[1m")
	err := n.send(t.Context(), channel, told(1))
	if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "no_service") || strings.ContainsAny(err.Error(), "\x1b") {
		t.Errorf("404: %v", err)
	}
	var e *tandem.Error
	h.answer(http.StatusTooManyRequests, "")
	if err := n.send(t.Context(), channel, told(1)); !errors.As(err, &e) || e.RetryAfter != 2*time.Hour {
		t.Errorf("429: %v", err)
	}
	h.answer(http.StatusTemporaryRedirect, "")
	before := len(h.all())
	if err := n.send(t.Context(), channel, told(1)); err == nil || len(h.all()) != before+1 {
		t.Errorf("a redirect: %v, %d calls", err, len(h.all())-before)
	}
	h.Close()
	err = n.send(t.Context(), channel, told(1))
	if !tandem.Is(err, tandem.Unavailable) || strings.Contains(err.Error(), "secret-part") {
		t.Errorf("nobody there: %v", err)
	}
	strict := New(Options{Clock: time.Now, Open: n.open})
	defer strict.Close()
	if err := strict.send(t.Context(), channel, told(1)); !tandem.Is(err, tandem.Invalid) || strings.Contains(err.Error(), "secret-part") {
		t.Errorf("this machine, which the policy refuses: %v", err)
	}
	closed := New(Options{Clock: time.Now, Policy: here, Open: func(*tandem.Channel) ([]byte, error) { return nil, errors.New("secret-part") }})
	defer closed.Close()
	if err := closed.send(t.Context(), channel, told(1)); !tandem.Is(err, tandem.KeyLost) || strings.Contains(err.Error(), "secret-part") {
		t.Errorf("a secret that cannot be opened: %v", err)
	}
}

func TestASlowReceiverIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(release) })
	n := sender(t, slow.URL)
	n.client.Timeout = 50 * time.Millisecond
	if err := n.send(context.Background(), &tandem.Channel{Type: tandem.SlackChannel}, told(1)); !tandem.Is(err, tandem.Unavailable) {
		t.Errorf("error %v", err)
	}
}

func TestChannelsAreChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		of     tandem.ChannelType
		config string
		secret string
		want   string // part of the error, "" for none
	}{
		{"slack", tandem.SlackChannel, `{}`, "https://hooks.example.com/services/a/b", ""},
		{"slack without a configuration", tandem.SlackChannel, ``, "https://hooks.example.com/services/a/b", ""},
		{"slack without an address", tandem.SlackChannel, `{}`, "", "missing"},
		{"slack with its address in the open", tandem.SlackChannel, `{"url":"https://hooks.example.com/services/a/b"}`, "", "not what this type of channel has"},
		{"slack inside", tandem.SlackChannel, `{}`, "https://10.0.0.1/secret-part", "private"},
		{"slack without encryption", tandem.SlackChannel, `{}`, "http://hooks.example.com/secret-part", "plain http"},
		{"webhook", tandem.WebhookChannel, `{"url":"https://example.com/in"}`, signingSecret, ""},
		{"webhook without a secret", tandem.WebhookChannel, `{"url":"https://example.com/in"}`, "", "signing secret"},
		{"webhook with a short secret", tandem.WebhookChannel, `{"url":"https://example.com/in"}`, "whsec_c2hvcnQ=", "24 to 64 bytes"},
		{"webhook to a metadata service", tandem.WebhookChannel, `{"url":"https://169.254.169.254/"}`, signingSecret, "metadata"},
		{"webhook nowhere", tandem.WebhookChannel, `{}`, signingSecret, "not an https address"},
		{"mail", tandem.EmailChannel, `{"host":"mail.example.com","from":"a@example.com","to":["b@example.com"]}`, "", ""},
		{"mail with a password", tandem.EmailChannel, `{"host":"mail.example.com","username":"u","from":"a@example.com","to":["b@example.com"]}`, "p", ""},
		{"mail with a password in the open", tandem.EmailChannel, `{"host":"mail.example.com","password":"p","from":"a@example.com","to":["b@example.com"]}`, "", "not what this type"},
		{"mail with half of the credentials", tandem.EmailChannel, `{"host":"mail.example.com","username":"u","from":"a@example.com","to":["b@example.com"]}`, "", "no password"},
		{"mail with the other half", tandem.EmailChannel, `{"host":"mail.example.com","from":"a@example.com","to":["b@example.com"]}`, "p", "no user name"},
		{"mail in plain text", tandem.EmailChannel, `{"host":"mail.example.com","security":"none","username":"u","from":"a@example.com","to":["b@example.com"]}`, "p", "plain text"},
		{"mail to nobody", tandem.EmailChannel, `{"host":"mail.example.com","from":"a@example.com","to":[]}`, "", "0 recipients"},
		{"mail to what is no address", tandem.EmailChannel, `{"host":"mail.example.com","from":"a@example.com","to":["b"]}`, "", "no e-mail address"},
		{"mail with a header in an address", tandem.EmailChannel, `{"host":"mail.example.com","from":"a@example.com\r\nBcc: c@example.com","to":["b@example.com"]}`, "", "no e-mail address"},
		{"mail with a header in a name", tandem.EmailChannel, `{"host":"mail.example.com","from":"\"x\\\r\nBcc: c\" <a@example.com>","to":["b@example.com"]}`, "", "no e-mail address"},
		{"mail with a command in a user name", tandem.EmailChannel, `{"host":"mail.example.com","username":"u\r\nRSET","from":"a@example.com","to":["b@example.com"]}`, "p", "control characters"},
		{"mail inside", tandem.EmailChannel, `{"host":"127.0.0.1","from":"a@example.com","to":["b@example.com"]}`, "", "loopback"},
		{"mail through a socket", tandem.EmailChannel, `{"host":"unix:///run/mail","from":"a@example.com","to":["b@example.com"]}`, "", "not a name"},
		{"mail with a wrong port", tandem.EmailChannel, `{"host":"mail.example.com","port":70000,"from":"a@example.com","to":["b@example.com"]}`, "", "port"},
		{"mail with a way of its own", tandem.EmailChannel, `{"host":"mail.example.com","security":"maybe","from":"a@example.com","to":["b@example.com"]}`, "", "starttls"},
		{"pigeons", "pigeons", `{}`, "", "none of slack"},
		{"no JSON", tandem.SlackChannel, `{`, "", "not what this type"},
		{"too much JSON", tandem.SlackChannel, `{}{}`, "", "not what this type"},
	} {
		err := CheckChannel(&tandem.Channel{Type: test.of, Config: json.RawMessage(test.config)}, []byte(test.secret), outbound.Policy{})
		switch {
		case (err == nil) != (test.want == ""):
			t.Errorf("%s: %v", test.name, err)
		case err == nil:
		case !tandem.Is(err, tandem.Invalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret-part"):
			t.Errorf("%s: %v", test.name, err)
		}
	}
	stored := tandem.Channel{Type: tandem.WebhookChannel, Config: json.RawMessage(`{"url":"https://example.com/in"}`), Credentials: []byte("sealed")}
	if err := CheckChannel(&stored, nil, outbound.Policy{}); err != nil {
		t.Errorf("a secret that stays: %v", err)
	}
}
