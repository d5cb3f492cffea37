package device_test

import (
	"testing"

	"tandem/web/webtest"
)

// TestImport: a file says what it would do before it does it, row by row where something is wrong.
func TestImport(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices/import")
	p.Axe()
	p.Click("button >> Preview")
	p.SeeIn("#report", "Choose a file, or paste its text.")
	p.Fill("#f-text", "nonsense,columns\n1,2")
	p.Click("button >> Preview")
	p.SeeIn("#report", "Unknown columns")
	p.Fill("#f-text", "device_id,name,tags,lifecycle\npump-7,Pump 7,pump;north,active\n"+w.fleet[0].DeviceID+",,,\npump-8,Pump 8,,asleep\npump-9,Pump 9,,")
	p.Click("button >> Preview")
	p.SeeIn("#problems", "lifecycle")
	p.SeeIn("#report", "Mend the wrong rows")
	p.Click("label >> Import the good rows although others are wrong")
	p.Fill("#f-text", "device_id,name,tags,lifecycle\npump-7,Pump 7,pump;north,active\n"+w.fleet[0].DeviceID+",Renamed,,\npump-8,Pump 8,,asleep\npump-9,Pump 9,,")
	p.Click("button >> Preview")
	p.SeeIn("#report", "2 to create, 1 to update")
	p.SeeIn("#changes", "Renamed")
	p.Axe()
	p.Shot("devices-import")
	if _, err := w.API.Device(t.Context(), w.Org.ID, "pump-7"); err == nil {
		t.Fatal("the preview has imported")
	}
	p.Click("#report button >> Import 3 devices")
	p.Told("2 created, 1 updated")
	if got := w.Device("pump-7"); got.Name != "Pump 7" || len(got.Tags) != 2 {
		t.Errorf("the device is %+v", got)
	}
	if got := w.Device(w.fleet[0].ID); got.Name != "Renamed" {
		t.Errorf("the other one is called %q", got.Name)
	}
	if _, err := w.API.Device(t.Context(), w.Org.ID, "pump-8"); err == nil {
		t.Error("the wrong row was imported")
	}
}
