package asset_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tandem/web/asset"
)

// TestWhatPagesNameIsThere: each asset and each icon that a page names.
func TestWhatPagesNameIsThere(t *testing.T) {
	sprite, err := os.ReadFile("vendor/icons.svg")
	if err != nil {
		t.Fatal(err)
	}
	files, icons, scripts := regexp.MustCompile(`asset\.Path\("([^"]+)"\)`), regexp.MustCompile(`part\.Icon\("([^"]+)"\)`), regexp.MustCompile(`(?:Scripts|Styles): +\[\]string\{([^}]*)\}`)
	seen := 0
	check := func(at, name string) {
		seen++
		if strings.Contains(asset.Path(name), "missing") {
			t.Errorf("%s: there is no asset %s", at, name)
		}
	}
	err = filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".templ") && (!strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_templ.go")) {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for _, m := range files.FindAllSubmatch(text, -1) {
			check(p, string(m[1]))
		}
		for _, m := range scripts.FindAllSubmatch(text, -1) {
			for name := range strings.SplitSeq(string(m[1]), ",") {
				if name = strings.Trim(name, ` "`); name != "" {
					check(p, name)
				}
			}
		}
		for _, m := range icons.FindAllSubmatch(text, -1) {
			if !strings.Contains(string(sprite), `id="`+string(m[1])+`"`) {
				t.Errorf("%s: there is no icon %s: add it to icons.txt and run make assets", p, m[1])
			}
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Error(seen, err)
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	ask := func(path, encoding string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		asset.Handler().ServeHTTP(w, r)
		return w
	}
	path := asset.Path("app.css")
	plain, packed := ask(path, ""), ask(path, "br, gzip")
	unpacked, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil || string(text) != plain.Body.String() || plain.Body.Len() < 1000 {
		t.Error("what is compressed is something else", err)
	}
	if got := plain.Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Error(got)
	}
	if got := ask("/assets/000000000000/app.css", "").Header().Get("Cache-Control"); got != "no-cache" {
		t.Error("an older page's address is kept for ever:", got)
	}
	for _, p := range []string{"/assets/x/nothing.js", "/assets/", "/assets/x/../asset.go", "/assets/x/package.json"} {
		if w := ask(p, ""); w.Code != 404 {
			t.Errorf("%s: %d", p, w.Code)
		}
	}
	if got := plain.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/css") {
		t.Error(got)
	}
}
