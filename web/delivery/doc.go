// Package delivery shows the webhooks that were received: each with what it brought and what became of it, and the dead
// ones with their way back.
package delivery
