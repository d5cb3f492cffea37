// Package device shows the organization's devices: the list that finds, selects and changes them, and the page of each.
//
//	list.go    the list: filters, columns, sorting
//	select.go  which devices something is done to: some of a page, or all that a filter finds
//	bulk.go    what is done to many at once, each time with a preview
//	export.go  the file of devices; import.go takes one
//	form.go    one device's fields, to make it and to edit it; stale.go where somebody else was faster
//	show.go    one device: its sides, links, conflicts
//	history.go what changed it
//	reported.go what it last reported; plot.go what it reported over time
//	credential.go what it proves itself with; try_line.go a line for a terminal that does
//	command.go what it is told to do
//	link.go    linking it to a remote device
package device
