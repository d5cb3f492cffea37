package api

import (
	"bytes"
	"embed"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"tandem"
)

// problemsPath explains the codes.
const problemsPath = "/api/docs/problems"

//go:embed docs
var docs embed.FS

// docsPolicy lets the reader's own script run and nothing else; the library sets styles inline.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// reader serves the pages that show the document, from this program alone.
func reader(mux *http.ServeMux) error {
	page, err := problemsPage()
	if err != nil {
		return err
	}
	mux.HandleFunc("GET "+problemsPath, func(w http.ResponseWriter, r *http.Request) { serveDocs(w, "text/html; charset=utf-8", page) })
	for path, file := range map[string]struct{ name, media string }{
		"/api/docs":            {"docs/index.html", "text/html; charset=utf-8"},
		"/api/docs/docs.css":   {"docs/docs.css", "text/css; charset=utf-8"},
		"/api/docs/rapidoc.js": {"docs/rapidoc-9.3.8.min.js", "text/javascript; charset=utf-8"},
	} {
		text, err := docs.ReadFile(file.name)
		if err != nil {
			return err
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { serveDocs(w, file.media, text) })
	}
	return nil
}

func serveDocs(w http.ResponseWriter, media string, text []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Security-Policy", docsPolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(text) // whoever asked may have left
}

// problemsPage writes the table of codes.
func problemsPage() ([]byte, error) {
	page, err := template.ParseFS(docs, "docs/problems.html")
	if err != nil {
		return nil, err
	}
	type row struct {
		Code           tandem.Code
		Status         int
		Title, Meaning string
	}
	all := maps.Clone(kinds)
	maps.Copy(all, routeKinds)
	var rows []row
	for code, k := range all {
		rows = append(rows, row{code, k.status, k.title, k.meaning})
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(string(a.Code), string(b.Code)) })
	var b bytes.Buffer
	err = page.Execute(&b, rows)
	return b.Bytes(), err
}
