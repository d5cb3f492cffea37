package main

import (
	"strings"

	"github.com/alecthomas/kong"

	"tandem"
)

// sortFlags gives what the flags --sort of the listings take and say, by the command that lists.
func sortFlags() kong.Vars {
	vars := kong.Vars{}
	for of, keys := range map[string]tandem.Sorts{"device": tandem.DeviceSorts, "runs": tandem.RunSorts, "conflicts": tandem.ConflictSorts, "deliveries": tandem.DeliverySorts,
		"alerts": tandem.AlertSorts, "remote": tandem.NotLinkedSorts, "user": tandem.MemberSorts, "org": tandem.OrganizationOrder.Sorts, "service": tandem.ServiceOrder.Sorts,
		"channels": tandem.ChannelOrder.Sorts, "token": tandem.TokenOrder.Sorts} {
		vars["sort_"+of] = "," + strings.Join(keys.All(), ",")
		vars["sorts_"+of] = list(keys) + "; with - before it the other way round."
		if n := len(keys) - 1; n > 0 {
			vars["sorts_"+of] = strings.Join(keys[:n], ", ") + " or " + keys[n] + "; with - before it the other way round."
		}
	}
	return vars
}
