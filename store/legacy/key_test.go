package legacy

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

func TestReadKey(t *testing.T) {
	const key = "123e4567-e89b-12d3-a456-426614174000"
	for stored, want := range map[string]string{
		key: key, " " + key + "\n": key,
		base64.StdEncoding.EncodeToString([]byte(key)):                    key,
		base64.RawURLEncoding.EncodeToString([]byte(key + "\n")):          key,
		`\x` + hex.EncodeToString([]byte(key)):                            key,
		"CBmJQ2vVjFXwRtZ0CBmJQ2vVjFXwRtZ0":                                "CBmJQ2vVjFXwRtZ0CBmJQ2vVjFXwRtZ0", // valid base64 of noise: plain
		"U2FsdGVkX19zYWx0c2FsdHNhbHRzYWx0+/==":                            "",                                 // openssl
		"gAAAAABk$":                                                       "",
		"v1:aabbcc:ddeeff":                                                "",
		strings.Repeat("0f", 64):                                          "",
		base64.StdEncoding.EncodeToString([]byte{0, 1, 2, 250, 251, 252}): "",
		`\x` + hex.EncodeToString([]byte{0, 1, 2, 3, 250}):                "",
		`\xzz`: "",
		"!!!":  "",
		"":     "",
	} {
		got, ok := readKey(stored)
		if got.Reveal() != want || ok != (want != "") {
			t.Errorf("%q gives %q, %v, want %q", stored, got.Reveal(), ok, want)
		}
	}
}
