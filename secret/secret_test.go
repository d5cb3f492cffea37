package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tandem"
	"tandem/secret"
)

const plain = "gol_api_key_Zq8"

var here = secret.Where{Organization: "o1", Table: "device_services", Column: "credentials", Row: "s1"}

// TestMain also serves as one of several processes that use a key file at once.
func TestMain(m *testing.M) {
	path := os.Getenv("SECRET_CHILD_FILE")
	if path == "" {
		os.Exit(m.Run())
	}
	if err := child(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child seals and rotates by turns, and prints what it sealed.
func child(path string) error {
	ring, err := secret.Open(path)
	if err != nil {
		return err
	}
	for range 10 {
		sealed, err := ring.Seal(secret.NewText(plain), here)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(os.Stdout, "%x\n", sealed); err != nil {
			return err
		}
		if _, err := ring.Rotate(); err != nil {
			return err
		}
	}
	return nil
}

func open(t testing.TB, path string) *secret.Keyring {
	t.Helper()
	ring, err := secret.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func seal(t testing.TB, ring *secret.Keyring, where secret.Where) []byte {
	t.Helper()
	sealed, err := ring.Seal(secret.NewText(plain), where)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func wantCode(t testing.TB, err error, code tandem.Code, mentions string) {
	t.Helper()
	if tandem.CodeOf(err) != code {
		t.Errorf("code %q (%v), want %q", tandem.CodeOf(err), err, code)
		return
	}
	if !strings.Contains(err.Error(), mentions) {
		t.Errorf("%q does not mention %q", err, mentions)
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err)); strings.Contains(text, plain) {
		t.Errorf("the error holds the secret: %s", text)
	}
}

func TestSealAndUnseal(t *testing.T) {
	path := filepath.Join(t.TempDir(), secret.FileName)
	ring := open(t, path)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Open made the file: %v", err)
	}
	sealed := seal(t, ring, here)
	stat, err := os.Stat(path)
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", stat.Mode(), err)
	}
	if bytes.Contains(sealed, []byte(plain)) {
		t.Error("not encrypted")
	}
	if bytes.Equal(sealed, seal(t, ring, here)) {
		t.Error("sealing twice gives the same bytes")
	}
	for _, ring := range []*secret.Keyring{ring, open(t, path)} {
		got, err := ring.Unseal(sealed, here)
		if err != nil || got.Reveal() != plain {
			t.Errorf("%q, %v", got.Reveal(), err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUnsealElsewhereOrTamperedIsRefused(t *testing.T) {
	ring := open(t, filepath.Join(t.TempDir(), secret.FileName))
	sealed := seal(t, ring, here)
	for name, where := range map[string]secret.Where{
		"another organization": {Organization: "o2", Table: here.Table, Column: here.Column, Row: here.Row},
		"another table":        {Organization: here.Organization, Table: "x", Column: here.Column, Row: here.Row},
		"another column":       {Organization: here.Organization, Table: here.Table, Column: "x", Row: here.Row},
		"another row":          {Organization: here.Organization, Table: here.Table, Column: here.Column, Row: "s2"},
		"shifted borders":      {Organization: "o1d", Table: "evice_services", Column: here.Column, Row: here.Row},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ring.Unseal(sealed, where)
			wantCode(t, err, tandem.Corrupt, "enter the secret again")
		})
	}
	for i := range sealed {
		tampered := bytes.Clone(sealed)
		tampered[i] ^= 1
		if _, err := ring.Unseal(tampered, here); !tandem.Is(err, tandem.Corrupt, tandem.KeyLost) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := ring.Unseal(sealed[:i], here); !tandem.Is(err, tandem.Corrupt, tandem.KeyLost) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestALostKeySaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), secret.FileName)
	ring := open(t, path)
	sealed := seal(t, ring, here)
	aside := path + ".aside"
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, path).Unseal(sealed, here)
	wantCode(t, err, tandem.KeyLost, "put the key file back from a backup")
	wantCode(t, err, tandem.KeyLost, path)

	seal(t, open(t, path), here) // a new file, with other keys
	_, err = open(t, path).Unseal(sealed, here)
	wantCode(t, err, tandem.KeyLost, "enter the secret again")

	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, path).Unseal(sealed, here); err != nil || got.Reveal() != plain {
		t.Errorf("with the file back: %v", err)
	}
}

func TestAFileThatOthersCanReadIsRefused(t *testing.T) {
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o666, 0o601} {
		t.Run(mode.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), secret.FileName)
			ring := open(t, path)
			seal(t, ring, here)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			_, err := secret.Open(path)
			wantCode(t, err, tandem.Invalid, "chmod 600")
		})
	}
}

func TestAFileThatIsNoKeyFile(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "not JSON": plain, "no keys": `{"version":1,"keys":[]}`,
		"newer": `{"version":2,"keys":[{"id":"00000000","key":""}]}`, "short key": `{"version":1,"keys":[{"id":"00000000","key":"AAAA"}]}`} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), secret.FileName)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := secret.Open(path)
			wantCode(t, err, tandem.Corrupt, "backup")
		})
	}
	t.Run("a folder", func(t *testing.T) {
		_, err := secret.Open(t.TempDir())
		wantCode(t, err, tandem.Invalid, "is not a file")
	})
	t.Run("no folder", func(t *testing.T) {
		ring := open(t, filepath.Join(t.TempDir(), "no", secret.FileName))
		_, err := ring.Seal(secret.NewText(plain), here)
		wantCode(t, err, tandem.NotFound, "make the folder")
	})
}

func TestRotateAndRetire(t *testing.T) {
	path := filepath.Join(t.TempDir(), secret.FileName)
	ring, other := open(t, path), open(t, path)
	old := seal(t, ring, here)
	oldID, err := secret.KeyID(old)
	if err != nil {
		t.Fatal(err)
	}
	newID, err := ring.Rotate()
	if err != nil || newID == oldID {
		t.Fatalf("%s, %v", newID, err)
	}
	resealed := seal(t, other, here) // which has not been told
	if id, err := secret.KeyID(resealed); err != nil || id != newID {
		t.Errorf("another handle seals with %s, want %s (%v)", id, newID, err)
	}
	if got, err := other.Unseal(old, here); err != nil || got.Reveal() != plain {
		t.Errorf("the old key no longer reads: %v", err)
	}
	if dropped, err := ring.Retire(oldID); err != nil || len(dropped) != 0 {
		t.Errorf("retired %v though in use, %v", dropped, err)
	}
	if dropped, err := ring.Retire(); err != nil || len(dropped) != 1 || dropped[0] != oldID {
		t.Errorf("retired %v, %v", dropped, err)
	}
	_, err = ring.Unseal(old, here)
	wantCode(t, err, tandem.KeyLost, oldID)
	if keys, err := other.Keys(); err != nil || len(keys) != 1 || keys[0] != newID {
		t.Errorf("keys %v, %v", keys, err)
	}
	if stat, err := os.Stat(path); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("mode after rotation %v, %v", stat.Mode(), err)
	}
}

// TestConcurrentProcesses seals and rotates from several processes at once, from the first use on: no key is lost.
func TestConcurrentProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), secret.FileName)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const processes = 4
	outputs, failures := make([][]byte, processes), make([]error, processes)
	var wait sync.WaitGroup
	for i := range processes {
		wait.Go(func() {
			command := exec.Command(self)
			command.Env = append(os.Environ(), "SECRET_CHILD_FILE="+path)
			var said bytes.Buffer
			command.Stderr = &said
			outputs[i], failures[i] = command.Output()
			if failures[i] != nil {
				failures[i] = fmt.Errorf("%w: %s", failures[i], said.String())
			}
		})
	}
	wait.Wait()
	ring := open(t, path)
	keys, err := ring.Keys()
	if err != nil || len(keys) != 1+processes*10 {
		t.Errorf("%d keys, want %d (%v)", len(keys), 1+processes*10, err)
	}
	for i, output := range outputs {
		if failures[i] != nil {
			t.Fatal(failures[i])
		}
		for line := range strings.Lines(string(output)) {
			var sealed []byte
			if _, err := fmt.Sscanf(line, "%x", &sealed); err != nil {
				t.Fatal(err)
			}
			if got, err := ring.Unseal(sealed, here); err != nil || got.Reveal() != plain {
				t.Errorf("process %d: %v", i, err)
			}
		}
	}
}

func TestTextIsRedactedHoweverItIsPrinted(t *testing.T) {
	text := secret.NewText(plain)
	type nested struct {
		Shown  secret.Text
		hidden secret.Text
		Ptr    *secret.Text
	}
	holder := nested{Shown: text, hidden: text, Ptr: &text}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		for _, value := range []any{text, &text, holder, &holder, []secret.Text{text}, map[string]any{"k": text}, errors.Join(fmt.Errorf("%v", text))} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "key", text, "holder", holder, "group", slog.GroupValue(slog.Any("k", &text)))
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", text, "holder", holder)
	encoded, err := json.Marshal(map[string]any{"a": text, "b": holder, "c": &text, "d": map[string]secret.Text{"k": text}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	if strings.Contains(out.String(), plain) || strings.Contains(out.String(), fmt.Sprintf("%x", plain)) {
		t.Errorf("a secret shows in: %s", out.String())
	}
	if holder.hidden.Reveal() != plain || !text.Equal(secret.NewText(plain)) || text.Equal(secret.Text{}) || !(secret.Text{}).Empty() {
		t.Error("Reveal, Equal or Empty is wrong")
	}
}

func FuzzUnseal(f *testing.F) {
	ring := open(f, filepath.Join(f.TempDir(), secret.FileName))
	sealed := seal(f, ring, here)
	f.Add(sealed)
	f.Add([]byte{})
	f.Add(sealed[:5])
	f.Add(append(bytes.Clone(sealed), 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ring.Unseal(data, here)
		if err == nil && !bytes.Equal(data, sealed) {
			t.Fatalf("%x opened as %q", data, got.Reveal())
		}
		if err != nil && !tandem.Is(err, tandem.Corrupt, tandem.KeyLost) {
			t.Fatalf("code %q", tandem.CodeOf(err))
		}
	})
}
