package report

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ugorji/go/codec"
)

// mostDepth is how deep a payload may nest.
const mostDepth = 64

var (
	errCBOR = errors.New("the body is not valid CBOR")
	errDeep = fmt.Errorf("the body nests deeper than %d", mostDepth)
)

// cborHandle is used by all; a handle must not change once it is used.
var cborHandle = func() *codec.CborHandle {
	h := new(codec.CborHandle)
	h.MaxDepth = mostDepth + 1
	h.MaxInitLen = 256
	h.ValidateUnicode = true
	h.SkipUnexpectedTags = true
	return h
}()

// DecodeCBOR reads one item (RFC 8949) as JSON has words for it: byte strings become base64, tags their content.
func DecodeCBOR(body []byte) (any, error) {
	if err := admitCBOR(body); err != nil {
		return nil, err
	}
	var value any
	decoder := codec.NewDecoderBytes(body, cborHandle)
	if err := decoder.Decode(&value); err != nil {
		return nil, errCBOR
	}
	return plain(value)
}

// admitCBOR walks over an item without building it: the library takes a level of the stack for each tag, and gives
// some decimal fractions and integers another value than they have.
func admitCBOR(body []byte) error {
	w := cborWalk{rest: body}
	if err := w.item(0); err != nil {
		return err
	}
	if len(w.rest) > 0 {
		return errCBOR
	}
	return nil
}

type cborWalk struct{ rest []byte }

// head reads an item's first byte and its argument; long is true where the length is not given.
func (w *cborWalk) head() (major byte, n uint64, long bool, err error) {
	if len(w.rest) == 0 {
		return 0, 0, false, errCBOR
	}
	major, info := w.rest[0]>>5, w.rest[0]&31
	w.rest = w.rest[1:]
	switch {
	case info < 24:
		return major, uint64(info), false, nil
	case info < 28:
		size := 1 << (info - 24)
		if len(w.rest) < size {
			return 0, 0, false, errCBOR
		}
		var word [8]byte
		copy(word[8-size:], w.rest)
		w.rest = w.rest[size:]
		return major, binary.BigEndian.Uint64(word[:]), false, nil
	case info == 31 && major >= 2 && major <= 5:
		return major, 0, true, nil
	}
	return 0, 0, false, errCBOR
}

// item walks over one item.
func (w *cborWalk) item(depth int) error {
	if depth > mostDepth {
		return errDeep
	}
	major, n, long, err := w.head()
	if err != nil {
		return err
	}
	switch major {
	case 1:
		if n > math.MaxInt64 {
			return errCBOR
		}
	case 2, 3:
		return w.text(major, n, long)
	case 4, 5:
		return w.items(depth+1, n, uint64(major-3), long)
	case 6:
		if n == 4 || n == 5 {
			return errors.New("the body holds a decimal fraction or a big float, which are not read")
		}
		return w.item(depth + 1)
	}
	return nil
}

// text walks over a string, which may come in chunks of its own kind.
func (w *cborWalk) text(kind byte, n uint64, long bool) error {
	for long {
		if len(w.rest) > 0 && w.rest[0] == 0xff {
			w.rest = w.rest[1:]
			return nil
		}
		major, n, chunked, err := w.head()
		if err != nil || chunked || major != kind || n > uint64(len(w.rest)) {
			return errCBOR
		}
		w.rest = w.rest[n:]
	}
	if n > uint64(len(w.rest)) {
		return errCBOR
	}
	w.rest = w.rest[n:]
	return nil
}

// items walks over n times each items, or up to the break.
func (w *cborWalk) items(depth int, n, each uint64, long bool) error {
	if !long && n > uint64(len(w.rest)) {
		return errCBOR
	}
	for i := uint64(0); long || i < n; i++ {
		if long && len(w.rest) > 0 && w.rest[0] == 0xff {
			w.rest = w.rest[1:]
			return nil
		}
		for range each {
			if err := w.item(depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// plain gives a decoded value as encoding/json would have it: objects with text keys, numbers as float64 or int64.
func plain(value any) (any, error) {
	switch v := value.(type) {
	case map[any]any:
		object := make(map[string]any, len(v))
		for key, member := range v {
			name, ok := keyText(key)
			if !ok {
				return nil, errors.New("the body holds a key that is neither text nor a number")
			}
			inner, err := plain(member)
			if err != nil {
				return nil, err
			}
			object[name] = inner
		}
		return object, nil
	case []any:
		for i := range v {
			inner, err := plain(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = inner
		}
		return v, nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, nil
		}
	case float32:
		return plain(float64(v))
	case nil, bool, string, int64, uint64:
	default:
		return nil, errCBOR
	}
	return value, nil
}

// keyText gives a map's key as a member's name.
func keyText(key any) (string, bool) {
	switch k := key.(type) {
	case string:
		return k, utf8.ValidString(k)
	case int64:
		return strconv.FormatInt(k, 10), true
	case uint64:
		return strconv.FormatUint(k, 10), true
	}
	return "", false
}
