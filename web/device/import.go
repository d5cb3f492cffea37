package device

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// The bounds of what the preview of a file shows. All are counted.
const (
	shownChanges  = 50
	shownProblems = 100
	heldText      = 512 << 10 // bytes of a file that a page without a script carries on
)

// importing is a file of devices at one of its steps.
type importing struct {
	c        *shell.Call
	services []tandem.Service
	service  string
	skipBad  bool
	text     string // what was pasted, or the file where no script keeps it
	file     string // its name
	wrong    string
	report   *registry.ImportReport
	changes  []registry.ImportChange
}

func importPage(c *shell.Call) error {
	if !c.May(registry.CreateDevices) || !c.May(registry.UpdateDevices) {
		return notAllowed("import devices")
	}
	all, err := services(c)
	if err != nil {
		return err
	}
	return importWhole(importing{c: c, services: all, service: firstID(all)})
}

func importWhole(i importing) error {
	return i.c.Page(shell.Frame{Title: "Import devices", Section: shell.Devices}, importBody(i))
}

// importFile says what a file would change, or imports it.
func importFile(c *shell.Call) error {
	all, err := services(c)
	if err != nil {
		return err
	}
	i := importing{c: c, services: all, service: c.Form("service"), skipBad: c.Checked("skip_bad")}
	content, err := i.content()
	if err != nil {
		return err
	}
	if len(content) == 0 {
		i.wrong = "Choose a file, or paste its text."
		return i.reply()
	}
	apply := c.Form("step") == stepApply
	report, err := c.Registry().ImportDevices(c.R.Context(), c.Actor, c.Org.ID, registry.ReadRows(bytes.NewReader(content)),
		registry.ImportOptions{ServiceID: i.service, SkipBad: i.skipBad, DryRun: !apply}, func(change registry.ImportChange) {
			if len(i.changes) < shownChanges {
				i.changes = append(i.changes, change)
			}
		})
	switch {
	case err != nil && report.NotImported: // the report says what is wrong, row by row
	case tandem.Is(err, tandem.Invalid) && report.Rows == 0:
		i.wrong = reason(err)
		return i.reply()
	case err != nil:
		return err
	case apply:
		c.Toast("success", imported(&report))
		return c.Go(c.Path("devices"))
	}
	i.report = &report
	return i.reply()
}

// content gives what is to be imported: the chosen file, else the text.
func (i *importing) content() ([]byte, error) {
	f, header, err := i.c.R.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) || err == nil && header.Size == 0 {
		i.text = i.c.R.PostForm.Get("text")
		return []byte(i.text), nil
	}
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "import devices", "", "the file cannot be read").WithHint("choose it again")
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "import devices", header.Filename, "the file cannot be read").WithHint("choose it again")
	}
	i.file = header.Filename
	if !i.c.Partial() && len(content) <= heldText {
		i.text = string(content)
	}
	return content, nil
}

// reply shows the report; a script keeps the form with its file.
func (i importing) reply() error {
	if i.c.Partial() {
		return i.c.Part(importReport(i))
	}
	return importWhole(i)
}

// imported says what was done.
func imported(r *registry.ImportReport) string {
	said := []string{}
	for _, one := range []struct {
		n    int
		what string
	}{{r.Created, "created"}, {r.Updated, "updated"}, {r.Linked, "linked"}, {r.Unchanged, "unchanged"}} {
		if one.n > 0 {
			said = append(said, part.Number(one.n)+" "+one.what)
		}
	}
	if len(said) == 0 {
		said = []string{"nothing to do"}
	}
	text := "The file is imported: " + strings.Join(said, ", ") + "."
	if r.Bad > 0 {
		text += " " + part.Count(r.Bad, "wrong row was", "wrong rows were") + " left out."
	}
	return text
}

// ready is how many devices the file would change.
func (i importing) ready() int {
	r := i.report
	return max(r.Created+r.Updated, min(r.Linked+r.Created+r.Updated, r.Rows-r.Bad-r.Unchanged), r.Linked)
}

// may reports whether the file can be imported as it is.
func (i importing) may() bool { return i.report.Bad == 0 || i.skipBad }
