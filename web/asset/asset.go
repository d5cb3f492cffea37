// Package asset is what the pages load: styles, scripts and icons, out of the program itself. Nothing comes from
// elsewhere, so that pages work without a network and under a strict content security policy.
//
// vendor holds the built files of others, made by `make assets`; own holds ours. A file's address names its content, so
// that browsers may keep it for ever.
package asset

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed vendor/*.css vendor/*.js vendor/*.svg own
var files embed.FS

// Prefix is where assets are served.
const Prefix = "/assets/"

// file is one asset as it is sent.
type file struct {
	body, packed []byte
	kind, print  string
}

// all gives the assets by name. They are read and compressed once, when the first is asked for.
var all = sync.OnceValue(func() map[string]file {
	found := map[string]file{}
	for _, folder := range []string{"vendor", "own"} {
		entries, err := files.ReadDir(folder)
		if err != nil {
			panic("asset: " + err.Error()) // embedded: it cannot be missing
		}
		for _, e := range entries {
			body, err := files.ReadFile(folder + "/" + e.Name())
			if err != nil {
				panic("asset: " + err.Error())
			}
			sum := sha256.Sum256(body)
			found[e.Name()] = file{body: body, packed: pack(body), kind: mime.TypeByExtension(path.Ext(e.Name())), print: hex.EncodeToString(sum[:6])}
		}
	}
	return found
})

// pack compresses as well as gzip can.
func pack(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("asset: " + err.Error()) // memory takes it all
	}
	return b.Bytes()
}

// Path gives the address of an asset, such as "app.css". One that is not there is a mistake in a page; a test looks.
func Path(name string) string {
	f, ok := all()[name]
	if !ok {
		return Prefix + "missing/" + name
	}
	return Prefix + f.print + "/" + name
}

// Handler serves them.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		print, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
		f, ok := all()[name]
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // a page of another version asks under another address
		if print == f.print {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		h.Set("Vary", "Accept-Encoding")
		body := f.body
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = f.packed
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body) // a browser that left needs nothing more
		}
	})
}
