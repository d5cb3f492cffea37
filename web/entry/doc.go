// Package entry is what people see before they are in: the pages that one-time links lead to (the first owner's set-up,
// an invitation, a new password), the one where people sign in, and the one where they ask for a new password.
//
// The pages set no cookie. A link's secret is what its page acts with, so there is nothing that another site's form could
// borrow. Signing in and joining with an account that is there already are the API's, which keeps the sessions; the
// script /assets/…/entry.js calls it. All else works without a script.
package entry
