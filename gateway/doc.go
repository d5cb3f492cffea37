// Package gateway lets devices speak to Tandem themselves. A Gateway authenticates a device by its credential, bounds
// what it may send, decides what its reports lead to as package report says it for all sources (SYNC.md S5), commits
// many reports of many devices in few transactions, and answers only when they are durable. It hands commands to the
// devices that are connected here, whichever process they were sent in. The folders in it are transports and nothing else.
//
// A credential is asked for once and kept in memory. What changes in the database comes as events, which drop what is
// kept; where no event can be read for a while, nothing that is older than that counts. So a revoked credential lets
// nobody in after two seconds, on any process.
package gateway
