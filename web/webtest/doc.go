// Package webtest lets tests use the pages as a person does: in a real browser, at a real server, with a simulated Golioth
// behind it. It serves tests only.
//
// A test binary that uses it hands its tests to Main. The first test that opens a World builds the program, starts
// `tandem serve` on a fresh database and, for the first Page, one Chromium; the other tests of the binary share them.
// What a test changes is its own: each World is another organization with another owner and another simulated project,
// and each Page has cookies and storage of its own.
//
//	main.go      what the tests of one binary share, and its end
//	server.go    `tandem serve` as a process
//	person.go    people: making accounts, signing in
//	world.go     an organization for a test
//	fleet.go     its simulated project: services, runs, conflicts
//	browser.go   Chromium, and tabs in it
//	page.go      what a person does on a page and sees there
//	trouble.go   what must not happen meanwhile
//	look.go      what a page looks like: accessibility, width, pictures, weight
//	pages.go     all pages, for what is true of each of them
//
// A page's elements are named by CSS selectors, with ">>" and a text where several match: "button >> Save".
// An element that is not visible is not found. Whatever is waited for comes within Patience, or the test ends.
package webtest
