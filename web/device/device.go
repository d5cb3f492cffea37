package device

import (
	"cmp"
	"slices"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// rows is how many devices a page of the list has.
const rows = 50

// maxFile bounds a file of devices that is imported here; larger ones go through the command line or in parts.
const maxFile = 64 << 20

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /devices", list)
	s.Handle("POST /devices/columns", chooseColumns)
	s.Handle("GET /devices/export", exportFiltered)
	s.Handle("POST /devices/export", exportSelected)
	s.Handle("POST /devices/bulk", bulk)
	s.Handle("GET /devices/import", importPage)
	s.HandleLarge("POST /devices/import", maxFile, importFile)
	s.Handle("GET /devices/new", newDevice)
	s.Handle("POST /devices/new", create)
	s.Handle("GET /devices/{id}", show)
	s.Handle("GET /devices/{id}/edit", editPage)
	s.Handle("POST /devices/{id}/edit", edit)
	s.Handle("GET /devices/{id}/delete", deletePage)
	s.Handle("POST /devices/{id}/delete", remove)
	s.Handle("GET /devices/{id}/link", linkPage)
	s.Handle("POST /devices/{id}/link", linkTo)
	s.Handle("POST /devices/{id}/unlink", unlink)
	s.Handle("POST /devices/{id}/sync", syncNow)
	s.Handle("GET /devices/{id}/credentials/new", newCredential)
	s.Handle("POST /devices/{id}/credentials", addCredential)
	s.Handle("GET /devices/{id}/credentials/{credential}/rotate", rotatePage)
	s.Handle("POST /devices/{id}/credentials/{credential}/rotate", rotate)
	s.Handle("POST /devices/{id}/credentials/{credential}/revoke", revokeCredential)
	s.Handle("GET /devices/{id}/commands", commandsPage)
	s.Handle("POST /devices/{id}/commands", sendCommand)
	s.Handle("POST /devices/{id}/commands/{command}/cancel", cancelCommand)
}

// services gives the organization's services by name, none where the person may not read them.
func services(c *shell.Call) ([]tandem.Service, error) {
	if !c.May(registry.ReadServices) {
		return nil, nil
	}
	all, err := c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID)
	slices.SortFunc(all, func(a, b tandem.Service) int { return cmp.Compare(a.Name, b.Name) })
	return all, err
}

// named gives services by id.
func named(all []tandem.Service) map[string]tandem.Service {
	found := make(map[string]tandem.Service, len(all))
	for _, s := range all {
		found[s.ID] = s
	}
	return found
}

// serviceOptions gives a choice of services, after a first one.
func serviceOptions(first string, all []tandem.Service) []part.Option {
	options := []part.Option{}
	if first != "" {
		options = append(options, part.Option{Label: first})
	}
	for _, s := range all {
		options = append(options, part.Option{Value: s.ID, Label: s.Name})
	}
	return options
}

// options gives a choice of texts, after a first one for all of them.
func options(first string, values []string) []part.Option {
	all := []part.Option{{Label: first}}
	for _, v := range values {
		all = append(all, part.Option{Value: v, Label: v})
	}
	return all
}

// words writes a name of the program as people say it.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// title begins it with a capital letter.
func title(name string) string {
	text := words(name)
	switch text {
	case "":
		return ""
	case "device id":
		return "Device ID"
	case "hardware ids":
		return "Hardware IDs"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
