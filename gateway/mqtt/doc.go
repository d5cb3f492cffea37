// Package mqtt is the gateway's transport over MQTT 3.1.1 and 5. A Broker is the one that this program has in it; a Link
// is a connection to a broker of the operator's. Either hands what devices publish to the gateway, and gives them their
// commands. What the topics mean is the same for both.
//
// A Broker is no general one: a device reaches nothing but what is below its own name, so that nothing is passed on from
// one device to another. A QoS 1 message is acknowledged once it is durable. The acknowledgements of a connection go out
// in the order in which its messages came, as the protocol wants it, while the connection is read on: one device may have
// several messages under way, and those of many devices share their transactions.
//
// Packets are read and written by a library, and conn.go is where it is used. A connection costs one goroutine that reads;
// others are there only while something is under way: publish.go takes what comes in, outbox.go what goes out.
package mqtt
