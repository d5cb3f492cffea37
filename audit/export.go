package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tandem"
)

// maxLine bounds one line of an export: the values before and after of one device are far below it.
const maxLine = 16 << 20

// first is the first line of an export, and last its end.
type (
	first struct {
		Format string `json:"format"`
		Head          // what the chain in this file follows
	}
	last struct {
		Head     *Head `json:"head"`
		Unsealed int   `json:"unsealed"` // entries that had no place yet and are not in the file
	}
)

// Export writes an organization's sealed entries with their seals, one JSON object a line: first where the chain
// begins, then the entries, at the end the head. The text of before and after is as stored: it is what was sealed.
func Export(ctx context.Context, store tandem.AuditStore, org string, w io.Writer) (Head, error) {
	out := bufio.NewWriter(w)
	at, err := start(ctx, store, org)
	if err == nil {
		err = writeLine(out, first{Format: scheme, Head: at})
	}
	for err == nil {
		var entries []tandem.SealedEntry
		if entries, err = store.Sealed(ctx, org, at.Seq, walkBatch); err != nil || len(entries) == 0 {
			break
		}
		for i := range entries {
			if err = writeEntry(out, &entries[i]); err != nil {
				break
			}
			seal := entries[i].Seal
			at = Head{OrganizationID: org, Seq: seal.Seq, Hash: seal.Hash, At: seal.SealedAt}
		}
	}
	var unsealed int
	if err == nil {
		_, unsealed, err = store.Unsealed(ctx, org, 1)
	}
	if err == nil {
		err = writeLine(out, last{Head: &at, Unsealed: unsealed})
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return at, fmt.Errorf("export the audit: %w", err)
	}
	return at, nil
}

// writeEntry writes one entry. The library would tidy the JSON inside, so that is put in by hand.
func writeEntry(out *bufio.Writer, e *tandem.SealedEntry) error {
	plain := *e
	plain.Before, plain.After = nil, nil
	line, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	line = line[:len(line)-1]
	for _, value := range []struct {
		name string
		text json.RawMessage
	}{{"before", e.Before}, {"after", e.After}} {
		if len(value.text) == 0 {
			continue
		}
		if !json.Valid(value.text) {
			return tandem.Errorf(tandem.Corrupt, "audit: export", e.ID, "the value %s of this entry is no JSON any more", value.name).
				WithHint("tandem audit verify says what else was changed")
		}
		line = append(append(line, `,"`+value.name+`":`...), value.text...)
	}
	_, err = out.Write(append(line, '}', '\n'))
	return err
}

// writeLine writes one value as a line.
func writeLine(out *bufio.Writer, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

// line is any line of an export.
type line struct {
	Format string `json:"format"`
	Head   *Head  `json:"head"`
	tandem.SealedEntry
	Seq      int64  `json:"seq"`
	Hash     string `json:"hash"`
	Unsealed int    `json:"unsealed"`
}

// VerifyExport checks the chain in an export, without a database, and gives its head. The entries of runs are not
// in it and are not looked at. An Invalid error means that it is no export, or not a whole one.
func VerifyExport(r io.Reader) (Result, error) {
	var result Result
	var w *walk
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	n := 0
	for in.Scan() {
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		n++
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return result, notExport(n, "it is no JSON")
		}
		switch {
		case w == nil && l.Format == scheme && l.OrganizationID != "" && wellFormed(l.Hash) && l.Seq >= 0:
			result.OrganizationID, result.After = l.OrganizationID, l.Seq
			w = &walk{result: &result, at: Head{OrganizationID: l.OrganizationID, Seq: l.Seq, Hash: l.Hash}}
			if l.Seq == 0 && l.Hash != Genesis {
				result.add(Resealed, 0, "", "the chain does not begin where every chain begins")
			}
		case w == nil:
			return result, notExport(n, "the first line of an export is missing")
		case l.Head != nil:
			return closeExport(in, w, l, n)
		case l.Seal != nil:
			w.step(l.SealedEntry)
		default:
			return result, notExport(n, "it is neither a sealed entry nor the head")
		}
	}
	if err := in.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return result, fmt.Errorf("read the export: %w", err)
	} else if err != nil {
		return result, notExport(n+1, "the line is too long")
	}
	return result, notExport(n+1, "the head at the end is missing: the file was cut off")
}

// closeExport checks the head that an export ends with.
func closeExport(in *bufio.Scanner, w *walk, l line, n int) (Result, error) {
	w.finish()
	w.result.Unsealed = l.Unsealed
	switch {
	case l.Head.OrganizationID != w.result.OrganizationID:
		w.result.add(Resealed, l.Head.Seq, "", "the head at the end is of another organization")
	case l.Head.Seq > w.at.Seq:
		w.result.add(Removed, w.at.Seq+1, "", "the head is at place %d, and the entries end at %d", l.Head.Seq, w.at.Seq)
	case l.Head.Seq < w.at.Seq || l.Head.Hash != w.at.Hash:
		w.result.add(Resealed, l.Head.Seq, "", "the head is not the one of the entries before it")
	}
	w.result.Compared = true
	for in.Scan() {
		if len(bytes.TrimSpace(in.Bytes())) > 0 {
			return *w.result, notExport(n+1, "something follows the head")
		}
	}
	return *w.result, in.Err()
}

// ReadHead reads a head: one kept by itself, or the one that an export ends with.
func ReadHead(r io.Reader) (Head, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	var end []byte
	for in.Scan() {
		if text := bytes.TrimSpace(in.Bytes()); len(text) > 0 {
			end = append(end[:0], text...)
		}
	}
	var l struct {
		Wrapped *Head `json:"head"`
		Head
	}
	if err := in.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return Head{}, fmt.Errorf("read the head: %w", err)
	}
	if json.Unmarshal(end, &l) != nil {
		return Head{}, notHead()
	}
	head := l.Head
	if l.Wrapped != nil {
		head = *l.Wrapped
	}
	if head.OrganizationID == "" || head.Seq < 0 || !wellFormed(head.Hash) {
		return Head{}, notHead()
	}
	return head, nil
}

// notHead says that a file holds no head.
func notHead() error {
	return tandem.Errorf(tandem.Invalid, "audit: read head", "", "this is neither a head nor an export of the audit").
		WithHint("tandem audit export writes one that ends with its head")
}

// notExport says where a file stops being an export.
func notExport(line int, why string) error {
	return tandem.Errorf(tandem.Invalid, "audit: verify export", fmt.Sprintf("line %d", line), "%s", why).
		WithHint("use a whole file as tandem audit export wrote it")
}
