package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tandem"
)

// The headers that prove where a delivery comes from.
const (
	SignatureHeader = "X-Golioth-Signature"
	DefaultHeader   = "X-Tandem-Secret" // of the header scheme, where the service names none
)

// tolerance is how far a Standard Webhook's time may be from ours.
const tolerance = 5 * time.Minute

// Secret is a service's secret in memory: a secret.Text, which prints as nothing.
type Secret interface{ Reveal() string }

// verifier checks one service's requests. The zero value lets nothing through.
type verifier struct {
	scheme   tandem.WebhookScheme
	header   string
	keys     [][]byte                    // signature scheme
	standard []*standardwebhooks.Webhook // standard scheme
	digests  [][sha256.Size]byte         // header scheme: of the secrets, so that all compare as equally long
}

// newVerifier makes the checks of a service's settings; it lets nothing through where there is no secret.
func newVerifier(config tandem.WebhookConfig, secrets []Secret) verifier {
	v := verifier{scheme: config.Scheme, header: config.Header}
	if v.header == "" {
		v.header = DefaultHeader
	}
	for _, secret := range secrets {
		text := secret.Reveal()
		if text == "" {
			continue
		}
		switch v.scheme {
		case tandem.SignatureScheme:
			v.keys = append(v.keys, []byte(text))
		case tandem.StandardScheme:
			v.standard = append(v.standard, standardKey(text))
		case tandem.HeaderScheme:
			v.digests = append(v.digests, sha256.Sum256([]byte(text)))
		}
	}
	return v
}

// standardKey reads a secret as the Standard Webhooks write it, whsec_ and base64; another text is the key itself.
func standardKey(text string) *standardwebhooks.Webhook {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(key) == 0 {
		key = []byte(text)
	}
	hook, _ := standardwebhooks.NewWebhookRaw(key) // it has no error to give
	return hook
}

// nobody stands in for a service that is not there, so that refusing takes the same work.
var nobody = verifier{scheme: tandem.SignatureScheme, keys: [][]byte{[]byte("the secret of a service that is not there")}}

// check authenticates a request; the reason is "" when it is authentic (S34).
func (v *verifier) check(header http.Header, body []byte, now time.Time) Reason {
	switch {
	case v.scheme == tandem.SignatureScheme && len(v.keys) > 0:
		return v.signature(header, body)
	case v.scheme == tandem.StandardScheme && len(v.standard) > 0:
		return v.standards(header, body, now)
	case v.scheme == tandem.HeaderScheme && len(v.digests) > 0:
		return v.secretHeader(header)
	}
	nobody.signature(header, body)
	return NoScheme
}

// signature checks X-Golioth-Signature: HMAC-SHA256 of the raw body.
func (v *verifier) signature(header http.Header, body []byte) Reason {
	given, ok := parseSignature(header.Get(SignatureHeader))
	match := 0
	for _, key := range v.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write(body)
		match |= subtle.ConstantTimeCompare(mac.Sum(nil), given[:])
	}
	switch {
	case header.Get(SignatureHeader) == "":
		return Unsigned
	case !ok || match != 1:
		return WrongSignature
	}
	return ""
}

// parseSignature reads a signature: hex in any case, with or without sha256= before it.
func parseSignature(text string) (sum [sha256.Size]byte, ok bool) {
	const prefix = "sha256="
	text = strings.TrimSpace(text)
	if len(text) > len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
		text = text[len(prefix):]
	}
	if len(text) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	if _, err := hex.Decode(sum[:], []byte(text)); err != nil {
		return [sha256.Size]byte{}, false
	}
	return sum, true
}

// standards checks a Standard Webhook, by our clock.
func (v *verifier) standards(header http.Header, body []byte, now time.Time) Reason {
	authentic := false
	for _, hook := range v.standard {
		if hook.VerifyIgnoringTimestamp(body, header) == nil {
			authentic = true
		}
	}
	sent, ok := parseStamp(header.Get(standardwebhooks.HeaderWebhookTimestamp))
	switch {
	case header.Get(standardwebhooks.HeaderWebhookSignature) == "" || header.Get(standardwebhooks.HeaderWebhookID) == "":
		return Unsigned
	case !authentic:
		return WrongSignature
	case !ok || now.Sub(sent).Abs() > tolerance:
		return WrongTime
	}
	return ""
}

// parseStamp reads a Standard Webhook's time: whole seconds since 1970.
func parseStamp(text string) (time.Time, bool) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<36 {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0), true
}

// secretHeader checks the secret itself, as a Golioth pipeline sends it.
func (v *verifier) secretHeader(header http.Header) Reason {
	given := header.Get(v.header)
	digest := sha256.Sum256([]byte(given))
	match := 0
	for i := range v.digests {
		match |= subtle.ConstantTimeCompare(v.digests[i][:], digest[:])
	}
	switch {
	case given == "":
		return Unsigned
	case match != 1:
		return WrongSignature
	}
	return ""
}
