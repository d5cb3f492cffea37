package registry

import (
	"context"
	"encoding/base32"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"

	"tandem"
)

// TestRFC6238 holds the codes against the vectors of RFC 6238, appendix B (SHA-1, eight digits).
func TestRFC6238(t *testing.T) {
	t.Parallel()
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte("12345678901234567890"))
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		got, err := codeAt(secret, at/30, otp.DigitsEight)
		if err != nil || got != want {
			t.Errorf("at %d the code is %s, %v; want %s", at, got, err, want)
		}
		step, right, err := findStep(secret, want[2:], time.Unix(at, 0), 0)
		if err != nil || !right || step != at/30 {
			t.Errorf("%s at %d is the code of step %d, %v, %v", want[2:], at, step, right, err)
		}
		if _, right, err := findStep(secret, want[2:], time.Unix(at, 0), at/30); err != nil || right {
			t.Errorf("%s at %d works twice, %v", want[2:], at, err)
		}
	}
}

// TestPasswordPolicy lists what is refused, and some that are not.
func TestPasswordPolicy(t *testing.T) {
	t.Parallel()
	for password, ok := range map[string]bool{
		"": false, "short": false, "elevenchars": false, "123456789012": false, "aaaaaaaaaaaaaaaa": false, "qwertyuiopasdf": false, "passwordpassword": false,
		"abcdefghijklmnop": false, "person@example.com": false, "iloveyou123456": false, "tandem golioth": false, "valid\xff but not utf8": false,
		strings.Repeat("long ", 300): false, "password1234": false, "administrator1": false, "aliceandbob": false,
		"velvet otter climbs 7 stairs": true, "Tr0ub4dor&3-horse": true, "ünïcödé wörter fünf": true, "xK9#mQ2$vL7!": true,
	} {
		if err := CheckPassword(password, "person@example.com", "Person Example"); (err == nil) != ok {
			t.Errorf("%q gave %v", password, err)
		}
	}
	begun := time.Now()
	if err := CheckPassword(strings.Repeat("ab1 ", 255), "x"); time.Since(begun) > 5*time.Second {
		t.Errorf("a long password took %s, %v", time.Since(begun), err)
	}
}

// TestPasswordsAreHashed: each hash has its own salt, says its cost, and fits its password alone; many at once wait
// for their turn.
func TestPasswordsAreHashed(t *testing.T) {
	t.Parallel()
	a, err := hashPassword(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hashPassword(t.Context(), "one")
	if err != nil || a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=") {
		t.Errorf("the hashes are %s and %s, %v", a, b, err)
	}
	if serious.memory*serious.passes < 38*1024 { // OWASP's least
		t.Errorf("a guess costs %+v only", serious)
	}
	for password, want := range map[string]bool{"one": true, "One": false, "": false, strings.Repeat("x", 2000): false} {
		if got, err := checkPassword(t.Context(), a, password); got != want || err != nil {
			t.Errorf("%q fits: %v, %v", password, got, err)
		}
	}
	if got, err := checkPassword(t.Context(), "", ""); got || err != nil {
		t.Errorf("no password fits no hash: %v, %v", got, err)
	}
	// A hash of another program, with a lower cost (the vector of the Argon2 reference implementation).
	const foreign = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if got, err := checkPassword(t.Context(), foreign, "password"); !got || err != nil {
		t.Errorf("the reference hash fits: %v, %v", got, err)
	}
	if !outdated(foreign) || outdated(a) {
		t.Error("which hash is made anew is wrong")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var all sync.WaitGroup
	for range cap(hashers) {
		hashers <- struct{}{}
	}
	all.Go(func() {
		if _, err := hashPassword(ctx, "x"); !tandem.Is(err, tandem.Unavailable) {
			t.Errorf("without a turn it gave %v", err)
		}
	})
	all.Wait()
	for range cap(hashers) {
		<-hashers
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Add("$argon2i$v=19$m=1,t=1,p=1$c29tZXNhbHQ$CTFh")
	f.Add("$argon2id$v=19$m=-1,t=+2,p= 1$x$y")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parsePHC(text)
		if err != nil {
			if !tandem.Is(err, tandem.Corrupt) || strings.Contains(err.Error(), text) && len(text) > 3 {
				t.Errorf("%q gave %v", text, err)
			}
			return
		}
		if h.memory > 256*1024 || h.memory < 8 || h.passes < 1 || h.passes > 16 || h.threads < 1 || h.threads > 16 || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 64 {
			t.Errorf("%q costs %+v with a salt of %d and a key of %d bytes", text, h.cost, len(h.salt), len(h.key))
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add(TokenPrefix + newSecret())
	f.Add("tdm_")
	f.Add("TDM_" + strings.Repeat("A", 52))
	f.Fuzz(func(t *testing.T, text string) {
		if !parseToken(text) {
			return
		}
		raw, err := secretCoding.DecodeString(strings.ToUpper(strings.TrimPrefix(text, TokenPrefix)))
		if err != nil || len(raw) != 32 {
			t.Errorf("%q has %d bytes, %v", text, len(raw), err)
		}
	})
}
