package simulator

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestCBOR(t *testing.T) {
	t.Parallel()
	// From RFC 8949, appendix A, as far as JSON can say it.
	for _, test := range []struct{ bytes, json string }{
		{"00", "0"}, {"17", "23"}, {"1818", "24"}, {"1903e8", "1000"}, {"1a000f4240", "1000000"}, {"1bffffffffffffffff", "18446744073709551615"},
		{"20", "-1"}, {"3903e7", "-1000"}, {"3bffffffffffffffff", "-18446744073709551616"},
		{"f90000", "0"}, {"f98000", "-0"}, {"f93c00", "1"}, {"f93e00", "1.5"}, {"f97bff", "65504"}, {"f90001", "5.9604645e-08"},
		{"fa47c35000", "100000"}, {"fb3ff199999999999a", "1.1"}, {"fb7e37e43c8800759c", "1e+300"},
		{"f4", "false"}, {"f5", "true"}, {"f6", "null"}, {"f7", "null"},
		{"c074323031332d30332d32315432303a30343a30305a", `"2013-03-21T20:04:00Z"`}, {"4401020304", `"AQIDBA=="`},
		{"6449455446", `"IETF"`}, {"62c3bc", `"ü"`}, {"80", "[]"}, {"8301820203820405", "[1,[2,3],[4,5]]"},
		{"a0", "{}"}, {"a201020304", `{"1":2,"3":4}`}, {"a26161016162820203", `{"a":1,"b":[2,3]}`},
		{"5f42010243030405ff", `"AQIDBAU="`}, {"7f657374726561646d696e67ff", `"streaming"`},
		{"9fff", "[]"}, {"9f018202039f0405ffff", "[1,[2,3],[4,5]]"}, {"bf61610161629f0203ffff", `{"a":1,"b":[2,3]}`},
	} {
		data, err := hex.DecodeString(test.bytes)
		if err != nil {
			t.Fatal(err)
		}
		value, err := decodeCBOR(data)
		if err != nil {
			t.Errorf("%s: %v", test.bytes, err)
			continue
		}
		if text, err := encode(value); err != nil || string(text) != test.json {
			t.Errorf("%s is read as %s, not %s (%v)", test.bytes, text, test.json, err)
		}
	}
	for _, broken := range []string{"", "18", "61", "62c328", "81", "a1", "a101", "a1800a", "ff", "1f", "5f6161ff", "5f5f41ffff", "f97e00", "f97c00",
		"f8", "fc", "1c", "0000", "9bffffffffffffffff", "5bffffffffffffffff", strings.Repeat("81", 100) + "00"} {
		data, err := hex.DecodeString(broken)
		if err != nil {
			t.Fatal(err)
		}
		if value, err := decodeCBOR(data); err == nil {
			t.Errorf("%s is read as %v", broken, value)
		}
	}
}

func FuzzCBOR(f *testing.F) {
	for _, text := range []string{`{"a":[1,-2,3.5,"ü",null,true],"b":{}}`, "18446744073709551615", "-9223372036854775808", "1e300"} {
		value, err := decode([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		data, err := encodeCBOR(value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := decodeCBOR(data)
		if err != nil {
			return
		}
		text, err := encode(value)
		if err != nil {
			t.Fatalf("%x cannot be written as JSON: %v", data, err)
		}
		again, err := encodeCBOR(value)
		if err != nil {
			t.Fatalf("%s cannot be written as CBOR: %v", text, err)
		}
		value, err = decodeCBOR(again)
		if err != nil {
			t.Fatalf("%x cannot be read back: %v", again, err)
		}
		third, err := encodeCBOR(value)
		if err != nil || !bytes.Equal(again, third) {
			t.Errorf("%x became %x (%v)", again, third, err)
		}
	})
}
