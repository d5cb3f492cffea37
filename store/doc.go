// Package store keeps everything that Tandem knows in SQL, once for both databases: it implements
// tandem.Store over bun. Packages sqlite and postgres open a database, migrate it, map its errors and
// say what differs (Dialect); storetest is the contract that both pass.
//
// # Transactions
//
// Every call runs as one organization, in one transaction or one read. Apply writes a batch of Changes:
// the organization and the lease are checked, the rows that will change are locked in the order of their
// ids (so that concurrent appliers do not deadlock), versions are compared, and everything is written in
// multi-row statements. Deadlocks and serialization failures are repeated inside, a few times.
//
// # Values
//
// Rows are collected by column (bulk) and travel as parameters of a prepared statement on SQLite, as one array literal
// for each column on PostgreSQL. Other values are part of the text, quoted by one function. Both refuse what a
// database would cut off or reject: a NUL, or bytes that are not UTF-8. Times are UTC in microseconds.
// JSON is kept as text, so that evidence (entries, plans) reads back byte by byte. What is compared
// without regard to case is stored folded (fold), so that both databases agree about every alphabet.
//
// # Index tables
//
// device_hardware_ids and device_tags repeat what devices holds, one row a value, to match (S12) and filter by.
// Searches for a substring read the organization's devices through one folded column. A trigram index would
// not help on PostgreSQL: under row-level security the planner may not use an operator that is not leakproof.
//
// # Deliveries, events and jobs
//
// What webhooks received is kept as received; a narrow table beside it says what became of each delivery, and it alone is
// rewritten. Every change writes the events that follow from it. On PostgreSQL a reader's cursor is a snapshot: it asks for
// the transactions that the last one did not show, so that none is missed, in whatever order they end. Jobs wait in
// pending_jobs, written with the change that they are about, until a process with a job engine takes them over.
package store
