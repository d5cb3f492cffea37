// Package shell is what all pages share: who asks and for which organization, the frame around each page, what becomes of
// errors, and what a person is told after an action. A page's package registers its addresses with Site.Handle and
// replies through the Call that it is given; it decides nothing about rights, which are the registry's.
package shell
