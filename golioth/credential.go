package golioth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// CredentialType is how a device proves who it is.
type CredentialType string

// The credential types that can be created.
const (
	PreSharedKey CredentialType = "PRE_SHARED_KEY"
	KeyPair      CredentialType = "ASYMMETRIC_KEY_PAIR"
)

// Credential is one of a device's credentials.
type Credential struct {
	ID           string         `json:"id"`
	Type         CredentialType `json:"type"`
	Identity     string         `json:"identity"` // always ends in @ and the project's id
	PreSharedKey Secret         `json:"preSharedKey"`
	CreatedAt    time.Time      `json:"createdAt"`
}

// NewCredential is what a create sends. What is empty is made by Golioth.
type NewCredential struct {
	Type         CredentialType
	Identity     string // without @ and the project's id
	PreSharedKey Secret
}

// Credentials lists a device's credentials, secrets included.
func (c *Client) Credentials(ctx context.Context, device string) ([]Credential, error) {
	const op = "golioth: list credentials"
	if err := checkID(op, device); err != nil {
		return nil, err
	}
	k := &call{op: op, thing: device, method: http.MethodGet, path: c.under("devices", device, "credentials")}
	var wire struct {
		List *[]wireCredential `json:"list"` // not paged
	}
	if _, err := c.do(ctx, k, &wire); err != nil {
		return nil, err
	}
	if wire.List == nil {
		return nil, c.malformed(k, nil, fmt.Errorf("it has no list"))
	}
	all := make([]Credential, 0, len(*wire.List))
	for _, w := range *wire.List {
		all = append(all, w.credential())
	}
	return all, nil
}

// CreateCredential adds a credential to a device and gives it as Golioth stored it.
func (c *Client) CreateCredential(ctx context.Context, device string, n NewCredential) (Credential, error) {
	const op = "golioth: create credential"
	if err := checkID(op, device); err != nil {
		return Credential{}, err
	}
	body, err := encode(op, device, struct {
		Type         CredentialType `json:"type,omitempty"`
		Identity     string         `json:"identity,omitempty"`
		PreSharedKey string         `json:"preSharedKey,omitempty"`
	}{n.Type, n.Identity, string(n.PreSharedKey)})
	if err != nil {
		return Credential{}, err
	}
	k := &call{op: op, thing: device, method: http.MethodPost, path: c.under("devices", device, "credentials"), body: body, write: true, private: n.PreSharedKey}
	raw, err := c.data(ctx, k)
	if err != nil {
		return Credential{}, err
	}
	var w wireCredential
	if err := json.Unmarshal(raw, &w); err != nil || w.ID == "" {
		// The cause is left out: it could quote the secret.
		return Credential{}, c.malformed(k, nil, fmt.Errorf("it holds no credential"))
	}
	return w.credential(), nil
}

// DeleteCredential takes a credential away from a device.
func (c *Client) DeleteCredential(ctx context.Context, device, id string) error {
	const op = "golioth: delete credential"
	if err := checkID(op, device); err != nil {
		return err
	}
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.drop(ctx, &call{op: op, thing: id, method: http.MethodDelete, path: c.under("devices", device, "credentials", id), write: true})
}

// wireCredential is a credential as it travels: Secret writes itself redacted, and so is not read from the wire.
type wireCredential struct {
	ID           string         `json:"id"`
	Type         CredentialType `json:"type"`
	Identity     string         `json:"identity"`
	PreSharedKey string         `json:"preSharedKey"`
	CreatedAt    time.Time      `json:"createdAt"`
}

func (w wireCredential) credential() Credential {
	return Credential{ID: w.ID, Type: w.Type, Identity: w.Identity, PreSharedKey: Secret(w.PreSharedKey), CreatedAt: w.CreatedAt}
}
