package webtest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"tandem/cmd/tandem/built"
	"tandem/store/pgtest"
)

// shared is what the tests of this process have in common, made when the first asks for it.
var shared struct {
	sync.Mutex
	running bool   // under Main
	folder  string // for the program, databases and profiles
	program string // path of the executable
	server  *server
	admin   *Person // made with the server; owns nothing that a test looks at
	browser *chromium
	err     error // of whatever failed first: the rest would fail alike
}

// Main runs the tests of a binary and ends what they shared. It goes into TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }
func Main(m interface{ Run() int }) int {
	shared.running = true
	code := pgtest.Main(m)
	shared.Lock()
	defer shared.Unlock()
	var errs []error
	if shared.browser != nil {
		errs = append(errs, shared.browser.stop())
	}
	if shared.server != nil {
		errs = append(errs, shared.server.stop())
	}
	if shared.folder != "" {
		errs = append(errs, os.RemoveAll(shared.folder))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "end what the tests of pages shared:", err)
		code = max(code, 1)
	}
	return code
}

// once makes a shared part where there is none yet.
func once(t testing.TB, what string, missing func() bool, make func() error) {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.running {
		t.Fatal("tests of pages are run by webtest.Main: add func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }")
	}
	if shared.err == nil && shared.folder == "" {
		shared.folder, shared.err = os.MkdirTemp("", "tandem-webtest-")
	}
	if shared.err == nil && missing() {
		if err := make(); err != nil {
			shared.err = fmt.Errorf("%s: %w", what, err)
		}
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
}

// the program's path.
func program(t testing.TB) string {
	t.Helper()
	once(t, "the program", func() bool { return shared.program == "" }, func() (err error) {
		shared.program, err = built.Program(shared.folder)
		return err
	})
	return shared.program
}

// theServer is the one that tests share, and who made its first account.
func theServer(t testing.TB) (*server, *Person) {
	t.Helper()
	at := program(t)
	once(t, "start the server", func() bool { return shared.server == nil }, func() (err error) {
		if shared.server, err = serve(at, shared.folder, "sqlite:"+shared.folder+"/tandem.db"); err != nil {
			return err
		}
		shared.admin, err = shared.server.setUp()
		return err
	})
	return shared.server, shared.admin
}

// theBrowser is the one that tests share.
func theBrowser(t testing.TB) *chromium {
	t.Helper()
	once(t, "start Chromium", func() bool { return shared.browser == nil }, func() (err error) {
		shared.browser, err = startChromium(shared.folder)
		return err
	})
	return shared.browser
}
