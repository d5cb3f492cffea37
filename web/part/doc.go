// Package part holds what pages are put together from: badges, times, form fields, pages of a table, values and the
// differences between them, plots, empty states. It knows how things look and nothing about where they come from.
package part
