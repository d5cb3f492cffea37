package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem"
)

const (
	adminRole = "postgres"
	ownerRole = "tandem"
	prefix    = "tandem-pgtest-"

	debianBinaries = "/usr/lib/postgresql/*/bin/initdb"
)

// Options says how a cluster is run.
type Options struct {
	Dir     string // an existing folder to keep it in, which the server's user must be able to enter; "" for a temporary one
	Durable bool   // with fsync, as in production; without, a crash of the machine may damage it
}

// Cluster is a running throwaway PostgreSQL server.
type Cluster struct {
	dir      string // ours: everything in it goes with Stop
	lock     *os.File
	port     int
	password string
	command  *exec.Cmd
	log      string

	ended chan struct{} // closed when the server's process has ended
	stop  func() error

	mu    sync.Mutex
	count int // databases made
}

// Start runs a new cluster. NotFound, with the command that installs them, when there are no binaries.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	bin, err := binaries(debianBinaries)
	if err != nil {
		return nil, err
	}
	if options.Dir == "" {
		sweep(os.TempDir())
	}
	dir, err := os.MkdirTemp(options.Dir, prefix)
	if err != nil {
		return nil, failed("make folder", err, "")
	}
	c := &Cluster{dir: dir, log: filepath.Join(dir, "log"), password: rand.Text(), ended: make(chan struct{})}
	c.stop = sync.OnceValue(c.shutdown)
	if err := c.start(ctx, bin, options); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// start makes the cluster's files, runs its server and makes the role that tests use.
func (c *Cluster) start(ctx context.Context, bin string, options Options) error {
	var err error
	if c.lock, err = hold(c.dir); err != nil {
		return failed("lock folder", err, "")
	}
	who, err := serverUser()
	if err != nil {
		return err
	}
	passwords := filepath.Join(c.dir, "password")
	if err := os.WriteFile(passwords, []byte(c.password+"\n"), 0o600); err != nil {
		return failed("write password", err, "")
	}
	if who != nil {
		for _, name := range []string{c.dir, passwords} {
			if err := os.Chown(name, int(who.Uid), int(who.Gid)); err != nil {
				return failed("give folder away", err, "")
			}
		}
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", data, "--username", adminRole, "--pwfile", passwords,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = c.dir, attributes(who, syscall.SIGKILL)
	if output, err := initdb.CombinedOutput(); err != nil {
		return failed("initdb", err, string(output))
	}
	for range 5 { // another process may take the free port first
		if err = c.serve(ctx, bin, data, who, options); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return err
	}
	return c.exec(ctx, "postgres", "CREATE ROLE "+ownerRole+" LOGIN CREATEDB CREATEROLE PASSWORD '"+c.password+"'")
}

// serve starts the server on a free port and waits until it answers.
func (c *Cluster) serve(ctx context.Context, bin, data string, who *syscall.Credential, options Options) error {
	port, err := freePort()
	if err != nil {
		return failed("find a free port", err, "")
	}
	settings := []string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300", "log_min_messages=fatal", "timezone=UTC"}
	if !options.Durable {
		settings = append(settings, "shared_buffers=64MB", "max_wal_size=256MB", "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	args := []string{"-D", data, "-p", strconv.Itoa(port)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	log, err := os.Create(c.log)
	if err != nil {
		return failed("write log", err, "")
	}
	command := exec.Command(filepath.Join(bin, "postgres"), args...)
	command.Dir, command.Stdout, command.Stderr = c.dir, log, log
	command.SysProcAttr = attributes(who, syscall.SIGQUIT) // an immediate shutdown, when this process dies
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the death of this thread is what the server is told of
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // its exit status says nothing that the log does not
		}
		close(ended)
	}()
	if err := errors.Join(<-started, log.Close()); err != nil {
		return failed("start postgres", err, "")
	}
	c.command, c.port, c.ended = command, port, ended
	return c.ready(ctx)
}

// ready waits until the server answers, for at most a minute.
func (c *Cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.url(adminRole, "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ticker.C:
		case <-c.ended:
			return failed("start postgres", err, c.Log())
		case <-ctx.Done():
			return failed("start postgres", errors.Join(ctx.Err(), err), c.Log())
		}
	}
}

// Create makes a fresh database, owned by a role that is no superuser, and gives its URL.
func (c *Cluster) Create(ctx context.Context) (string, error) { return c.create(ctx, "") }

// create makes a database, a copy of template unless that is "".
func (c *Cluster) create(ctx context.Context, template string) (string, error) {
	c.mu.Lock()
	c.count++
	name := fmt.Sprintf("test_%d", c.count)
	c.mu.Unlock()
	like := ""
	if template != "" {
		like = " TEMPLATE " + template + ""
	}
	if err := c.exec(ctx, "postgres", "CREATE DATABASE "+name+" OWNER "+ownerRole+like); err != nil {
		return "", err
	}
	return c.url(ownerRole, name), nil
}

// AdminURL gives the URL of a database for the superuser, for tests of what an operator does.
func (c *Cluster) AdminURL(database string) string { return c.url(adminRole, database) }

// Process is the id of the server's first process, whose children the others are.
func (c *Cluster) Process() int { return c.command.Process.Pid }

// Log gives what the server has logged.
func (c *Cluster) Log() string {
	data, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Stop ends the server at once and removes its files. A second call does nothing.
func (c *Cluster) Stop() error { return c.stop() }

// shutdown is Stop, once.
func (c *Cluster) shutdown() error {
	var err error
	if c.command != nil {
		if signaled := c.command.Process.Signal(syscall.SIGQUIT); signaled != nil && !errors.Is(signaled, os.ErrProcessDone) {
			err = signaled
		}
		<-c.ended
	}
	err = errors.Join(err, os.RemoveAll(c.dir))
	if c.lock != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return err
}

// url gives a URL for a role.
func (c *Cluster) url(role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, c.password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// exec runs one statement as the superuser.
func (c *Cluster) exec(ctx context.Context, database, statement string) error {
	return execAt(ctx, c.url(adminRole, database), statement)
}

// execAt runs one statement at a URL.
func execAt(ctx context.Context, at, statement string) error {
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return failed("connect", err, "")
	}
	_, err = conn.Exec(ctx, statement)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return failed("run a statement", err, "")
	}
	return nil
}

// binaries finds the folder with initdb and postgres: PATH first, then where Debian installs them, the newest version first.
func binaries(installed string) (string, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		bin := filepath.Dir(initdb)
		if _, err := os.Stat(filepath.Join(bin, "postgres")); err == nil {
			return bin, nil
		}
	}
	found, err := filepath.Glob(installed)
	if err != nil {
		return "", failed("find binaries", err, "")
	}
	version := func(name string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(name))))
		if err != nil {
			return 0
		}
		return n
	}
	if len(found) == 0 {
		return "", tandem.Errorf(tandem.NotFound, "start PostgreSQL", "", "there are no PostgreSQL binaries on this machine").
			WithHint("run: sudo apt-get install -y postgresql (elsewhere install PostgreSQL and put initdb and postgres into PATH), " +
				"or set TANDEM_TEST_POSTGRES_URL to a server that tests may make databases in")
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// serverUser gives the user to run the server as: nil for this one, or an unprivileged one when this is root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, tandem.Errorf(tandem.NotFound, "start PostgreSQL", "", "this is root, which PostgreSQL refuses to run as, and there is no user postgres or nobody").
		WithHint("run the tests as another user")
}

// freePort finds a free port of 127.0.0.1.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}

// hold locks a folder as in use for as long as this process lives.
func hold(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// sweep removes the folders of clusters whose process has died. What it cannot remove it leaves to the next.
func sweep(temporary string) {
	dirs, err := filepath.Glob(filepath.Join(temporary, prefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		_ = file.Close()
	}
}

// failed makes an error of this package.
func failed(op string, err error, output string) error {
	e := tandem.Errorf(tandem.Unavailable, "throwaway PostgreSQL", op, "%s", strings.TrimSpace(err.Error()+"\n"+output))
	e.Err = err
	return e
}
