package registry

import (
	"slices"

	"tandem"
)

// Permission is one thing that a role may allow; tokens are narrowed to some of them (their scopes).
type Permission string

// The permissions.
const (
	ReadDevices        Permission = "devices:read"
	CreateDevices      Permission = "devices:create"
	UpdateDevices      Permission = "devices:update" // also link, unlink, and ignore remote ones
	DeleteDevices      Permission = "devices:delete"
	ManageCredentials  Permission = "devices:credentials" // what devices authenticate with
	CommandDevices     Permission = "devices:command"     // tell them to do something
	ReadServices       Permission = "services:read"
	UpdateServices     Permission = "services:update" // settings and switches
	ManageServices     Permission = "services:manage" // add, delete, keys, project, webhooks
	ReadRuns           Permission = "runs:read"
	StartRuns          Permission = "runs:start"   // also dry
	ForceRuns          Permission = "runs:force"   // S11
	ApproveRuns        Permission = "runs:approve" // let through or discard what waits (S18, S28), apply stored plans
	CancelRuns         Permission = "runs:cancel"
	RevertRuns         Permission = "runs:revert" // S29
	ReadConflicts      Permission = "conflicts:read"
	SettleConflicts    Permission = "conflicts:settle"
	ReadPlans          Permission = "plans:read"
	ReadDeliveries     Permission = "deliveries:read"
	ReplayDeliveries   Permission = "deliveries:replay"
	ReadAlerts         Permission = "alerts:read"
	AcknowledgeAlerts  Permission = "alerts:acknowledge" // and resolve
	ManageChannels     Permission = "channels:manage"
	ReadUsers          Permission = "users:read"
	ManageUsers        Permission = "users:manage"
	ManageTokens       Permission = "tokens:manage" // of others too; everyone has their own
	UpdateOrganization Permission = "organization:update"
	DeleteOrganization Permission = "organization:delete"
	ReadAudit          Permission = "audit:read"
)

// adds says what each role may do beyond the next lesser one (DESIGN.md §4). This is the one place.
var adds = map[tandem.Role][]Permission{
	tandem.Viewer:   {ReadDevices, ReadServices, ReadRuns, ReadConflicts, ReadAlerts},
	tandem.Operator: {CreateDevices, UpdateDevices, CommandDevices, SettleConflicts, StartRuns, CancelRuns, ReadDeliveries, AcknowledgeAlerts},
	tandem.Manager:  {DeleteDevices, ManageCredentials, ForceRuns, ApproveRuns, RevertRuns, ReadPlans, UpdateServices, ReplayDeliveries, ReadUsers},
	tandem.Admin:    {ManageServices, ManageChannels, ManageUsers, ManageTokens, UpdateOrganization, ReadAudit},
	tandem.Owner:    {DeleteOrganization},
}

// granted is adds, added up.
var granted = func() map[tandem.Role]map[Permission]bool {
	all := map[tandem.Role]map[Permission]bool{}
	for i, role := range tandem.Roles {
		all[role] = map[Permission]bool{}
		for _, lesser := range tandem.Roles[i:] {
			for _, p := range adds[lesser] {
				all[role][p] = true
			}
		}
	}
	return all
}()

// Permissions lists what a role may do, in the order of the least role that may.
func Permissions(role tandem.Role) []Permission {
	var list []Permission
	for _, lesser := range slices.Backward(tandem.Roles) {
		for _, p := range adds[lesser] {
			if granted[role][p] {
				list = append(list, p)
			}
		}
	}
	return list
}

// RoleMay reports whether a role includes a permission.
func RoleMay(role tandem.Role, p Permission) bool { return granted[role][p] }

// whoMay lists the roles that include a permission, the mightiest first.
func whoMay(p Permission) []tandem.Role {
	var list []tandem.Role
	for _, role := range tandem.Roles {
		if granted[role][p] {
			list = append(list, role)
		}
	}
	return list
}

// atMost reports whether a role allows no more than another.
func atMost(role, other tandem.Role) bool {
	at, than := slices.Index(tandem.Roles, role), slices.Index(tandem.Roles, other)
	return at >= 0 && than >= 0 && at >= than
}

// lesser gives the one of two roles that allows less.
func lesser(a, b tandem.Role) tandem.Role {
	if atMost(a, b) {
		return a
	}
	return b
}

func checkRole(role tandem.Role) error { return oneOf("role", role, tandem.Roles...) }

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}
