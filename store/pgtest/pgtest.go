package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// EnvURL names the environment variable with a server that tests may make databases in.
const EnvURL = "TANDEM_TEST_POSTGRES_URL"

// shared is this process's cluster, started by the first test that needs it.
var shared struct {
	sync.Mutex
	cluster *Cluster
	err     error
}

// URL gives the URL of a fresh, empty database, which goes with the test.
func URL(t testing.TB) string {
	t.Helper()
	return fresh(t, "")
}

// templates are the databases that Copy copies, by name of what prepared them, for this process.
var templates = struct {
	sync.Mutex
	named map[string]*template
}{named: map[string]*template{}}

// template is one of them.
type template struct {
	once sync.Once
	name string // of the database
	err  error
}

// Copy gives the URL of a fresh copy of a database that prepare has filled, which happens once for each name in a
// process: migrating takes longer than most tests do. No connection of prepare may stay open.
func Copy(t testing.TB, name string, prepare func(ctx context.Context, url string) error) string {
	t.Helper()
	templates.Lock()
	of, ok := templates.named[name]
	if !ok {
		of = &template{}
		templates.named[name] = of
	}
	templates.Unlock()
	of.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		var at string
		at, _, of.err = create(ctx, "")
		if of.err == nil {
			of.err = prepare(ctx, at)
		}
		if u, err := url.Parse(at); of.err == nil && err == nil {
			of.name = strings.TrimPrefix(u.Path, "/")
		}
	})
	if of.err != nil {
		t.Fatalf("PostgreSQL for tests: prepare %s: %v", name, of.err)
	}
	return fresh(t, of.name)
}

// create makes a database in the server that tests use: its URL, and one to drop it from.
func create(ctx context.Context, template string) (at, drop string, err error) {
	if server := os.Getenv(EnvURL); server != "" {
		return createIn(ctx, server, template)
	}
	c, err := sharedCluster(ctx)
	if err != nil {
		return "", "", err
	}
	at, err = c.create(ctx, template)
	return at, c.AdminURL("postgres"), err
}

// fresh makes a database for the time of the test.
func fresh(t testing.TB, template string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	at, drop, err := create(ctx, template)
	if err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	t.Cleanup(func() {
		u, err := url.Parse(at)
		if err != nil {
			t.Errorf("drop test database: %v", err)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := execAt(ctx, drop, "DROP DATABASE "+strings.TrimPrefix(u.Path, "/")+" WITH (FORCE)"); err != nil {
			t.Errorf("drop test database: %v", err)
		}
	})
	return at
}

// AdminURL gives the superuser's URL for the database of a URL that URL gave. With TANDEM_TEST_POSTGRES_URL that is the same URL.
func AdminURL(t testing.TB, at string) string {
	t.Helper()
	if os.Getenv(EnvURL) != "" {
		return at
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sharedCluster(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c.AdminURL(strings.TrimPrefix(u.Path, "/"))
}

// Main runs a package's tests and stops the cluster that they used:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if err := dropTemplates(); err != nil {
		fmt.Fprintln(os.Stderr, "drop the templates of test databases:", err)
		code = max(code, 1)
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		return code
	}
	if err := shared.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the throwaway PostgreSQL:", err)
		return max(code, 1)
	}
	return code
}

// dropTemplates leaves nothing behind in a server that is not the tests' own.
func dropTemplates() error {
	server := os.Getenv(EnvURL)
	if server == "" {
		return nil
	}
	templates.Lock()
	defer templates.Unlock()
	var errs []error
	for _, of := range templates.named {
		if of.name != "" {
			errs = append(errs, execAt(context.Background(), server, "DROP DATABASE "+of.name+" WITH (FORCE)"))
		}
	}
	return errors.Join(errs...)
}

// sharedCluster gives this process's cluster.
func sharedCluster(ctx context.Context) (*Cluster, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = Start(ctx, Options{})
	}
	return shared.cluster, shared.err
}

// createIn makes a database in a server that is there already, and gives its URL and one to drop it from.
func createIn(ctx context.Context, server, template string) (at, drop string, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", "", fmt.Errorf("%s is not a URL", EnvURL)
	}
	name := "tandem_test_" + strings.ToLower(rand.Text())
	like := ""
	if template != "" {
		like = " TEMPLATE " + template
	}
	if err := execAt(ctx, server, "CREATE DATABASE "+name+like); err != nil {
		return "", "", err
	}
	u.Path = "/" + name
	return u.String(), server, nil
}
