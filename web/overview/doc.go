// Package overview is the page that people have open: whether the fleet and its syncs are well, and what needs somebody.
package overview
