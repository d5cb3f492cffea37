package main

import (
	"context"
	"fmt"
	"strings"

	"tandem"
)

// desk is where a command has its work done: on the database itself, or at a server that runs.
type desk struct {
	*app
	useCases
	here *session        // the open database; nil at a server
	plan []tandem.Change // what was shown before the run, for its JSON
}

// at finds the place where the commands are done, for the time of fn.
func (a *app) at(ctx context.Context, fn func(s *desk) error) error {
	if a.flags.Server != "" {
		s, err := a.dial()
		if err != nil {
			return err
		}
		return fn(s)
	}
	return a.with(ctx, func(s *session) error { return fn(a.onDatabase(s)) })
}

// onDatabase gives the desk at an open database.
func (a *app) onDatabase(s *session) *desk {
	return &desk{app: a, useCases: onDatabase{s}, here: s}
}

// In says which organization a command is about.
type In struct {
	Org string `placeholder:"NAME" help:"The organization; may be left out where there is only one."`
}

// organization finds the one that is meant.
func (s *desk) organization(ctx context.Context, in In) (tandem.Organization, error) {
	if in.Org != "" {
		o, err := s.Organization(ctx, in.Org)
		if tandem.Is(err, tandem.NotFound) {
			if named, ok, err := s.organizationNamed(ctx, in.Org); ok || err != nil {
				return named, err
			}
			return o, tandem.Errorf(tandem.NotFound, "find organization", in.Org, "there is no such organization").
				WithHint("`tandem org list` shows those there are, `tandem org create %s` makes it", word(in.Org))
		}
		return o, err
	}
	all, err := s.Organizations(ctx)
	if err != nil {
		return tandem.Organization{}, err
	}
	switch len(all) {
	case 0:
		return tandem.Organization{}, tandem.Errorf(tandem.NotFound, "find organization", "", "there is no organization yet").
			WithHint("make one: tandem org create NAME")
	case 1:
		return all[0], nil
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Slug
	}
	return tandem.Organization{}, &usageError{fmt.Sprintf("there are %d organizations", len(all)), "name one with --org: " + strings.Join(names, ", ")}
}

// organizationNamed finds an organization by its name, where just one has it.
func (s *desk) organizationNamed(ctx context.Context, name string) (found tandem.Organization, ok bool, err error) {
	all, err := s.Organizations(ctx)
	if err != nil {
		return found, false, err
	}
	n := 0
	for i := range all {
		if all[i].Name == name {
			found = all[i]
			n++
		}
	}
	return found, n == 1, nil
}

// service finds the one that is meant; how names the argument or flag that says which.
func (s *desk) service(ctx context.Context, org tandem.Organization, ref, how string) (tandem.Service, error) {
	if ref != "" {
		service, err := s.Service(ctx, org.ID, ref)
		if tandem.Is(err, tandem.NotFound) {
			return service, tandem.Errorf(tandem.NotFound, "find service", ref, "%s has no such service", org.Slug).
				WithHint("`tandem service list --org %s` shows those there are", org.Slug)
		}
		return service, err
	}
	all, err := s.Services(ctx, org.ID)
	if err != nil {
		return tandem.Service{}, err
	}
	switch len(all) {
	case 0:
		return tandem.Service{}, tandem.Errorf(tandem.NotFound, "find service", "", "%s has no service yet", org.Slug).
			WithHint("connect one: tandem service add golioth --org %s --name NAME --project ID --api-key-file FILE", org.Slug)
	case 1:
		return all[0], nil
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return tandem.Service{}, &usageError{fmt.Sprintf("%s has %d services", org.Slug, len(all)), "name one with " + how + ": " + strings.Join(names, ", ")}
}

// serviceID gives the id of a service that is named, "" for none.
func (s *desk) serviceID(ctx context.Context, org tandem.Organization, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	v, err := s.service(ctx, org, ref, "--service")
	return v.ID, err
}

// inOrganization finds the place and the organization.
func (a *app) inOrganization(ctx context.Context, in In, fn func(s *desk, org tandem.Organization) error) error {
	return a.at(ctx, func(s *desk) error {
		org, err := s.organization(ctx, in)
		if err != nil {
			return err
		}
		return fn(s, org)
	})
}
