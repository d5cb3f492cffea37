// Package setting is the pages of settings: one's own account, people, tokens, notifications, the audit, the organization,
// and how long things are kept. Each is a tab with an address of its own.
//
// Secrets that are shown once, of invitations, tokens, channels and second factors, stand in the reply to the form that made
// them, and nowhere else. What changes the browser's session is sent to the API by the page's script, as the API keeps it.
package setting
