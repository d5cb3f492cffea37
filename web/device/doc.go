// Package device shows the organization's devices: the list that finds, selects and changes them, and the page of each.
//
//	list.go    the list: filters, columns, sorting
//	select.go  which devices something is done to: some of a page, or all that a filter finds
//	bulk.go    what is done to many at once, each time with a preview
//	export.go  the file of devices; import.go takes one
//	form.go    one device's fields, to make it and to edit it; stale.go where somebody else was faster
//	show.go    one device: its sides, links, conflicts
//	history.go what changed it; plot.go what it reported
//	link.go    linking it to a remote device
package device
