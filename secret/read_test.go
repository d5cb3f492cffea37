package secret_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"tandem"
	"tandem/secret"
)

func TestRead(t *testing.T) {
	file := func(text string) secret.Source {
		name := filepath.Join(t.TempDir(), "key.txt")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return secret.Source{File: name}
	}
	stdin := func(r io.Reader) secret.Source { return secret.Source{File: "-", Stdin: r} }
	t.Setenv("TANDEM_TEST_KEY", plain+"\n")
	t.Setenv("TANDEM_TEST_EMPTY", "")
	for name, test := range map[string]struct {
		src     secret.Source
		code    tandem.Code
		mention string
	}{
		"a file":                 {src: file("\ufeff  " + plain + "\r\n")},
		"standard input":         {src: stdin(strings.NewReader(plain + "\n"))},
		"the environment":        {src: secret.Source{Env: "TANDEM_TEST_KEY"}},
		"nothing":                {src: secret.Source{}, code: tandem.Invalid, mention: "no key"},
		"an empty file":          {src: file(" \n"), code: tandem.Invalid, mention: "is empty"},
		"an empty variable":      {src: secret.Source{Env: "TANDEM_TEST_EMPTY"}, code: tandem.Invalid, mention: "is empty"},
		"no variable":            {src: secret.Source{Env: "TANDEM_TEST_NONE"}, code: tandem.Invalid, mention: "not set"},
		"no file":                {src: secret.Source{File: filepath.Join(t.TempDir(), "key.txt")}, code: tandem.NotFound, mention: "key.txt"},
		"the key as the name":    {src: secret.Source{File: plain + "_longer"}, code: tandem.NotFound, mention: "not the key itself"},
		"a folder":               {src: secret.Source{File: t.TempDir()}, code: tandem.Invalid, mention: "folder"},
		"two lines":              {src: file(plain + "\n" + plain), code: tandem.Invalid, mention: "one line"},
		"a binary file":          {src: file(plain + "\xff\xfe"), code: tandem.Invalid, mention: "not text"},
		"control characters":     {src: file(plain + "\x00x"), code: tandem.Invalid, mention: "control"},
		"too long":               {src: file(strings.Repeat(plain, 400)), code: tandem.Invalid, mention: "4 KiB"},
		"endless":                {src: stdin(endless{}), code: tandem.Invalid, mention: "4 KiB"},
		"a broken pipe":          {src: stdin(iotest.ErrReader(errors.New(plain))), code: tandem.Unavailable, mention: "cannot be read"},
		"no standard input":      {src: secret.Source{File: "-"}, code: tandem.Invalid, mention: "not open"},
		"the file before others": {src: secret.Source{File: "-", Stdin: strings.NewReader(plain), Env: "TANDEM_TEST_EMPTY"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := secret.Read(test.src)
			if test.code != "" {
				wantCode(t, err, test.code, test.mention)
				return
			}
			if err != nil || got.Reveal() != plain {
				t.Errorf("%q, %v", got.Reveal(), err)
			}
		})
	}
}

// endless is a reader that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'k'
	}
	return len(p), nil
}
