package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"tandem"
)

// Genesis is what the first place of a chain follows.
var Genesis = strings.Repeat("0", 2*sha256.Size)

// scheme opens every encoding. Another one is another scheme, which old chains do not have.
const scheme = "tandem audit 1"

// Encode gives the bytes that a seal is over: every field with its length before it, in a fixed order, so that no two
// entries have the same. The JSON of before and after counts as the text that is stored. A byte that is no
// UTF-8 counts as U+FFFD, which is what an export makes of it.
func Encode(e tandem.AuditEntry) []byte {
	var b []byte
	for _, field := range []string{
		scheme, e.ID, e.OrganizationID, instant(e.At), string(e.ActorKind), e.ActorID, e.Actor, e.Action,
		e.ThingType, e.ThingID, e.Thing, string(e.Before), string(e.After), e.RunID, e.RequestID, e.Address,
	} {
		if !utf8.ValidString(field) {
			field = string([]rune(field))
		}
		b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
		b = append(b, field...)
	}
	return b
}

// instant spells a time so that the same instant always reads the same.
func instant(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// Hash gives the hash of a place, hex: of the place before, the number of this one, and its entry.
func Hash(previous string, seq int64, e tandem.AuditEntry) string {
	return hashOf(previous, seq, Encode(e))
}

// hashOf is Hash of an entry that is encoded already. A previous hash that is not one gives what fits nothing.
func hashOf(previous string, seq int64, encoded []byte) string {
	before, err := hex.DecodeString(previous)
	if err != nil || len(before) != sha256.Size {
		return ""
	}
	h := sha256.New()
	h.Write(before)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(seq)))
	h.Write(encoded)
	return hex.EncodeToString(h.Sum(nil))
}

// Head is the end of a chain at one time. Kept elsewhere, it proves later that what came before it is still the same.
type Head struct {
	OrganizationID string    `json:"organization_id"`
	Seq            int64     `json:"seq"` // 0 for a chain that is empty
	Hash           string    `json:"hash"`
	At             time.Time `json:"at"`
}

// next gives the seals of entries that follow a head.
func next(head Head, entries []tandem.AuditEntry, now time.Time) []tandem.AuditSeal {
	seals := make([]tandem.AuditSeal, 0, len(entries))
	for _, e := range entries {
		seal := tandem.AuditSeal{Seq: head.Seq + 1, EntryID: e.ID, Previous: head.Hash, SealedAt: now}
		seal.Hash = Hash(seal.Previous, seal.Seq, e)
		seals = append(seals, seal)
		head.Seq, head.Hash = seal.Seq, seal.Hash
	}
	return seals
}
