package main

import (
	"context"

	"tandem"
)

// ServicePauseCmd is `tandem service pause`.
type ServicePauseCmd struct {
	In
	Service string `arg:"" optional:"" help:"Its name or id."`
	All     bool   `help:"Pause every service of the organization."`
}

// Run pauses.
func (c *ServicePauseCmd) Run(ctx context.Context, a *app) error {
	return a.switchServices(ctx, c.In, c.Service, c.All, false)
}

// ServiceResumeCmd is `tandem service resume`.
type ServiceResumeCmd struct {
	In
	Service string `arg:"" optional:"" help:"Its name or id."`
	All     bool   `help:"Resume every service of the organization."`
}

// Run resumes.
func (c *ServiceResumeCmd) Run(ctx context.Context, a *app) error {
	return a.switchServices(ctx, c.In, c.Service, c.All, true)
}

func (a *app) switchServices(ctx context.Context, in In, ref string, all, active bool) error {
	return a.inOrganization(ctx, in, func(s *desk, org tandem.Organization) error {
		var services []tandem.Service
		if all {
			found, err := s.Services(ctx, org.ID)
			if err != nil {
				return err
			}
			services = found
		} else {
			one, err := s.service(ctx, org, ref, "its name, or --all")
			if err != nil {
				return err
			}
			services = []tandem.Service{one}
		}
		done := []tandem.Service{}
		for i := range services {
			v, err := s.UpdateService(ctx, org.ID, services[i].ID, serviceEdit{IsActive: &active})
			if err != nil {
				return err
			}
			done = append(done, v)
			a.out.printf("%s %s\n", map[bool]string{true: "resumed", false: "paused"}[active], clean(v.Name))
		}
		if a.out.json {
			return a.out.value(map[string]any{"services": done})
		}
		return nil
	})
}
