package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"tandem"
)

// output writes results: text for people, or JSON alone.
type output struct {
	w, err   io.Writer
	json     bool
	color    bool
	terminal bool // standard output is one
	live     bool // standard error is one: progress may be redrawn
	ask      bool // a person can be asked
	width    int  // of the terminal, 0 when there is none
	clock    tandem.Clock
}

func newOutput(m *Main, asJSON, noColor bool) *output {
	o := &output{w: m.Stdout, err: m.Stderr, json: asJSON, clock: m.Clock}
	o.terminal, o.width = terminal(m.Stdout)
	o.live, _ = terminal(m.Stderr)
	in, _ := terminal(m.Stdin)
	o.ask = in && o.live && !asJSON
	term, _ := m.LookupEnv("TERM")
	o.color = o.terminal && !noColor && !asJSON && term != "dumb"
	return o
}

// terminal reports whether f is one, and how wide.
func terminal(f any) (bool, int) {
	file, ok := f.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return false, 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		width = 80
	}
	return true, width
}

// printf writes text for people; with --json nothing.
func (o *output) printf(format string, args ...any) {
	if !o.json {
		_, _ = fmt.Fprintf(o.w, format, args...) // a closed pipe is nobody to tell
	}
}

// note writes beside the results, on standard error; with --json nothing.
func (o *output) note(format string, args ...any) {
	if !o.json {
		_, _ = fmt.Fprintf(o.err, format, args...)
	}
}

// value writes a result as indented JSON.
func (o *output) value(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if _, err := o.w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// failure is an error as JSON.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// failureOf takes an error apart.
func failureOf(err error) *failure {
	var e *tandem.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) {
			err = errors.New("stopped")
		}
		return &failure{Code: string(tandem.Internal), Message: err.Error()}
	}
	return &failure{Code: string(e.Code), Message: strings.TrimSuffix(e.Error(), "; "+e.Hint), Hint: e.Hint}
}

// fail writes an error: a line on standard error, and with --json an object on standard output too.
func (o *output) fail(code, message, hint string) {
	_, _ = fmt.Fprintln(o.err, o.paint(text.FgRed, "tandem: ")+clean(message))
	if hint != "" {
		_, _ = fmt.Fprintln(o.err, "  → "+clean(hint))
	}
	if o.json {
		_ = o.value(struct {
			Error failure `json:"error"`
		}{failure{code, message, hint}}) // nowhere left to report to
	}
}

// paint colors text on a terminal.
func (o *output) paint(color text.Color, s string) string {
	if !o.color {
		return s
	}
	text.EnableColors()
	return color.Sprint(s)
}

func (o *output) bold(s string) string { return o.paint(text.Bold, s) }
func (o *output) dim(s string) string  { return o.paint(text.Faint, s) }

// table writes rows under a header, in columns as wide as what they hold. On a terminal long rows are cut.
func (o *output) table(header []string, rows [][]string) {
	if o.json || len(rows) == 0 {
		return
	}
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.Options{}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Box.UnfinishedRow = "…"
	style.Format.Header = text.FormatUpper
	style.Size.WidthMax = o.width
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	head := make(table.Row, len(header))
	for i, name := range header {
		head[i] = o.bold(name)
	}
	t.AppendHeader(head)
	for _, cells := range rows {
		row := make(table.Row, len(cells))
		for i, cell := range cells {
			row[i] = cell
		}
		t.AppendRow(row)
	}
	o.printf("%s\n", t.Render())
}

// pairs writes names and values under each other; empty values are left out.
func (o *output) pairs(pairs ...string) {
	width := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, text.StringWidthWithoutEscSequences(pairs[i]))
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			o.printf("%s  %s\n", o.dim(text.Pad(pairs[i], width, ' ')), pairs[i+1])
		}
	}
}

// clean makes text from elsewhere safe for a terminal: control characters and those that turn the
// direction of writing show as escapes.
func clean(s string) string {
	if !strings.ContainsFunc(s, unsafeRune) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unsafeRune(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == unicode.ReplacementChar
}

// short cuts text to a width in columns.
func short(s string, width int) string {
	return text.Snip(clean(s), width, "…")
}

// ago gives an instant relative to now, "never" for none.
func (o *output) ago(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return o.since(*at)
}

func (o *output) since(at time.Time) string {
	if o.clock().Sub(at).Abs() < time.Second {
		return "now"
	}
	return humanize.RelTime(at, o.clock(), "ago", "from now")
}

// duration gives a length of time in a few characters.
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// number writes thousands apart.
func number[T int | int64](n T) string { return humanize.Comma(int64(n)) }

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// devices counts devices.
func devices(n int) string { return count(n, "device", "devices") }

// list joins words; a blank list shows as a dash.
func list(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	cleaned := make([]string, len(words))
	for i := range words {
		cleaned[i] = clean(words[i])
	}
	return strings.Join(cleaned, ", ")
}

// dash shows an empty text as a dash.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return clean(s)
}

// yes shows a truth.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// pagination says which part of a listing is shown.
func pagination(page tandem.Page, total int) tandem.Pagination {
	return tandem.Paginated(page, total)
}

// Paging asks for a part of a listing.
type Paging struct {
	Limit int `default:"100" help:"How many to list, at most 1000."`
	Page  int `default:"1" help:"Which part of the list, from 1."`
}

// page checks what was asked.
func (p Paging) page() (tandem.Page, error) {
	if p.Limit < 1 || p.Limit > 1000 || p.Page < 1 {
		return tandem.Page{}, &usageError{"--limit goes from 1 to 1000, --page from 1", ""}
	}
	return tandem.Page{Number: p.Page, Limit: p.Limit}, nil
}

// moreOfSome does what more does where matches are counted up to tandem.CountedTo.
func (o *output) moreOfSome(page tandem.Page, here, total int) {
	switch before := (page.Number - 1) * page.Limit; {
	case total <= tandem.CountedTo:
		o.more(page, before+here, total)
	case here == 0:
		o.printf("there is no page %d\n", page.Number)
	default:
		o.printf("%s\n", o.dim(fmt.Sprintf("%s of more than %s shown; --page %d shows the next", number(before+here), number(tandem.CountedTo), page.Number+1)))
	}
}

// more says that a listing goes on.
func (o *output) more(page tandem.Page, shown, total int) {
	if page.Number > 1 && (page.Number-1)*page.Limit >= total {
		o.printf("there is no page %d: %s fit on %s\n", page.Number, number(total), count((total+page.Limit-1)/page.Limit, "page", "pages"))
		return
	}
	if shown < total {
		o.printf("%s\n", o.dim(fmt.Sprintf("%s of %s shown; --page %d shows the next", number(shown), number(total), page.Number+1)))
	}
}
