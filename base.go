package tandem

import (
	"encoding/json"
	"reflect"
)

// Base is what each side had when they last agreed: a pair for each field (SYNC.md §1).
// The two differ only where a person chose to keep both values (S10, ignore).
// A field outside Local.Known has no base (S4); Remote.Known is the same.
type Base struct {
	Local  Shared
	Remote Shared
}

// storedBase leaves the remote half out where it equals the local one, which is nearly always.
type storedBase struct {
	Local  Shared  `json:"local"`
	Remote *Shared `json:"remote,omitempty"`
}

// MarshalJSON writes the pair, the remote half only where it differs.
func (b Base) MarshalJSON() ([]byte, error) {
	stored := storedBase{Local: b.Local}
	if !reflect.DeepEqual(b.Local, b.Remote) {
		stored.Remote = &b.Remote
	}
	return json.Marshal(stored)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Base) UnmarshalJSON(data []byte) error {
	var stored storedBase
	if err := json.Unmarshal(data, &stored); err != nil {
		return err
	}
	b.Local, b.Remote = stored.Local, stored.Local
	if stored.Remote != nil {
		b.Remote = *stored.Remote
	}
	return nil
}
