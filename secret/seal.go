package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"

	"tandem"
)

// Where is the place that a credential is sealed for; it opens nowhere else.
type Where struct {
	Organization string // the organization's id
	Table        string
	Column       string
	Row          string // the row's id
}

// The layout of sealed bytes: version (1), key id (4), nonce (12), ciphertext, tag (16).
const (
	sealVersion = 1
	keyIDSize   = 4
	headerSize  = 1 + keyIDSize
	overhead    = headerSize + 12 + 16
)

// key is one AES-256 key of a keyring.
type key struct {
	id   string // 8 hexadecimal digits
	aead cipher.AEAD
	raw  []byte
}

// newKey prepares a key of 32 bytes.
func newKey(id string, raw []byte) (key, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, err
	}
	return key{id: id, aead: aead, raw: raw}, nil
}

// seal encrypts for one place.
func (k key) seal(plain Text, ad Where) ([]byte, error) {
	id, err := hex.DecodeString(k.id)
	if err != nil {
		return nil, err
	}
	sealed := append(make([]byte, 0, overhead+len(plain.Reveal())), sealVersion)
	sealed = append(sealed, id...)
	return k.aead.Seal(sealed, nil, []byte(plain.Reveal()), ad.bytes(sealed)), nil
}

// unseal decrypts what seal gave for the same place.
func (k key) unseal(sealed []byte, ad Where) (Text, error) {
	header := sealed[:headerSize]
	plain, err := k.aead.Open(nil, nil, sealed[headerSize:], ad.bytes(header))
	if err != nil {
		return Text{}, err
	}
	return NewText(string(plain)), nil
}

// bytes gives the associated data: the header and the members, each after its length, so that no two places are alike.
func (w Where) bytes(header []byte) []byte {
	out := append([]byte(nil), header...)
	for _, part := range []string{w.Organization, w.Table, w.Column, w.Row} {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

// KeyID gives the id of the key that sealed bytes were made with, 8 hexadecimal digits.
// Corrupt when they are not sealed bytes at all.
func KeyID(sealed []byte) (string, error) {
	if len(sealed) < overhead || sealed[0] != sealVersion {
		return "", tandem.Errorf(tandem.Corrupt, "unseal", "", "the stored secret is damaged or was written by a newer version of this program").
			WithHint("restore the database from a backup, or enter the secret again")
	}
	return hex.EncodeToString(sealed[1:headerSize]), nil
}
