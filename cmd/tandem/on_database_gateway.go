package main

import (
	"context"
	"errors"
	"time"

	"tandem"
	"tandem/registry"
)

// Credentials lists what a device authenticates with.
func (s onDatabase) Credentials(ctx context.Context, org, ref string) ([]tandem.Credential, error) {
	return s.registry.Credentials(ctx, s.actor, org, ref)
}

// CreateCredential makes one.
func (s onDatabase) CreateCredential(ctx context.Context, org, ref string, add registry.NewCredential) (tandem.Credential, string, error) {
	return s.registry.CreateCredential(ctx, s.actor, org, ref, add)
}

// RotateCredential gives one a new secret.
func (s onDatabase) RotateCredential(ctx context.Context, org, ref, id string, grace time.Duration) (tandem.Credential, string, error) {
	return s.registry.RotateCredential(ctx, s.actor, org, ref, id, grace)
}

// RevokeCredential ends one.
func (s onDatabase) RevokeCredential(ctx context.Context, org, ref, id string) (tandem.Credential, error) {
	return s.registry.RevokeCredential(ctx, s.actor, org, ref, id)
}

// brokerVariable is what --mqtt-broker of a server is set by too. A command here goes by it: the database does not tell how
// the servers reach devices.
const brokerVariable = "TANDEM_MQTT_BROKER"

// SendCommand tells a device to do something.
func (s onDatabase) SendCommand(ctx context.Context, org, ref string, add registry.NewCommand) (tandem.Command, error) {
	broker, _ := s.LookupEnv(brokerVariable)
	s.registry.Brokered = broker != ""
	sent, err := s.registry.SendCommand(ctx, s.actor, org, ref, add)
	if e := (*tandem.Error)(nil); !s.registry.Brokered && errors.As(err, &e) && errors.Is(err, registry.ErrNoWay) {
		err = e.WithHint("%s. Where a broker knows it (serve --mqtt-broker): tell it through that server with --server URL, or set %s here as there", e.Hint, brokerVariable)
	}
	return sent, err
}

// Commands lists what a device was told.
func (s onDatabase) Commands(ctx context.Context, org, ref string, filter tandem.CommandFilter) ([]tandem.Command, int, error) {
	return s.registry.Commands(ctx, s.actor, org, ref, filter)
}

// Command shows one.
func (s onDatabase) Command(ctx context.Context, org, ref, id string) (tandem.Command, error) {
	return s.registry.Command(ctx, s.actor, org, ref, id)
}

// CancelCommand withdraws one.
func (s onDatabase) CancelCommand(ctx context.Context, org, ref, id string) (tandem.Command, error) {
	return s.registry.CancelCommand(ctx, s.actor, org, ref, id)
}
