package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"tandem"
	"tandem/registry"
)

// readCloser is an input with how to let it go.
type readCloser struct {
	io.Reader
	Close func() error
}

// unpath drops the name that a file error repeats.
func unpath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// DeviceImportCmd is `tandem device import`.
type DeviceImportCmd struct {
	In
	File    string `arg:"" help:"A CSV file whose first line names the columns (device_id, name, hardware_ids, tags, metadata, external_device_id, …), or JSON; - reads standard input."`
	Service string `help:"The service that external_device_id is of; may be left out where there is only one."`
	DryRun  bool   `help:"Show what would be done, and do nothing."`
	SkipBad bool   `help:"Import the good rows although others are wrong."`
}

// Help says what a file may hold.
func (c *DeviceImportCmd) Help() string {
	return `Devices are added and updated by their device_id; a column that is missing leaves its field alone, an empty value empties it.
hardware_ids and tags are separated by ; or |, metadata is a JSON object. A row with external_device_id links its device to
that remote device. JSON is a list of objects, one object a line, or what ` + "`tandem device export`" + ` wrote.
Every row is checked before the first is written.`
}

// Run imports.
func (c *DeviceImportCmd) Run(ctx context.Context, a *app) (err error) {
	file, err := a.openFile(c.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		options := registry.ImportOptions{SkipBad: c.SkipBad, DryRun: c.DryRun}
		if options.ServiceID, err = c.serviceID(ctx, s, org); err != nil {
			return err
		}
		shown, limit := []registry.ImportChange{}, 20
		if a.flags.Verbose {
			limit = 1 << 30
		}
		report, err := s.ImportDevices(ctx, org.ID, file.Reader, options, func(change registry.ImportChange) {
			if len(shown) < limit {
				shown = append(shown, change)
			}
		})
		failed := tandem.Is(err, tandem.Invalid) && report.NotImported
		if err != nil && !failed {
			return err
		}
		if a.out.json {
			value := struct {
				registry.ImportReport
				Changes []registry.ImportChange `json:"changes"`
			}{report, shown}
			if err := a.out.value(value); err != nil {
				return err
			}
		} else {
			a.showImport(c, &report, shown)
		}
		switch {
		case failed:
			a.out.note("tandem: %s\n", err)
			return exitCode(exitFailed)
		case report.Bad > 0 && c.SkipBad:
			return exitCode(exitPartial)
		case report.Bad > 0:
			return exitCode(exitFailed)
		}
		return nil
	})
}

// serviceID gives the default service of the rows: the one named, or the only one.
func (c *DeviceImportCmd) serviceID(ctx context.Context, s *desk, org tandem.Organization) (string, error) {
	if c.Service != "" {
		v, err := s.service(ctx, org, c.Service, "--service")
		return v.ID, err
	}
	services, err := s.Services(ctx, org.ID)
	if err != nil || len(services) != 1 {
		return "", err
	}
	return services[0].ID, nil
}

func (a *app) showImport(c *DeviceImportCmd, report *registry.ImportReport, shown []registry.ImportChange) {
	if c.DryRun || a.flags.Verbose {
		for _, change := range shown {
			a.out.printf("%s %s (device_id %s)", change.Action, a.out.bold(clean(change.Name)), clean(change.DeviceID))
			if change.ExternalDeviceID != "" {
				a.out.printf(", linked to %s", clean(change.ExternalDeviceID))
			}
			a.out.printf("\n")
			a.showChanges(change.Changes)
		}
		if rest := report.Created + report.Updated + report.Linked - len(shown); rest > 0 && len(shown) == 20 {
			a.out.printf("%s\n", a.out.dim("and more; -v shows all"))
		}
	}
	problems := report.Problems
	if !a.flags.Verbose && len(problems) > 20 {
		problems = problems[:20]
	}
	for _, p := range problems {
		a.out.printf("%s\n", clean(p.String()))
	}
	if rest := len(report.Problems) - len(problems); rest > 0 {
		a.out.printf("%s\n", a.out.dim("and "+count(rest, "other problem", "other problems")+"; -v shows all"))
	}
	if report.NotImported && !c.DryRun {
		return
	}
	would := ""
	if c.DryRun {
		would = "would be "
	}
	a.out.printf("%s read: %s %screated, %s updated, %s unchanged; %s linked\n", count(report.Rows, "row", "rows"),
		number(report.Created), would, number(report.Updated), number(report.Unchanged), number(report.Linked))
	if report.Bad > 0 {
		a.out.printf("%s wrong and not imported\n", count(report.Bad, "row is", "rows are"))
		if c.DryRun && !c.SkipBad {
			a.out.printf("mend them, or import the others with --skip-bad; as it is, nothing would be imported\n")
		}
	}
}

// DeviceExportCmd is `tandem device export`.
type DeviceExportCmd struct {
	In
	DeviceFilter
	File   string `arg:"" optional:"" help:"The file to write; standard output when left out."`
	Format string `enum:",csv,json,jsonl" default:"" help:"csv, json or jsonl; by the file's name when left out, else csv."`
	Force  bool   `help:"Overwrite the file if it is there."`
}

// Run exports. A file appears under its name only when it is whole.
func (c *DeviceExportCmd) Run(ctx context.Context, a *app) error {
	format := registry.Format(c.Format)
	switch {
	case format != "":
	case a.out.json || strings.HasSuffix(c.File, ".json"):
		format = registry.JSON
	case strings.HasSuffix(c.File, ".jsonl"), strings.HasSuffix(c.File, ".ndjson"):
		format = registry.JSONLines
	default:
		format = registry.CSV
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		filter, err := c.filter(ctx, s, org)
		if err != nil {
			return err
		}
		service, err := c.linkService(ctx, s, org)
		if err != nil {
			return err
		}
		if c.File == "" || c.File == "-" {
			_, err = s.ExportDevices(ctx, org.ID, filter, service, format, a.Stdout)
			return err
		}
		if stat, err := os.Stat(c.File); err == nil && stat.Mode().IsRegular() && !c.Force {
			return tandem.Errorf(tandem.Exists, "export devices", c.File, "the file exists already").WithHint("name a new one, or overwrite it with --force")
		}
		var n int
		err = writeWhole(c.File, func(w io.Writer) (err error) {
			n, err = s.ExportDevices(ctx, org.ID, filter, service, format, w)
			return err
		})
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"file": c.File, "devices": n})
		}
		a.out.printf("wrote %s to %s\n", devices(n), c.File)
		return nil
	})
}

// linkService gives the service whose external_device_id goes into the file: the one named, or the only one.
func (c *DeviceExportCmd) linkService(ctx context.Context, s *desk, org tandem.Organization) (tandem.Service, error) {
	services, err := s.Services(ctx, org.ID)
	if err != nil {
		return tandem.Service{}, err
	}
	for i := range services {
		if len(services) == 1 || services[i].Name == c.Service || services[i].ID == c.Service {
			return services[i], nil
		}
	}
	return tandem.Service{}, nil
}

// writeWhole writes a file beside its place and moves it there when it is on disk.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	unwritable := func(err error) error {
		var e *tandem.Error
		if err == nil || errors.As(err, &e) {
			return err
		}
		return tandem.Errorf(tandem.Unavailable, "write file", name, "the file cannot be written: %w", unpath(err)).
			WithHint("look at the disk's space and the folder's permissions")
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return unwritable(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(f.Name())))
		}
	}()
	if err := write(f); err != nil {
		return unwritable(errors.Join(err, f.Close()))
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return unwritable(err)
	}
	return unwritable(os.Rename(f.Name(), name))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
