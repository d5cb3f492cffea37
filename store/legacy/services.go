package legacy

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"tandem"
	"tandem/secret"
)

// keyNames are the members of an old configuration that hold an API key.
var keyNames = []string{"api_key", "apiKey", "apikey", "key", "token"}

// readNames are the members of an old configuration that a service takes over.
var readNames = []string{"project_id", "projectId", "project", "base_url", "baseUrl", "url", "sync_interval_seconds", "sync_interval"}

// copyServices makes a service of each integration, under its id.
func (m *migration) copyServices(ctx context.Context) error {
	m.services, m.failed = map[string]string{}, map[string]bool{}
	rows, err := m.read(ctx, integrations)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := m.copyService(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// copyService makes one service. An error is about the database; what is wrong with the row is reported.
func (m *migration) copyService(ctx context.Context, r row) error {
	const table = prefix + integrations
	id, org := r.text("id"), r.text("organization_id")
	config, readable := r.object("configuration", "config", "settings")
	if more, ok := r.object("settings"); ok && config != nil {
		for name, value := range more {
			if _, has := config[name]; !has {
				config[name] = value
			}
		}
	} else if !ok {
		readable = false
	}
	problem := ""
	switch {
	case id == "":
		problem = "it has no id"
	case m.services[id] != "":
		problem = "another row has the same id"
	case org == "":
		problem = "it belongs to no organization"
	case !m.organizations[org]:
		problem = fmt.Sprintf("its organization %q does not exist", org)
	case !readable:
		problem = "its configuration is not a JSON object"
	}
	if problem != "" {
		m.failed[id] = true
		m.left(table, r, "%s", problem)
		return nil
	}
	if stored, err := m.st.Service(ctx, org, id); err == nil && stored.ID == id { // from a migration that was broken off
		m.services[id] = org
		return nil
	} else if err != nil && !tandem.Is(err, tandem.NotFound) {
		return err
	}
	inner := row{values: config}
	s, locked, err := m.service(r, inner)
	if err != nil {
		return err
	}
	wanted := s.Name
	for n := 2; ; n++ {
		err = m.st.CreateService(ctx, org, s)
		if !tandem.Is(err, tandem.Exists) || n > 1000 {
			break
		}
		s.Name = fmt.Sprintf("%s (%d)", wanted, n)
	}
	if fatal(err) {
		return err
	}
	if err != nil {
		m.failed[id] = true
		m.left(table, r, "it could not be written: %v", err)
		return nil
	}
	if err := m.checkService(ctx, s, locked == ""); err != nil {
		return err
	}
	m.services[id] = org
	m.report.Services++
	if locked != "" {
		m.report.Locked = append(m.report.Locked, r.reported(table, locked))
	}
	if s.Name != wanted {
		m.note(table, r, "its name %q is another's in the organization: it is %q now", wanted, s.Name)
	}
	var ignored []string
	for name := range config {
		if !slices.Contains(readNames, name) && !slices.Contains(keyNames, name) {
			ignored = append(ignored, name)
		}
	}
	if len(ignored) > 0 {
		slices.Sort(ignored)
		m.note(table, r, "these settings have no counterpart and were not taken over: %s", strings.Join(ignored, ", "))
	}
	return nil
}

// service reads an old row. locked says why its key could not be read, "" when it could.
func (m *migration) service(r, config row) (s tandem.Service, locked string, err error) {
	created := or(r.time("created_at"), m.now)
	s = tandem.Service{ID: r.text("id"), OrganizationID: r.text("organization_id"), Name: r.text("name", "integration_type", "id"),
		ServiceType: strings.ToLower(r.text("integration_type", "type")), Config: tandem.DefaultServiceConfig(), IsActive: active(r.text("status")),
		SyncInterval: 300, State: tandem.ServiceOK, Version: 1, CreatedAt: created, UpdatedAt: or(r.time("updated_at"), created)}
	if s.ServiceType == "" {
		s.ServiceType = "golioth"
	}
	first := func(columns, members []string) string {
		if text := r.text(columns...); text != "" {
			return text
		}
		return config.text(members...)
	}
	s.Config.Project = first([]string{"project_id"}, []string{"project_id", "projectId", "project"})
	s.Config.BaseURL = first([]string{"base_url"}, []string{"base_url", "baseUrl", "url"})
	if every := config.number64("sync_interval_seconds"); every != nil && *every >= 60 {
		s.SyncInterval = int(*every)
	}
	unusable := ""
	switch u, err := url.Parse(s.Config.BaseURL); {
	case s.Config.Project == "":
		unusable = "it has no project"
	case s.Config.BaseURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http"):
		unusable = fmt.Sprintf("its address %q is not a URL", s.Config.BaseURL)
	}
	if unusable != "" {
		unusable += ": the service is disabled until that is corrected (tandem service update NAME --project ID --base-url URL, then tandem service resume NAME)"
		s.IsActive, s.State, s.StateReason = false, tandem.ServiceDegraded, unusable
		m.note(prefix+integrations, r, "%s", unusable)
	}
	stored := first([]string{"api_key_encrypted", "api_key"}, keyNames)
	text, ok := readKey(stored)
	switch {
	case stored == "":
		locked = "it has no API key"
	case !ok:
		locked = "its API key is neither plain text nor base64 of it"
	}
	if locked != "" {
		locked += ": the service is disabled until the key is entered again (tandem service update NAME --api-key-file FILE)"
		s.IsActive, s.State, s.StateReason = false, tandem.ServiceLocked, locked
		return s, locked, nil
	}
	s.Credentials, err = m.keys.Seal(text, place(s))
	return s, "", err
}

// place is where a service's credentials are sealed for.
func place(s tandem.Service) secret.Where {
	return secret.Where{Organization: s.OrganizationID, Table: "device_services", Column: "credentials", Row: s.ID}
}

// active reads an old status.
func active(status string) bool {
	switch strings.ToLower(status) {
	case "inactive", "disabled", "deleted", "paused", "off", "false", "0":
		return false
	}
	return true
}

// checkService reads a service back, compares, and opens its credentials.
func (m *migration) checkService(ctx context.Context, s tandem.Service, sealed bool) error {
	read, err := m.st.Service(ctx, s.OrganizationID, s.ID)
	if err != nil {
		return err
	}
	read.Version = s.Version
	if err := verify("service", s.ID, read, s); err != nil {
		return err
	}
	if !bytes.Equal(read.Credentials, s.Credentials) {
		return verify("service's credentials", s.ID, false, true)
	}
	if sealed {
		_, err = m.keys.Unseal(read.Credentials, place(s))
	}
	return err
}

// link makes an assignment of each device that named an integration.
func (m *migration) link(ctx context.Context) error {
	old, err := m.aside(ctx, "devices")
	if err != nil || old == "" {
		return err
	}
	rows, err := m.read(ctx, old)
	if err != nil {
		return err
	}
	for _, r := range rows {
		integration, external := r.text("integration_id"), r.text("external_device_id")
		if integration == "" {
			continue
		}
		org, id := r.text("organization_id"), r.text("id")
		owner, known := m.services[integration]
		problem := ""
		switch {
		case !m.devices[key(org, id)]:
			continue // reported with the device
		case m.failed[integration]:
			problem = fmt.Sprintf("it is not linked: its integration %q was left", integration)
		case !known:
			problem = fmt.Sprintf("it is not linked: its integration %q does not exist", integration)
		case owner != org:
			problem = fmt.Sprintf("it is not linked: its integration %q belongs to another organization", integration)
		case external == "":
			problem = "it is not linked: it has an integration and no external_device_id"
		}
		if problem != "" {
			m.left(old, r, "%s", problem)
			continue
		}
		if err := m.linkOne(ctx, old, r, org, integration, id, external); err != nil {
			return err
		}
	}
	return nil
}

// linkOne makes one assignment. It has no base yet: the first run compares both sides (S4) and shows what it would do (S28).
func (m *migration) linkOne(ctx context.Context, table string, r row, org, service, device, external string) error {
	read, err := m.st.Assignment(ctx, org, service, external)
	if err == nil {
		if read.DeviceID != device {
			m.left(table, r, "it is not linked: the remote device %q is linked to the device %q", external, read.DeviceID)
		}
		return nil // from a migration that was broken off
	} else if !tandem.Is(err, tandem.NotFound) {
		return err
	}
	a := tandem.Assignment{ID: m.ids(), OrganizationID: org, DeviceID: device, ServiceID: service, ExternalDeviceID: external, SyncEnabled: true,
		Status: tandem.SyncPending, Version: 1, CreatedAt: m.now, UpdatedAt: m.now}
	if r.time("deleted_at") != nil {
		a.Status = tandem.SyncUnlinked // S17: it must not come back
	}
	if err := m.st.Apply(ctx, org, &tandem.Changes{CreateAssignments: []tandem.Assignment{a}}); fatal(err) {
		return err
	} else if err != nil {
		m.left(table, r, "it is not linked: the assignment could not be written: %v", err)
		return nil
	}
	if read, err = m.st.Assignment(ctx, org, service, external); err != nil {
		return err
	}
	read.Version = a.Version
	m.report.Assignments++
	return verify("assignment", a.ID, read, a)
}
