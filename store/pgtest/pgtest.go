package pgtest

import (
	"context"
	"crypto/rand"
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
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var at, drop string
	var err error
	if server := os.Getenv(EnvURL); server != "" {
		at, drop, err = createIn(ctx, server)
	} else {
		var c *Cluster
		if c, err = sharedCluster(ctx); err == nil {
			at, err = c.Create(ctx)
			drop = c.AdminURL("postgres")
		}
	}
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
func createIn(ctx context.Context, server string) (at, drop string, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", "", fmt.Errorf("%s is not a URL", EnvURL)
	}
	name := "tandem_test_" + strings.ToLower(rand.Text())
	if err := execAt(ctx, server, "CREATE DATABASE "+name); err != nil {
		return "", "", err
	}
	u.Path = "/" + name
	return u.String(), server, nil
}
