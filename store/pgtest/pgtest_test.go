package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem/store/pgtest"
)

// TestMain also serves as the process that dies while its cluster runs.
func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_CHILD") != "" {
		c, err := pgtest.Start(context.Background(), pgtest.Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if _, err := fmt.Fprintln(os.Stdout, c.AdminURL("postgres")); err != nil {
			os.Exit(1)
		}
		_, err = io.Copy(io.Discard, os.Stdin) // until killed
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(pgtest.Main(m))
}

func query[T any](t *testing.T, at, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	var value T
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestURLGivesFreshDatabases(t *testing.T) {
	a, b := pgtest.URL(t), pgtest.URL(t)
	if a == b {
		t.Fatal("the same database twice")
	}
	if n := query[int](t, a, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != 0 {
		t.Errorf("a fresh database has %d tables", n)
	}
	if zone := query[string](t, a, "SELECT current_setting('TimeZone')"); os.Getenv(pgtest.EnvURL) == "" && zone != "UTC" {
		t.Errorf("time zone %s", zone)
	}
	if super := query[bool](t, a, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"); os.Getenv(pgtest.EnvURL) == "" && super {
		t.Error("tests run as a superuser")
	}
}

func TestTheClusterEndsWithItsProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), "PGTEST_CHILD=1")
	if _, err := child.StdinPipe(); err != nil { // held open, so that the child waits
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "postgres://") {
		t.Fatalf("child said %q, %v", line, err)
	}
	at, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) {
		t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", at.Host)
		if err != nil {
			return // nobody listens any more
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the server outlived its process by 30 s")
		}
	}
}
