package secret

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"tandem"
)

// MaxLength bounds a credential that is read, in bytes.
const MaxLength = 4 << 10

// Source says where a credential is read from: the first member that is set.
type Source struct {
	File  string    // a file's name; "-" reads Stdin
	Stdin io.Reader // for File "-"
	Env   string    // the name of an environment variable
}

// Read reads a credential, trimmed of space around it. It is one line of at most MaxLength bytes, without
// control characters. The errors (Invalid, NotFound, Forbidden, Unavailable) never contain what was read.
func Read(src Source) (Text, error) {
	switch {
	case src.File == "-":
		if src.Stdin == nil {
			return Text{}, invalid("standard input", "is not open").WithHint("pass the key in a file instead")
		}
		return readFrom("standard input", src.Stdin)
	case src.File != "":
		return readFile(src.File)
	case src.Env != "":
		value, set := os.LookupEnv(src.Env)
		if !set {
			return Text{}, invalid(src.Env, "this environment variable is not set").WithHint("set it to the key")
		}
		return parse(src.Env, value)
	}
	return Text{}, invalid("", "there is no key").WithHint("give it in a file, on standard input or in an environment variable")
}

// readFile reads a credential from a file.
func readFile(name string) (text Text, err error) {
	thing := fileThing(name)
	file, err := os.Open(name)
	if err != nil {
		return Text{}, fileError(thing, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if stat, err := file.Stat(); err == nil && stat.IsDir() {
		return Text{}, invalid(thing, "is a folder").WithHint("name the file that holds the key")
	}
	return readFrom(thing, file)
}

// fileThing names a file in an error. A name that may be the key itself, given in the file's place, is not repeated.
func fileThing(name string) string {
	if len(name) >= 16 && !strings.ContainsAny(name, `/\.`) {
		return "the key file"
	}
	if len(name) > 200 {
		return "the key file"
	}
	return name
}

// fileError says why a key file cannot be opened, without the name that the cause would repeat.
func fileError(thing string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return tandem.Errorf(tandem.NotFound, "read key", thing, "there is no such file").
			WithHint("write the key into a file and name that file, not the key itself")
	case errors.Is(err, fs.ErrPermission):
		return tandem.Errorf(tandem.Forbidden, "read key", thing, "this user may not read the file").
			WithHint("change its owner or mode")
	}
	return tandem.Errorf(tandem.Unavailable, "read key", thing, "cannot be opened: %w", err)
}

// readFrom reads at most MaxLength bytes of credential.
func readFrom(thing string, r io.Reader) (Text, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxLength+64))
	if err != nil {
		return Text{}, tandem.Errorf(tandem.Unavailable, "read key", thing, "cannot be read").WithHint("try again, or use another source")
	}
	return parse(thing, string(data))
}

// parse checks what was read.
func parse(thing, value string) (Text, error) {
	value = strings.TrimSpace(strings.TrimPrefix(value, "\ufeff"))
	switch {
	case len(value) > MaxLength:
		return Text{}, invalid(thing, "holds more than 4 KiB").WithHint("it must hold the key alone")
	case value == "":
		return Text{}, invalid(thing, "is empty").WithHint("it must hold the key alone")
	case !utf8.ValidString(value):
		return Text{}, invalid(thing, "is not text").WithHint("it must hold the key alone, as UTF-8")
	case strings.ContainsAny(value, "\r\n"):
		return Text{}, invalid(thing, "holds more than one line").WithHint("it must hold the key alone")
	case strings.ContainsFunc(value, unicode.IsControl):
		return Text{}, invalid(thing, "holds control characters").WithHint("it must hold the key alone")
	}
	return NewText(value), nil
}

// invalid makes the error of a credential that cannot be used.
func invalid(thing, message string) *tandem.Error {
	return tandem.Errorf(tandem.Invalid, "read key", thing, "%s", message)
}
