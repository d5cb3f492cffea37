package gateway

import (
	"context"
	"strings"

	"tandem"
)

// namedKind stands for devices that somebody else vouches for; no credential is of it.
const namedKind tandem.CredentialKind = "named"

// Named gives a device of which another broker says that it is it, by its organization's slug and its device_id. NotFound
// where there is none, Unauthorized while it is disabled or deleted, Unavailable while the database is away.
func (g *Gateway) Named(ctx context.Context, organization, deviceID string) (Device, error) {
	key := credentialKey{namedKind, organization + "/" + deviceID}
	e, err := g.known.get(ctx, key)
	if err != nil {
		return Device{}, err
	}
	if !e.there() {
		g.o.Meter.Count("", Unauthentic, 1)
		return Device{}, tandem.Errorf(tandem.NotFound, "gateway: find device", deviceID, "the organization has no such device")
	}
	if !e.lets(g.o.Clock()) {
		g.o.Meter.Count("", Unauthentic, 1)
		return Device{}, errWrong()
	}
	return e.device(key), nil
}

// device is whom an entry lets in.
func (e *entry) device(key credentialKey) Device {
	f := &e.found
	return Device{ID: f.Device.ID, OrganizationID: f.Device.OrganizationID, Organization: f.Slug, DeviceID: f.Device.DeviceID, Name: f.Device.Name,
		CredentialID: f.Credential.ID, key: key}
}

// findNamed finds a device by what Named looks for.
func findNamed(ctx context.Context, s Store, key string) (tandem.Credentialed, error) {
	none := tandem.Errorf(tandem.NotFound, "gateway: find device", "", "there is none")
	slug, deviceID, _ := strings.Cut(key, "/")
	org, err := s.Organization(ctx, slug)
	if err != nil {
		return tandem.Credentialed{}, err
	}
	if org.Slug != slug {
		return tandem.Credentialed{}, none
	}
	found, err := s.FindDevices(ctx, org.ID, deviceID)
	if err != nil {
		return tandem.Credentialed{}, err
	}
	for i := range found {
		if found[i].DeviceID == deviceID { // others have it as their name
			return tandem.Credentialed{Credential: tandem.Credential{ID: string(namedKind), OrganizationID: org.ID, DeviceID: found[i].ID, Kind: namedKind},
				Device: found[i], Slug: slug}, nil
		}
	}
	return tandem.Credentialed{}, none
}
