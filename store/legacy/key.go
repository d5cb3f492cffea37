package legacy

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"

	"tandem/secret"
)

// keyText is what an API key looks like: letters, digits and a few marks, without spaces.
var keyText = regexp.MustCompile(`^[A-Za-z0-9._~-]{4,512}$`)

// longHex is what encrypted bytes in hexadecimal look like; no key is that long.
var longHex = regexp.MustCompile(`^[0-9a-fA-F]{65,}$`)

// readKey reads a stored API key: plain text, or base64 of it, also of binary columns. Not ok when it is something else,
// such as a text encrypted with a key that is not ours.
func readKey(stored string) (key secret.Text, ok bool) {
	if rest, is := strings.CutPrefix(stored, `\x`); is { // bytea
		raw, err := hex.DecodeString(rest)
		if err != nil {
			return secret.Text{}, false
		}
		stored = string(raw)
	}
	stored = strings.TrimSpace(stored)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := encoding.DecodeString(stored); err == nil && len(raw) >= 8 {
			if text := strings.TrimSpace(string(raw)); keyText.MatchString(text) {
				return secret.NewText(text), true
			}
		}
	}
	if keyText.MatchString(stored) && !longHex.MatchString(stored) {
		return secret.NewText(stored), true
	}
	return secret.Text{}, false
}
