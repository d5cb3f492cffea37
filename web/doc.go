// Package web is what people see in a browser: it puts the pages together, each kind of which has a folder of its own,
// inside the frame of package shell. Pages are HTML made here, with htmx for what changes without a reload, and they work
// only through the use cases of package registry.
package web
