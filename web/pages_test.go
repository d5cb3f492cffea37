package web_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// heaviest is what a page may weigh, compressed, at the first visit.
const heaviest = 350_000

// TestEveryPage looks at each page in light and dark, on a desktop and a phone: nothing goes wrong on it, everybody can
// use it, and it is light. With TANDEM_SCREENSHOTS it writes the pictures of all.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	l := webtest.Live(t)
	for i, o := range webtest.Variants() {
		o.NoCache = i == 0
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			signedOut := o
			signedOut.SignedOut = true
			in, before := l.Browser(t, o), l.Browser(t, signedOut)
			for _, one := range webtest.Pages {
				t.Run(one.Name, func(t *testing.T) { look(t, l, one, in, before) })
			}
		})
	}
}

// look looks at one page.
func look(t *testing.T, l *webtest.Lived, one webtest.Show, in, before *webtest.Page) {
	t.Helper()
	p, path := in, one.Path(l)
	if strings.HasPrefix(path, "/") {
		p = before
	}
	p.For(t)
	if one.Then != nil {
		one.Then(p)
	}
	if p == before {
		p.OpenAt(path)
	} else {
		p.Open(path)
	}
	if one.See != nil {
		p.See(one.See(l))
	}
	p.Idle()
	if size := p.Size(); p.Options().NoCache && size > heaviest {
		t.Errorf("it weighs %d bytes, at most %d are allowed", size, heaviest)
	}
	p.Axe()
	p.Fits()
	p.Named()
	p.Shot(one.Name)
}

// TestNoPageIsForgotten: each address that the pages register is looked at by TestEveryPage, or is none that people open.
func TestNoPageIsForgotten(t *testing.T) {
	t.Parallel()
	known := slices.Clone(webtest.Parts)
	for _, one := range webtest.Pages {
		known = append(known, one.Pattern)
	}
	registered := regexp.MustCompile(`\.Handle(?:Large|Person)?\("GET (/?[^"]*)"`)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range registered.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s registers GET %s, which is neither among Pages nor Parts in web/webtest/pages.go", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
