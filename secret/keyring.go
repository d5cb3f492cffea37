package secret

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"

	"tandem"
)

// FileName is the name of the key file, beside the database unless a setting says otherwise.
const FileName = "tandem.key"

// Keyring seals and unseals with the keys of one file. Several processes may share the file: each notices when
// another has changed it. All methods may be called concurrently.
type Keyring struct {
	path string

	mu   sync.Mutex
	keys []key       // oldest first; the last one seals
	file fs.FileInfo // as it was when the keys were read, nil before
}

// Open gives the keyring of a file. A missing file is made by the first Seal. Invalid when others than its owner
// can read the file, Corrupt when it is not a key file, Forbidden when this user cannot read it.
func Open(path string) (*Keyring, error) {
	k := &Keyring{path: path}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return nil, err
	}
	return k, nil
}

// Path gives the key file's name, for messages and backups.
func (k *Keyring) Path() string { return k.path }

// Seal encrypts a credential for one place with the newest key, making the key file when there is none.
func (k *Keyring) Seal(plain Text, ad Where) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return nil, err
	}
	if len(k.keys) == 0 {
		if err := k.create(); err != nil {
			return nil, err
		}
	}
	sealed, err := k.keys[len(k.keys)-1].seal(plain, ad)
	if err != nil {
		return nil, tandem.Errorf(tandem.Internal, "seal", "", "the secret cannot be encrypted: %w", err)
	}
	return sealed, nil
}

// Unseal decrypts what Seal gave for the same place. KeyLost when its key is not in the file, Corrupt when the bytes are
// damaged or were sealed for another place.
func (k *Keyring) Unseal(sealed []byte, ad Where) (Text, error) {
	id, err := KeyID(sealed)
	if err != nil {
		return Text{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.find(id)
	if !ok { // perhaps another process has rotated
		if err := k.refresh(); err != nil {
			return Text{}, err
		}
		if found, ok = k.find(id); !ok {
			return Text{}, k.lost(id)
		}
	}
	plain, err := found.unseal(sealed, ad)
	if err != nil {
		return Text{}, tandem.Errorf(tandem.Corrupt, "unseal", "", "the stored secret is damaged, or was moved here from another row").
			WithHint("enter the secret again")
	}
	return plain, nil
}

// lost says that a key is not in the file, and what to do.
func (k *Keyring) lost(id string) error {
	problem := "the key %s that the secret was encrypted with is not in the key file"
	if len(k.keys) == 0 {
		problem = "the key %s that the secret was encrypted with is lost: there is no key file"
	}
	return tandem.Errorf(tandem.KeyLost, "unseal", k.path, problem, id).
		WithHint("put the key file back from a backup, or enter the secret again (tandem service update NAME --api-key-file FILE)")
}

// Keys lists the ids of the keys, oldest first; the last one seals.
func (k *Keyring) Keys() ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return nil, err
	}
	ids := make([]string, len(k.keys))
	for i, key := range k.keys {
		ids[i] = key.id
	}
	return ids, nil
}

// Rotate adds a key, which seals from now on, and gives its id; the older keys stay for reading. The file is replaced as a
// whole or not at all. What is stored is then re-sealed row by row, and Retire drops the keys that no row needs.
func (k *Keyring) Rotate() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return "", err
	}
	if len(k.keys) == 0 {
		if err := k.create(); err != nil {
			return "", err
		}
		return k.keys[len(k.keys)-1].id, nil
	}
	added, err := mint()
	if err != nil {
		return "", err
	}
	if err := k.rewrite(func(keys []key) []key { return append(keys, added) }); err != nil {
		return "", err
	}
	return added.id, nil
}

// Retire drops every key but the newest and those named, which stored secrets still need, and gives the ids of what it
// dropped. A secret sealed with a dropped key can never be read again.
func (k *Keyring) Retire(inUse ...string) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return nil, err
	}
	if len(k.keys) == 0 {
		return nil, nil
	}
	var dropped []string
	err := k.rewrite(func(keys []key) []key {
		var kept []key
		dropped = nil
		for i, key := range keys {
			if i == len(keys)-1 || slices.Contains(inUse, key.id) {
				kept = append(kept, key)
			} else {
				dropped = append(dropped, key.id)
			}
		}
		return kept
	})
	return dropped, err
}

// find gives the key with an id.
func (k *Keyring) find(id string) (key, bool) {
	for _, key := range k.keys {
		if key.id == id {
			return key, true
		}
	}
	return key{}, false
}

// mint makes a new random key.
func mint() (key, error) {
	raw, id := make([]byte, 32), make([]byte, keyIDSize)
	if _, err := rand.Read(raw); err != nil {
		return key{}, tandem.Errorf(tandem.Internal, "make key", "", "there is no randomness: %w", err)
	}
	if _, err := rand.Read(id); err != nil {
		return key{}, tandem.Errorf(tandem.Internal, "make key", "", "there is no randomness: %w", err)
	}
	made, err := newKey(hex.EncodeToString(id), raw)
	if err != nil {
		return key{}, tandem.Errorf(tandem.Internal, "make key", "", "the key cannot be used: %w", err)
	}
	return made, nil
}

// refresh reads the file again if it is not the one that was read. A missing file has no keys.
func (k *Keyring) refresh() error {
	stat, err := os.Stat(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		k.keys, k.file = nil, nil
		return nil
	}
	if err != nil {
		return k.failed("read key file", err)
	}
	if k.file != nil && os.SameFile(stat, k.file) && stat.ModTime().Equal(k.file.ModTime()) && stat.Size() == k.file.Size() {
		return nil
	}
	return k.load()
}
