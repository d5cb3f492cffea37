// Package pgtest gives tests, benchmarks and simulations a PostgreSQL of their own.
//
// URL gives a test a fresh database: in the server of TANDEM_TEST_POSTGRES_URL when that is set, else in a throwaway
// cluster, one for each test process, started from the installed binaries on a free port of 127.0.0.1 in a temporary
// folder. Run as root it starts the server as another user, since PostgreSQL refuses root. The cluster ends with Main, and on Linux
// with its process however that dies; the next start removes what such a one left behind. Where there are no
// binaries it fails with the command that installs them; it never skips.
//
// The role that tests connect as is no superuser: it owns its databases and may create roles, as on a managed server.
package pgtest
