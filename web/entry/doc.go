// Package entry is what people see before they are in: the pages that one-time links lead to (the first owner's set-up,
// an invitation, a new password), and the one where people sign in.
//
// The pages of links need no script and set no cookie: the link's secret is what they act with, so there is nothing that
// another site's form could borrow. Signing in is the API's; the page's script calls it.
package entry
