// Package notlinked shows what is on one side only, of each service: devices on Golioth that nothing here is linked to, and
// devices here that are not there. They are imported, created there, linked by hand, or ignored, one or many.
package notlinked
