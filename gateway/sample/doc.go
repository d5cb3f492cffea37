// Package sample has simulated devices that speak to Tandem themselves, over HTTP, MQTT and CoAP, as a device in the field
// does it: for demos, and for trying a server out. They know nothing of the server but its documented interfaces.
package sample
