// Package integration is where people connect projects and say how they are synced: the list of services, and the
// settings of one in tabs. What a person types is a draft, texts by name, which is compared, merged with what somebody
// else saved meanwhile, and previewed before it is stored. A key or secret is in no page but the one that shows a new
// webhook secret once.
package integration
