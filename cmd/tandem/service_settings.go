package main

import (
	"time"

	"tandem"
)

// Settings are a service's settings as flags; what is not given stays as it is.
type Settings struct {
	BaseURL           *string           `name:"base-url" placeholder:"URL" help:"Where the API is (https://api.golioth.io)."`
	Project           *string           `help:"The project's id."`
	Fields            []string          `help:"The fields to sync: name, enabled, hardware_ids, tags, blueprint, cohort, metadata, status, battery, location, firmware."`
	Direction         *string           `help:"import, export or bidirectional (bidirectional)."`
	Conflicts         *string           `help:"What settles a conflict: manual, local_wins, remote_wins or newest_wins (manual)."`
	FieldConflicts    map[string]string `placeholder:"FIELD=STRATEGY" help:"The same for single fields, such as tags=local_wins."`
	CreateLocal       *bool             `negatable:"" help:"Create devices here that are only there (on)."`
	CreateRemote      *bool             `negatable:"" help:"Create devices there that are only here (off)."`
	OnRemoteDelete    *string           `help:"When a device was deleted there: unlink, delete or recreate (unlink)."`
	DeleteRemote      *bool             `negatable:"" help:"Delete devices there that were deleted here (off)."`
	MaxDelete         *float64          `placeholder:"RATIO" help:"Share of the linked devices that may be deleted or unlinked in a day before a person is asked (0.1)."`
	MaxChange         *float64          `placeholder:"RATIO" help:"The same for changes of enabled and cohort on the service (0.1)."`
	MetadataPath      *string           `placeholder:"PATH" help:"Where metadata is kept, such as state:metadata; empty is off."`
	BatteryPath       *string           `placeholder:"PATH" help:"Where the battery level is, such as stream:battery; empty is off."`
	LocationPath      *string           `placeholder:"PATH" help:"Where the location is, such as state:location; empty is off."`
	FilterName        *string           `placeholder:"PATTERN" help:"Import only new devices whose name matches, such as gw-*."`
	FilterTag         Listed            `placeholder:"TAG" help:"Import only new devices that have all these tags."`
	FilterBlueprint   *string           `placeholder:"NAME" help:"Import only new devices of this blueprint."`
	FilterCohort      *string           `placeholder:"NAME" help:"Import only new devices of this cohort."`
	RequestsPerMinute *int              `help:"The most requests a minute, over all processes."`
	Concurrency       *int              `help:"The most requests at once, over all processes."`
	StateReads        *int              `help:"The most device-by-device state reads of one run."`
	GatewayPSK        *bool             `name:"gateway-psk" negatable:"" help:"Let the devices' pre-shared keys there be used to speak to Tandem too."`
	OnlineWindow      *time.Duration    `help:"How recent a report makes a device online (15m)."`
}

// apply puts the given flags into a service's settings.
func (f *Settings) apply(c *tandem.ServiceConfig) error {
	put(&c.BaseURL, f.BaseURL)
	put(&c.Project, f.Project)
	put((*string)(&c.Direction), f.Direction)
	put((*string)(&c.Strategy), f.Conflicts)
	put(&c.CreateLocal, f.CreateLocal)
	put(&c.CreateRemote, f.CreateRemote)
	put((*string)(&c.OnRemoteDelete), f.OnRemoteDelete)
	put(&c.DeleteRemote, f.DeleteRemote)
	put(&c.Guards.MaxDelete, f.MaxDelete)
	put(&c.Guards.MaxChange, f.MaxChange)
	put(&c.Paths.Metadata, f.MetadataPath)
	put(&c.Paths.Battery, f.BatteryPath)
	put(&c.Paths.Location, f.LocationPath)
	put(&c.Filters.Name, f.FilterName)
	put(&c.Filters.Tags, f.FilterTag.Values)
	put(&c.Filters.Blueprint, f.FilterBlueprint)
	put(&c.Filters.Cohort, f.FilterCohort)
	put(&c.RequestsPerMinute, f.RequestsPerMinute)
	put(&c.Concurrency, f.Concurrency)
	put(&c.StateReads, f.StateReads)
	if f.GatewayPSK != nil {
		c.GatewayPSK = *f.GatewayPSK
	}
	if f.OnlineWindow != nil {
		c.OnlineWindow = int(f.OnlineWindow.Seconds())
	}
	if f.Fields != nil {
		c.Fields = tandem.NoFields
		for _, name := range f.Fields {
			field, err := tandem.ParseField(name)
			if err != nil {
				return err
			}
			c.Fields = c.Fields.With(field)
		}
	}
	if f.FieldConflicts != nil {
		c.FieldStrategies = map[string]tandem.Strategy{}
		for field, strategy := range f.FieldConflicts {
			c.FieldStrategies[field] = tandem.Strategy(strategy)
		}
	}
	return nil
}

func put[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}
