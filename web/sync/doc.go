// Package sync is the page where people start runs, look at what they would do first, watch them, stop them, and decide
// about what a run held back.
package sync
