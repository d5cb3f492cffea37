// Package pick helps people to say which device here they mean: it finds devices by search and shows each so that it can be
// told apart from others of its name. Pages that link add what is to be done with one.
package pick

import (
	"strings"

	"tandem"
	"tandem/web/shell"
)

// most is how many are shown; who looks for another types more of it.
const most = 8

// Find gives the devices that fit a search, and how many more there are; without a search, some that are not linked on the service.
func Find(c *shell.Call, service, search string) (found []tandem.DeviceRow, more int, err error) {
	filter := tandem.DeviceFilter{Search: search, Page: tandem.Page{Limit: most}}
	if search == "" {
		filter.ServiceID, filter.NotLinked = service, true
	}
	found, total, err := c.Registry().Devices(c.R.Context(), c.Actor, c.Org.ID, filter)
	return found, total - len(found), err
}

// LinkedTo gives the remote id that a device is linked to on a service, "" where it is free to be linked.
func LinkedTo(row *tandem.DeviceRow, service string) string {
	for _, a := range row.Assignments {
		if a.ServiceID == service && a.Status != tandem.SyncUnlinked {
			return a.ExternalDeviceID
		}
	}
	return ""
}

// about is what tells a device apart.
func about(d *tandem.Device) string {
	var said []string
	if d.DeviceID != d.Name {
		said = append(said, d.DeviceID)
	}
	if len(d.HardwareIDs) > 0 {
		said = append(said, strings.Join(d.HardwareIDs, ", "))
	}
	if d.DeviceType != "" {
		said = append(said, d.DeviceType)
	}
	return strings.Join(said, " · ")
}
