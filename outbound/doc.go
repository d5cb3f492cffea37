// Package outbound decides which addresses the program may call when somebody gave the address over the network:
// a service's base URL, a channel's webhook, a mail server.
//
// Such a person must not reach through Tandem what only Tandem's own machine can reach. An address is therefore looked
// at twice: Check reads the URL, and the dialer looks at what the name turned out to be, at the moment of
// connecting, so that a name that changes its mind in between gains nothing.
package outbound
