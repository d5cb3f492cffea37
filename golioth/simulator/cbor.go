package simulator

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// CBOR (RFC 8949) as far as JSON has a word for it: byte strings become base64, tags their content, keys text.

const cborDepth = 64

var errCBOR = errors.New("the message is not valid CBOR")

// cborReader reads one item after another.
type cborReader struct{ rest []byte }

// decodeCBOR reads one item as decode reads JSON: numbers are json.Number.
func decodeCBOR(data []byte) (any, error) {
	r := cborReader{data}
	value, err := r.item(0)
	if err == nil && len(r.rest) > 0 {
		err = errCBOR
	}
	return value, err
}

// breakCode ends what has no length.
const breakCode = 0xff

// head reads an item's first bytes; long is true for a length that is not given.
func (r *cborReader) head() (major byte, info byte, n uint64, long bool, err error) {
	if len(r.rest) == 0 {
		return 0, 0, 0, false, errCBOR
	}
	major, info = r.rest[0]>>5, r.rest[0]&31
	r.rest = r.rest[1:]
	switch {
	case info < 24:
		return major, info, uint64(info), false, nil
	case info <= 27:
		size := 1 << (info - 24)
		if len(r.rest) < size {
			return 0, 0, 0, false, errCBOR
		}
		var eight [8]byte
		copy(eight[8-size:], r.rest)
		r.rest = r.rest[size:]
		return major, info, binary.BigEndian.Uint64(eight[:]), false, nil
	case info == 31 && major >= 2 && major <= 5:
		return major, info, 0, true, nil
	}
	return 0, 0, 0, false, errCBOR
}

func (r *cborReader) item(depth int) (any, error) {
	if depth > cborDepth {
		return nil, errors.New("the message is nested too deep")
	}
	major, info, n, long, err := r.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case 0:
		return json.Number(strconv.FormatUint(n, 10)), nil
	case 1:
		negative := new(big.Int).SetUint64(n)
		return json.Number(negative.Not(negative).String()), nil
	case 2, 3:
		return r.text(major, n, long)
	case 4:
		return r.array(n, long, depth)
	case 5:
		return r.dictionary(n, long, depth)
	case 6:
		return r.item(depth + 1)
	}
	return simple(info, n)
}

// simple reads false, true, null, undefined and the floats.
func simple(info byte, n uint64) (any, error) {
	var f float64
	switch info {
	case 20, 21:
		return info == 21, nil
	case 22, 23:
		return nil, nil
	case 25:
		f = half(uint16(n))
	case 26:
		f = float64(math.Float32frombits(uint32(n)))
	case 27:
		f = math.Float64frombits(n)
	default:
		return nil, errCBOR
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("the message has a number that JSON cannot hold")
	}
	bits := 64
	if info != 27 {
		bits = 32 // as few digits as tell it apart
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, bits)), nil
}

// half gives a number of 16 bits.
func half(bits uint16) float64 {
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	f := math.Ldexp(fraction+1024, exponent-25)
	switch {
	case exponent == 0:
		f = math.Ldexp(fraction, -24)
	case exponent == 31 && fraction == 0:
		f = math.Inf(1)
	case exponent == 31:
		f = math.NaN()
	}
	if bits>>15 == 1 {
		return -f
	}
	return f
}

// ended takes the break that ends what has no length.
func (r *cborReader) ended() bool {
	if len(r.rest) == 0 || r.rest[0] != breakCode {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *cborReader) text(major byte, n uint64, long bool) (any, error) {
	var whole []byte
	if !long {
		if n > uint64(len(r.rest)) {
			return nil, errCBOR
		}
		whole, r.rest = r.rest[:n], r.rest[n:]
	}
	for long && !r.ended() {
		kind, _, n, nested, err := r.head()
		if err != nil || kind != major || nested || n > uint64(len(r.rest)) {
			return nil, errCBOR
		}
		whole, r.rest = append(whole, r.rest[:n]...), r.rest[n:]
	}
	if major == 2 {
		return base64.StdEncoding.EncodeToString(whole), nil
	}
	if !utf8.Valid(whole) {
		return nil, errCBOR
	}
	return string(whole), nil
}

func (r *cborReader) array(n uint64, long bool, depth int) (any, error) {
	list := []any{}
	for i := uint64(0); long && !r.ended() || !long && i < n; i++ {
		value, err := r.item(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}

func (r *cborReader) dictionary(n uint64, long bool, depth int) (any, error) {
	m := map[string]any{}
	for i := uint64(0); long && !r.ended() || !long && i < n; i++ {
		key, err := r.item(depth + 1)
		if err != nil {
			return nil, err
		}
		switch key.(type) {
		case map[string]any, []any:
			return nil, errCBOR
		}
		if m[fmt.Sprint(key)], err = r.item(depth + 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// encodeCBOR writes what decode gives, keys in order.
func encodeCBOR(value any) ([]byte, error) { return appendCBOR(nil, value) }

func appendCBOR(b []byte, value any) (_ []byte, err error) {
	switch v := value.(type) {
	case nil:
		return append(b, 0xf6), nil
	case bool:
		if v {
			return append(b, 0xf5), nil
		}
		return append(b, 0xf4), nil
	case string:
		return append(appendHead(b, 3, uint64(len(v))), v...), nil
	case json.Number:
		return appendNumber(b, v)
	case []any:
		b = appendHead(b, 4, uint64(len(v)))
		for _, element := range v {
			if b, err = appendCBOR(b, element); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		b = appendHead(b, 5, uint64(len(v)))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			b = append(appendHead(b, 3, uint64(len(key))), key...)
			if b, err = appendCBOR(b, v[key]); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("a %T is not written as CBOR", value)
}

func appendNumber(b []byte, number json.Number) ([]byte, error) {
	if n, err := strconv.ParseUint(number.String(), 10, 64); err == nil {
		return appendHead(b, 0, n), nil
	}
	if n, err := number.Int64(); err == nil {
		return appendHead(b, 1, uint64(-1-n)), nil
	}
	f, err := number.Float64()
	if err != nil {
		return nil, fmt.Errorf("the number %s is not written as CBOR", number)
	}
	return binary.BigEndian.AppendUint64(append(b, 0xfb), math.Float64bits(f)), nil
}

func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}
