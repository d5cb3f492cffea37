package main

import (
	"context"
	"encoding/json"

	"tandem"
	"tandem/golioth"
	"tandem/registry"
	"tandem/secret"
	"tandem/webhook"
)

// vault seals what the registry wants sealed with the keyring.
type vault struct{ keys *secret.Keyring }

// Seal encrypts a secret for its row.
func (v vault) Seal(place registry.Place, plain []byte) ([]byte, error) {
	return v.keys.Seal(secret.NewText(string(plain)), in(place))
}

// Unseal opens it again, for that row only.
func (v vault) Unseal(place registry.Place, sealed []byte) ([]byte, error) {
	text, err := v.keys.Unseal(sealed, in(place))
	if err != nil {
		return nil, err
	}
	return []byte(text.Reveal()), nil
}

func in(p registry.Place) secret.Where {
	return secret.Where{Organization: p.OrganizationID, Table: p.Table, Column: p.Column, Row: p.Row}
}

// webhookSecrets opens the secrets with which a service's deliveries prove where they come from.
func (v vault) webhookSecrets(_ context.Context, s tandem.Service) ([]webhook.Secret, error) {
	if len(s.WebhookSecrets) == 0 {
		return nil, nil
	}
	plain, err := v.Unseal(registry.Place{OrganizationID: s.OrganizationID, Table: "device_services", Column: "webhook_secrets", Row: s.ID}, s.WebhookSecrets)
	if err != nil {
		return nil, err
	}
	var texts []string
	if err := json.Unmarshal(plain, &texts); err != nil {
		return nil, tandem.Errorf(tandem.Corrupt, "open webhook secrets", s.Name, "the service's webhook secrets cannot be read").
			WithHint("set them again: tandem service update %s --webhook-secret-file FILE", word(s.Name))
	}
	secrets := make([]webhook.Secret, len(texts))
	for i, text := range texts {
		secrets[i] = secret.NewText(text)
	}
	return secrets, nil
}

// pipelines gives what connecting a service's webhook needs of its project.
func (s *session) pipelines(_ context.Context, service tandem.Service) (registry.Pipelines, error) {
	client, err := s.client(service)
	if err != nil {
		return nil, err
	}
	return pipelines{client}, nil
}

// pipelines is what connecting a webhook needs of a project.
type pipelines struct{ *golioth.Client }

// Definition is the text of a pipeline that posts to a URL with a secret in a header.
func (pipelines) Definition(url, header, secretName string, paths ...string) string {
	return golioth.WebhookPipeline(url, header, secretName, paths...)
}

// PutSecret stores a secret's value.
func (p pipelines) PutSecret(ctx context.Context, name, value string) error {
	return p.Client.PutSecret(ctx, name, golioth.Secret(value))
}

// PutPipeline makes or rewrites an enabled pipeline.
func (p pipelines) PutPipeline(ctx context.Context, name, definition string) error {
	_, err := p.Client.PutPipeline(ctx, name, definition, true)
	return err
}

// DeletePipeline removes the pipeline of a name.
func (p pipelines) DeletePipeline(ctx context.Context, name string) error {
	found, err := p.PipelineByName(ctx, name)
	if err != nil {
		return err
	}
	return p.Client.DeletePipeline(ctx, found.ID)
}
