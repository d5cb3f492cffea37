package registry

import (
	"maps"
	"slices"
	"strings"

	"tandem"
)

// FirmwareText gives a device's firmware in one line, such as "main 1.2.5, modem 3.0".
func FirmwareText(firmware map[string]tandem.Firmware) string {
	parts := make([]string, 0, len(firmware))
	for _, name := range slices.Sorted(maps.Keys(firmware)) {
		parts = append(parts, strings.TrimSpace(name+" "+firmware[name].Version))
	}
	return strings.Join(parts, ", ")
}
