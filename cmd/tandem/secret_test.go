package main

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"tandem"
	"tandem/registry"
)

// TestRotationReachesSecondFactors: also of somebody who belongs to no organization any more.
func TestRotationReachesSecondFactors(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var out bytes.Buffer
	m := &Main{Stdin: &out, Stdout: &out, Stderr: &out, Clock: time.Now, LookupEnv: func(string) (string, bool) { return "", false }}
	a := newApp(m, &Globals{DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "tandem.db")})
	err := a.with(ctx, func(s *session) error {
		u := tandem.User{ID: newID(), Email: "somebody@example.com", Version: 1, TOTPEnabled: true, CreatedAt: m.Clock(), UpdatedAt: m.Clock()}
		sealed, err := vault{s.keys}.Seal(registry.FactorPlace(u.ID), []byte("JBSWY3DPEHPK3PXP"))
		if err != nil {
			return err
		}
		u.TOTPSecret = sealed
		return s.store.CreateUser(ctx, u, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&SecretRotateCmd{}).Run(ctx, a); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !bytes.Contains(out.Bytes(), []byte("encrypted 1 secret")) || !bytes.Contains(out.Bytes(), []byte("1 old key dropped")) {
		t.Errorf("the rotation said: %s", out.String())
	}
	err = a.with(ctx, func(s *session) error {
		u, err := s.store.User(ctx, "somebody@example.com")
		if err != nil {
			return err
		}
		plain, err := vault{s.keys}.Unseal(registry.FactorPlace(u.ID), u.TOTPSecret)
		if string(plain) != "JBSWY3DPEHPK3PXP" {
			t.Errorf("the second factor is %q after the rotation", plain)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
