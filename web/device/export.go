package device

import (
	"net/http"
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// media are the kinds of the files' formats.
var media = map[registry.Format]string{registry.CSV: "text/csv; charset=utf-8", registry.JSON: "application/json", registry.JSONLines: "application/jsonl"}

// exportFiltered sends all devices that the address's filter finds.
func exportFiltered(c *shell.Call) error {
	return send(c, filterOf(c.R.URL.Query()), c.Query("external_of"), c.Query("format"))
}

// exportSelected sends the devices that were selected.
func exportSelected(c *shell.Call) error {
	s, err := selected(c)
	if err != nil {
		return err
	}
	return send(c, s.filter(), c.Form("service"), c.Form("format"))
}

// send writes a file of devices, with their ids on a service.
func send(c *shell.Call, filter tandem.DeviceFilter, on, format string) error {
	f := registry.Format(format)
	if f == "" {
		f = registry.CSV
	}
	kind, known := media[f]
	if !known {
		return tandem.Errorf(tandem.Invalid, "export devices", format, "there is no such format").WithHint("use csv, json or jsonl")
	}
	var service tandem.Service
	var err error
	if on != "" {
		if service, err = c.Registry().Service(c.R.Context(), c.Actor, c.Org.ID, on); err != nil {
			return err
		}
	}
	probe := filter // what is refused is refused before the first byte is out
	probe.Page = tandem.Page{Number: 1, Limit: 1}
	if _, _, err := c.Registry().Devices(c.R.Context(), c.Actor, c.Org.ID, probe); err != nil {
		return err
	}
	c.W.Header().Set("Content-Type", kind)
	c.W.Header().Set("Content-Disposition", `attachment; filename="`+c.Org.Slug+"-devices-"+c.Now().Format(time.DateOnly)+"."+string(f)+`"`)
	if _, err := c.Registry().ExportDevices(c.R.Context(), c.Actor, c.Org.ID, filter, service, f, c.W); err != nil {
		c.Site.Log.ErrorContext(c.R.Context(), "an export broke off", "error", err)
		panic(http.ErrAbortHandler) // half a file must not look like a whole one
	}
	return nil
}
