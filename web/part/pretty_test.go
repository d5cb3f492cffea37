package part

import "testing"

// TestPretty: for people, so nothing is escaped for HTML, and numbers stay as they were written.
func TestPretty(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"owner":"r\u0026d","n":1.50,"big":12345678901234567890}`: "{\n  \"big\": 12345678901234567890,\n  \"n\": 1.50,\n  \"owner\": \"r&d\"\n}",
		`"a\\u0026b"`: `"a\\u0026b"`,
		`not json`:    "not json",
		``:            "",
	} {
		if got := Pretty([]byte(raw)); got != want {
			t.Errorf("%s is %s, want %s", raw, got, want)
		}
	}
}
