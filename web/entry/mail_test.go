package entry_test

import (
	"io"
	"log"
	"mime/quotedprintable"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"tandem/web/webtest"
)

// inbox is a mail server that keeps what it takes.
type inbox struct {
	mu    sync.Mutex
	mails []string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &delivery{b}, nil }

// link gives the path of the link in the newest mail, "" before there is one.
func (b *inbox) link() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mails) == 0 {
		return ""
	}
	return regexp.MustCompile(`/reset-password\?token=\S+`).FindString(b.mails[len(b.mails)-1])
}

// delivery is one connection to it.
type delivery struct{ inbox *inbox }

func (d *delivery) Mail(string, *smtp.MailOptions) error { return nil }
func (d *delivery) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (d *delivery) Reset()                               {}
func (d *delivery) Logout() error                        { return nil }
func (d *delivery) Data(r io.Reader) error {
	text, err := io.ReadAll(quotedprintable.NewReader(r))
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	d.inbox.mails = append(d.inbox.mails, string(text))
	return err
}

// serveMail starts a mail server and gives its port.
func serveMail(t *testing.T, b *inbox) string {
	t.Helper()
	server := smtp.NewServer(b)
	server.Domain, server.AllowInsecureAuth, server.ErrorLog = "localhost", true, log.New(io.Discard, "", 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// TestForgottenPassword: who forgot it gets a letter with a link to another.
func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	var mail inbox
	w := webtest.Open(t, webtest.Flags("--mail-host", "127.0.0.1", "--mail-port", serveMail(t, &mail), "--mail-security", "none", "--mail-from", "tandem@example.com"))
	p := w.Browser(t, webtest.Options{SignedOut: true, Theme: "dark"})
	p.OpenAt("/sign-in")
	p.Click("a >> Forgot it?")
	p.WaitPath("/forgot-password")
	p.Fill("label >> Email", w.Owner.Email)
	p.Click("button >> Send the link")
	p.See("a letter is on its way")
	p.Axe()
	w.Wait("the letter", func() bool { return mail.link() != "" })
	p.OpenAt(strings.TrimSpace(mail.link()))
	p.See("Choose a new password")
	p.Axe()
	p.Fill("[name=password]", good+"-new")
	p.Fill("[name=again]", good+"-new")
	p.Click("button >> Set the password")
	p.See("is changed")
	if got := p.Value("[name=email]"); got != w.Owner.Email {
		t.Errorf("signing in begins with the email %q", got)
	}
	p.Fill("[name=password]", good+"-new")
	p.Click("button >> Sign in")
	p.WaitPath(w.Path(""))
	p.Allow(404, "^/reset-password")
	p.OpenAt(mail.link())
	p.See("This link does not work")
}
