package syncer

import (
	"context"

	"tandem"
)

// connect gives a service's remote as this package talks to it.
func (e *Engine) connect(ctx context.Context, service tandem.Service) (tandem.Remote, error) {
	remote, err := e.Connect(ctx, service)
	if err != nil {
		return nil, err
	}
	return whole{remote}, nil
}

// whole is a remote whose single devices are whole: one that could not be read is an error, so that
// nothing of it is ever merged (S33). Only a listing shows such a device, where it fails alone.
type whole struct{ tandem.Remote }

// Device, CreateDevice and UpdateDevice are the remote's. A write whose reply cannot be read is one of
// unknown effect: it is read back (S23).
func (w whole) Device(ctx context.Context, id string) (tandem.RemoteDevice, error) {
	return entire(w.Remote.Device(ctx, id))
}

func (w whole) CreateDevice(ctx context.Context, d tandem.NewRemoteDevice) (tandem.RemoteDevice, error) {
	return entire(w.Remote.CreateDevice(ctx, d))
}

func (w whole) UpdateDevice(ctx context.Context, id string, patch tandem.RemotePatch) (tandem.RemoteDevice, error) {
	return entire(w.Remote.UpdateDevice(ctx, id, patch))
}

// entire gives a device, or the problem with it.
func entire(d tandem.RemoteDevice, err error) (tandem.RemoteDevice, error) {
	if err == nil && d.Problem != nil {
		err = d.Problem
	}
	if err != nil {
		return tandem.RemoteDevice{}, err
	}
	return d, nil
}
