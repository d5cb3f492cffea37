package secret

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"tandem"
)

// fileFormat is the key file: JSON, keys oldest first.
type fileFormat struct {
	Note    string    `json:"note"`
	Version int       `json:"version"`
	Keys    []fileKey `json:"keys"`
}

// fileKey is one key of the file.
type fileKey struct {
	ID  string `json:"id"`
	Key string `json:"key"` // base64
}

const (
	fileVersion = 1
	fileNote    = "Encryption keys of Tandem. Without them the stored API keys cannot be read: keep a copy apart from the database's."
	maxFileSize = 1 << 20
)

// load reads the keys from the file.
func (k *Keyring) load() (err error) {
	file, err := os.Open(k.path)
	if err != nil {
		return k.failed("read key file", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	stat, err := file.Stat()
	if err != nil {
		return k.failed("read key file", err)
	}
	if !stat.Mode().IsRegular() {
		return tandem.Errorf(tandem.Invalid, "read key file", k.path, "is not a file").WithHint("name another key file, or remove this")
	}
	if stat.Mode().Perm()&0o077 != 0 {
		return tandem.Errorf(tandem.Invalid, "read key file", k.path, "other users can read or change the key file (mode %04o)", stat.Mode().Perm()).
			WithHint("run chmod 600 %s, and rotate the keys if others may have read it", k.path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize))
	if err != nil {
		return k.failed("read key file", err)
	}
	keys, err := decode(data)
	if err != nil {
		return tandem.Errorf(tandem.Corrupt, "read key file", k.path, "is not a key file, or is damaged").
			WithHint("put it back from a backup; if there is none, move it away and enter the secrets again")
	}
	k.keys, k.file = keys, stat
	return nil
}

// decode reads a file's text. Its errors are for this package only: they may quote the text.
func decode(data []byte) ([]key, error) {
	var format fileFormat
	if err := json.Unmarshal(data, &format); err != nil {
		return nil, err
	}
	if format.Version != fileVersion || len(format.Keys) == 0 {
		return nil, errors.New("unknown version or no keys")
	}
	keys := make([]key, 0, len(format.Keys))
	for _, k := range format.Keys {
		raw, err := base64.StdEncoding.DecodeString(k.Key)
		if err != nil || len(raw) != 32 || len(k.ID) != 2*keyIDSize {
			return nil, errors.New("not a key")
		}
		made, err := newKey(k.ID, raw)
		if err != nil {
			return nil, err
		}
		keys = append(keys, made)
	}
	return keys, nil
}

// encode writes a file's text.
func encode(keys []key) ([]byte, error) {
	format := fileFormat{Note: fileNote, Version: fileVersion}
	for _, k := range keys {
		format.Keys = append(format.Keys, fileKey{ID: k.id, Key: base64.StdEncoding.EncodeToString(k.raw)})
	}
	data, err := json.MarshalIndent(format, "", "  ")
	return append(data, '\n'), err
}

// create makes the file with a first key. When another process was first, its file is read instead: a link, like
// O_EXCL, fails where the name exists, and the name never shows a half-written file.
func (k *Keyring) create() error {
	first, err := mint()
	if err != nil {
		return err
	}
	temporary, err := k.write([]key{first})
	if err != nil {
		return err
	}
	err = os.Link(temporary, k.path)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err = errors.Join(err, os.Remove(temporary)); err != nil {
		return k.failed("make key file", err)
	}
	if err := syncFolder(filepath.Dir(k.path)); err != nil {
		return k.failed("make key file", err)
	}
	return k.load()
}

// rewrite changes the file's keys as a whole, alone over all processes: it locks the file, and starts over when the
// locked file is no longer the one of that name.
func (k *Keyring) rewrite(change func([]key) []key) error {
	for {
		again, err := k.rewriteOnce(change)
		if err != nil || !again {
			return err
		}
	}
}

// rewriteOnce is one try of rewrite; again when another process has just replaced the file.
func (k *Keyring) rewriteOnce(change func([]key) []key) (again bool, err error) {
	file, err := os.Open(k.path)
	if err != nil {
		return false, k.failed("change key file", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }() // gives the lock back
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return false, k.failed("lock key file", err)
	}
	locked, err := file.Stat()
	if err != nil {
		return false, k.failed("change key file", err)
	}
	named, err := os.Stat(k.path)
	if err != nil {
		return false, k.failed("change key file", err)
	}
	if !os.SameFile(locked, named) {
		return true, nil
	}
	if err := k.load(); err != nil {
		return false, err
	}
	temporary, err := k.write(change(append([]key(nil), k.keys...)))
	if err != nil {
		return false, err
	}
	if err := os.Rename(temporary, k.path); err != nil {
		return false, k.failed("change key file", errors.Join(err, os.Remove(temporary)))
	}
	if err := syncFolder(filepath.Dir(k.path)); err != nil {
		return false, k.failed("change key file", err)
	}
	return false, k.load()
}

// write puts keys into a temporary file beside the key file, on disk, mode 0600.
func (k *Keyring) write(keys []key) (name string, err error) {
	data, err := encode(keys)
	if err != nil {
		return "", k.failed("write key file", err)
	}
	file, err := os.CreateTemp(filepath.Dir(k.path), "."+filepath.Base(k.path)+".*") // O_EXCL, 0600
	if err != nil {
		return "", k.failed("write key file", err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", k.failed("write key file", errors.Join(err, os.Remove(file.Name())))
	}
	return file.Name(), nil
}

// syncFolder makes a new name durable.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// failed says why the key file cannot be used.
func (k *Keyring) failed(op string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return tandem.Errorf(tandem.Forbidden, op, k.path, "this user may not read or write the key file: %w", err).
			WithHint("change the owner of the file and its folder, or name another key file")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return tandem.Errorf(tandem.DiskFull, op, k.path, "there is no room left on the disk: %w", err).WithHint("free some space and try again")
	case errors.Is(err, fs.ErrNotExist):
		return tandem.Errorf(tandem.NotFound, op, k.path, "the key file or its folder does not exist: %w", err).WithHint("make the folder, or put the key file back")
	}
	return tandem.Errorf(tandem.Unavailable, op, k.path, "the key file cannot be used: %w", err)
}
