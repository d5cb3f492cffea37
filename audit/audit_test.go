package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
)

const org = "0190aaaa-0000-7000-8000-000000000001"

var noon = time.Date(2026, 5, 4, 12, 0, 0, 123456000, time.UTC)

// entries makes n entries that differ in everything that differs in life.
func entries(n int) []tandem.AuditEntry {
	var made []tandem.AuditEntry
	for i := range n {
		made = append(made, tandem.AuditEntry{
			ID: fmt.Sprintf("0190bbbb-0000-7000-8000-%012d", i), OrganizationID: org, At: noon.Add(time.Duration(i) * time.Second),
			ActorKind: tandem.PersonActor, ActorID: "u1", Actor: "one@example.com", Action: "device.update",
			ThingType: "device", ThingID: fmt.Sprint("d", i), Thing: "pump <&> \u2028",
			Before: json.RawMessage(`{"name": "old <b>",  "n":1.50}`), After: json.RawMessage(fmt.Sprintf(`{"name":"new","n":%d}`, i)),
			RequestID: "r1", Address: "192.0.2.1",
		})
	}
	return made
}

// sealed puts entries into a chain that follows a head.
func sealed(after Head, of []tandem.AuditEntry) []tandem.SealedEntry {
	seals := next(after, of, noon)
	var chain []tandem.SealedEntry
	for i := range of {
		chain = append(chain, tandem.SealedEntry{AuditEntry: of[i], Seal: &seals[i]})
	}
	return chain
}

// exported writes a chain as an export, with the head it had before anyone touched it.
func exported(t testing.TB, begin, head Head, chain []tandem.SealedEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	out := bufio.NewWriter(&b)
	err := writeLine(out, first{Format: scheme, Head: begin})
	for i := range chain {
		if err == nil {
			err = writeEntry(out, &chain[i])
		}
	}
	if err == nil {
		err = writeLine(out, last{Head: &head, Unsealed: 3})
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		t.Fatalf("write the export: %v", err)
	}
	return b.Bytes()
}

func headOf(chain []tandem.SealedEntry) Head {
	seal := chain[len(chain)-1].Seal
	return Head{OrganizationID: org, Seq: seal.Seq, Hash: seal.Hash, At: seal.SealedAt}
}

func TestTheFirstHashIsWhatItAlwaysWas(t *testing.T) {
	t.Parallel()
	// Chains outlive programs: another value here breaks every chain there is.
	const want = "c5fe4dbef2ae50a2d73fb42422575556c77a3bd16775d3e786661f8735cea92e"
	if got := Hash(Genesis, 1, entries(1)[0]); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

// drawn draws an entry; what is drawn is small, so that equal ones come up.
func drawn(t *rapid.T, name string) tandem.AuditEntry {
	text := rapid.StringMatching(`[ab\x00]{0,2}`)
	value := rapid.SampledFrom([]json.RawMessage{nil, json.RawMessage(`null`), json.RawMessage(`{}`), json.RawMessage(`{ }`)})
	return tandem.AuditEntry{
		ID: text.Draw(t, name+" id"), OrganizationID: text.Draw(t, name+" org"),
		At:        noon.Add(time.Duration(rapid.Int64Range(0, 2).Draw(t, name+" at"))),
		ActorKind: tandem.ActorKind(text.Draw(t, name+" kind")), ActorID: text.Draw(t, name+" actor id"),
		Actor: text.Draw(t, name+" actor"), Action: text.Draw(t, name+" action"), ThingType: text.Draw(t, name+" type"),
		ThingID: text.Draw(t, name+" thing id"), Thing: text.Draw(t, name+" thing"),
		Before: value.Draw(t, name+" before"), After: value.Draw(t, name+" after"), RunID: text.Draw(t, name+" run"),
		RequestID: text.Draw(t, name+" request"), Address: text.Draw(t, name+" address"),
	}
}

func TestDifferentEntriesNeverEncodeAlike(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := drawn(t, "a")
		b := a
		if rapid.Bool().Draw(t, "neighbours") { // what a field loses its neighbour gains: the case that lengths are for
			b.Actor, b.Action = a.Actor+a.Action, ""
		} else {
			b = drawn(t, "b")
		}
		same := fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
		if alike := bytes.Equal(Encode(a), Encode(b)); alike != same {
			t.Fatalf("encoded alike: %v, the same: %v\n%#v\n%#v", alike, same, a, b)
		}
		if !same && Hash(Genesis, 1, a) == Hash(Genesis, 1, b) {
			t.Fatal("two entries have one hash")
		}
	})
}

func TestAnExportIsReadBackAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := entries(1)[0]
		e.Thing, e.Actor = rapid.String().Draw(t, "thing"), string(rapid.SliceOf(rapid.Byte()).Draw(t, "actor"))
		value, err := json.Marshal(rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "after"))
		if err != nil {
			t.Fatal(err)
		}
		e.After = value
		chain := sealed(Head{OrganizationID: org, Hash: Genesis}, []tandem.AuditEntry{e})
		var b bytes.Buffer
		out := bufio.NewWriter(&b)
		for _, err := range []error{
			writeLine(out, first{Format: scheme, Head: Head{OrganizationID: org, Hash: Genesis}}),
			writeEntry(out, &chain[0]), writeLine(out, last{Head: ptr(headOf(chain))}), out.Flush(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		result, err := VerifyExport(&b)
		if err != nil || !result.OK() {
			t.Fatalf("a fresh export: %v %v", err, result.Problems)
		}
	})
}

func ptr[T any](v T) *T { return &v }

func TestAWholeExportIsFine(t *testing.T) {
	t.Parallel()
	begin := Head{OrganizationID: org, Seq: 7, Hash: strings.Repeat("ab", 32)}
	chain := sealed(begin, entries(20))
	result, err := VerifyExport(bytes.NewReader(exported(t, begin, headOf(chain), chain)))
	if err != nil || result.Err() != nil {
		t.Fatalf("verify: %v %v", err, result.Err())
	}
	if result.Sealed != 20 || result.After != 7 || result.Head.Seq != 27 || result.Unsealed != 3 {
		t.Errorf("result %+v", result)
	}
	head, err := ReadHead(bytes.NewReader(exported(t, begin, headOf(chain), chain)))
	if err != nil || head != headOf(chain) {
		t.Errorf("head of the export: %+v %v", head, err)
	}
	text, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	if alone, err := ReadHead(bytes.NewReader(text)); err != nil || alone != head {
		t.Errorf("head by itself: %+v %v", alone, err)
	}
}

func TestWhatWasDoneToAChainIsNamed(t *testing.T) {
	t.Parallel()
	begin := Head{OrganizationID: org, Hash: Genesis}
	id := func(i int) string { return entries(i + 1)[i].ID }
	for _, test := range []struct {
		name   string
		tamper func(chain []tandem.SealedEntry) []tandem.SealedEntry
		want   []Problem // Kind, Seq and EntryID count
	}{
		{"an entry is changed", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			c[3].Actor = "two@example.com"
			return c
		}, []Problem{{Kind: Changed, Seq: 4, EntryID: id(3)}}},
		{"a space in a stored value", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			c[3].After = append(json.RawMessage(nil), append([]byte("{ "), c[3].After[1:]...)...)
			return c
		}, []Problem{{Kind: Changed, Seq: 4, EntryID: id(3)}}},
		{"an entry is changed, and its own seal with it", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			c[3].Actor = "two@example.com"
			c[3].Seal.Hash = Hash(c[3].Seal.Previous, 4, c[3].AuditEntry)
			return c
		}, []Problem{{Kind: Inserted, Seq: 5, EntryID: id(4)}}},
		{"a seal is changed", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			c[3].Seal.Hash = strings.Repeat("0f", 32)
			return c
		}, []Problem{{Kind: Resealed, Seq: 4, EntryID: id(3)}}},
		{"an entry is removed", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			return slices.Delete(c, 3, 4)
		}, []Problem{{Kind: Removed, Seq: 4}}},
		{"an entry is removed and the others move up", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			c = slices.Delete(c, 3, 4)
			for i := 3; i < len(c); i++ {
				c[i].Seal.Seq--
			}
			return c[:5]
		}, []Problem{{Kind: Inserted, Seq: 4, EntryID: id(4)}, {Kind: Changed, Seq: 4, EntryID: id(4)},
			{Kind: Changed, Seq: 5, EntryID: id(5)}, {Kind: Removed, Seq: 6}}},
		{"the last is removed", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			return c[:len(c)-1]
		}, []Problem{{Kind: Removed, Seq: 8}}},
		{"one is inserted with a seal of its own", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			made := sealed(Head{OrganizationID: org, Seq: 3, Hash: c[2].Seal.Hash}, entries(9)[8:])
			return slices.Insert(c, 3, made...)
		}, []Problem{{Kind: Inserted, Seq: 4, EntryID: id(3)}, {Kind: Inserted, Seq: 5, EntryID: id(4)}}},
		{"two are exchanged", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			c[2].AuditEntry, c[5].AuditEntry = c[5].AuditEntry, c[2].AuditEntry
			return c
		}, []Problem{{Kind: Reordered, Seq: 3, EntryID: id(5)}, {Kind: Reordered, Seq: 6, EntryID: id(2)}}},
		{"everything from one on is sealed anew", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			c[3].Actor = "two@example.com"
			var rest []tandem.AuditEntry
			for _, e := range c[3:] {
				rest = append(rest, e.AuditEntry)
			}
			return append(c[:3], sealed(Head{OrganizationID: org, Seq: 3, Hash: c[2].Seal.Hash}, rest)...)
		}, []Problem{{Kind: Resealed, Seq: 8}}},
		{"an entry of another organization", func(c []tandem.SealedEntry) []tandem.SealedEntry {
			c[3].OrganizationID = "another"
			c[3].Seal.Hash = Hash(c[3].Seal.Previous, 4, c[3].AuditEntry)
			return c[:4]
		}, []Problem{{Kind: Changed, Seq: 4, EntryID: id(3)}, {Kind: Removed, Seq: 5}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			chain := sealed(begin, entries(8))
			head := headOf(chain)
			result, err := VerifyExport(bytes.NewReader(exported(t, begin, head, test.tamper(chain))))
			if err != nil {
				t.Fatalf("verify: %v", err)
			}
			var got []Problem
			for _, p := range result.Problems {
				got = append(got, Problem{Kind: p.Kind, Seq: p.Seq, EntryID: p.EntryID})
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("problems\n%+v\nwant\n%+v\n%+v", got, test.want, result.Problems)
			}
			if !tandem.Is(result.Err(), tandem.Corrupt) {
				t.Errorf("error %v", result.Err())
			}
		})
	}
}

func TestWhatIsNoExportIsRefused(t *testing.T) {
	t.Parallel()
	begin := Head{OrganizationID: org, Hash: Genesis}
	chain := sealed(begin, entries(3))
	whole := string(exported(t, begin, headOf(chain), chain))
	lines := strings.SplitAfter(whole, "\n")
	for name, text := range map[string]string{
		"nothing": "", "a word": "hello\n", "no first line": strings.Join(lines[1:], ""), "cut off": strings.Join(lines[:3], ""),
		"cut in a line": whole[:len(whole)/2], "more after the head": whole + lines[1], "something else inside": lines[0] + "{}\n" + lines[1],
		"another scheme": strings.Replace(whole, scheme, "tandem audit 9", 1),
	} {
		if _, err := VerifyExport(strings.NewReader(text)); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "{}", `{"seq":1,"hash":"ab"}`, "x", whole[:len(whole)/2]} {
		if _, err := ReadHead(strings.NewReader(text)); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("head of %.20q: %v", text, err)
		}
	}
}

func TestADamagedValueIsNotExported(t *testing.T) {
	t.Parallel()
	chain := sealed(Head{OrganizationID: org, Hash: Genesis}, entries(1))
	chain[0].After = json.RawMessage(`{"a":`)
	if err := writeEntry(bufio.NewWriter(&bytes.Buffer{}), &chain[0]); !tandem.Is(err, tandem.Corrupt) {
		t.Errorf("error %v", err)
	}
}

func FuzzVerifyExport(f *testing.F) {
	begin := Head{OrganizationID: org, Hash: Genesis}
	chain := sealed(begin, entries(3))
	whole := exported(f, begin, headOf(chain), chain)
	f.Add(whole)
	f.Add(bytes.Replace(whole, []byte("one@"), []byte("two@"), 1))
	f.Add([]byte(`{"format":"tandem audit 1","organization_id":"o","hash":"","seq":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		result, err := VerifyExport(bytes.NewReader(text))
		if err == nil && result.OK() && result.Sealed > 0 && !wellFormed(result.Head.Hash) {
			t.Errorf("a chain that ends in no hash is fine: %+v", result)
		}
		if _, err := ReadHead(bytes.NewReader(text)); err != nil && !tandem.Is(err, tandem.Invalid) {
			t.Errorf("head: %v", err)
		}
	})
}
