package main

import (
	"context"
	"fmt"
	"net/url"
	"sync"

	"tandem"
	"tandem/gateway/sample"
	"tandem/registry"
)

// demoSpeakers are the devices of the demo that speak to Tandem themselves: how many by each way, and with which credential.
var demoSpeakers = []struct {
	via     tandem.Via
	n       int
	kind    tandem.CredentialKind
	scheme  string // of the place that they speak to
	example string // its name among the tags
}{
	{tandem.ViaHTTP, 2, tandem.TokenCredential, "http", "http"},
	{tandem.ViaMQTT, 3, tandem.PasswordCredential, "mqtt", "mqtt"},
	{tandem.ViaCoAP, 2, tandem.PSKCredential, "coaps", "coap"},
}

// speak makes devices that are on no service, and has them report until ctx ends; Wait tells when all have ended.
func (d *demoWorld) speak(ctx context.Context, base string, places []string) (*sync.WaitGroup, error) {
	at := map[string]string{"http": base}
	for _, place := range places {
		if u, err := url.Parse(place); err == nil {
			at[u.Scheme] = u.Host
		}
	}
	speaking := &sync.WaitGroup{}
	for i, s := range demoSpeakers {
		for n := range s.n {
			name, kind, tags := fmt.Sprintf("greenhouse-%s-%d", s.example, n+1), "climate-sensor", []string{"greenhouse", s.example}
			made, err := d.CreateDevice(ctx, d.org.ID, registry.DeviceEdit{Name: &name, DeviceID: &name, DeviceType: &kind, Tags: &tags})
			if err != nil {
				return speaking, err
			}
			credential, secret, err := d.CreateCredential(ctx, d.org.ID, made.ID, registry.NewCredential{Kind: s.kind})
			if err != nil {
				return speaking, err
			}
			one := sample.Device{Organization: d.org.Slug, DeviceID: name, Via: s.via, Address: at[s.scheme], Identity: credential.Identity, Secret: secret,
				Seed: uint64(10*i + n), Log: d.log}
			speaking.Go(func() {
				if err := one.Run(ctx); err != nil {
					d.log.Error("a simulated device cannot run", "device", name, "error", err)
				}
			})
		}
	}
	return speaking, nil
}
