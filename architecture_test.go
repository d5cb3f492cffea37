package tandem_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mayImport is the architecture: which folders of this module a folder may import, besides those inside itself.
// "." is the root package, "*" everything. A folder that is not listed goes by its parent's line.
// Test files may import what they need to go through real parts.
var mayImport = map[string][]string{
	".":                 {},
	"merge":             {"."},
	"syncer":            {".", "merge"},
	"registry":          {".", "merge"},
	"budget":            {"."},
	"jobs":              {".", "syncer", "webhook", "alert", "audit"},
	"gather":            {}, // many into few transactions
	"webhook":           {".", "report", "gather"},
	"report":            {"."},             // what a payload says of its device: pure
	"alert":             {".", "outbound"}, // rules and senders
	"audit":             {"."},
	"outbound":          {"."}, // which addresses may be called
	"server":            {"."}, // the HTTP shell: limits, headers, health, metrics, traces
	"golioth":           {"."},
	"golioth/simulator": {"."}, // not the client: both sides of a contract must not share a mistake
	"gateway":           {".", "report", "gather"},
	"gateway/sample":    {"."}, // not the gateway: devices know what is documented
	"store":             {"."},
	"store/legacy":      {".", "store", "secret"}, // the older table's keys are sealed as they are migrated
	"secret":            {"."},
	"api":               {".", "registry"},
	"web":               {".", "registry"},
	"web/webtest":       {"*"}, // serves tests
	"cmd/tandem":        {"*"},
	"simtest":           {"*"},
	"bench":             {"*"},
}

// home is the folder, or the few, that each library is let in through; any other import of it in the program is an error.
// A library that is not listed may not be used by the root package and merge, and is free elsewhere.
var home = map[string]string{
	"github.com/uptrace/bun":          "store",
	"github.com/jackc/pgx":            "store jobs", // the job engine has connections of its own
	"github.com/pressly/goose":        "store",
	"modernc.org/sqlite":              "store",
	"github.com/failsafe-go":          "golioth",
	"github.com/alecthomas/kong":      "cmd/tandem",
	"github.com/schollz/progressbar":  "cmd/tandem",
	"github.com/jedib0t/go-pretty":    "cmd/tandem",
	"github.com/getkin/kin-openapi":   "golioth",
	"go.yaml.in/yaml":                 "golioth/simulator",
	"github.com/riverqueue/river":     "jobs",
	"github.com/danielgtaylor/huma":   "api",
	"github.com/alexedwards/scs":      "api",
	"github.com/coreos/go-oidc":       "api",
	"golang.org/x/oauth2":             "api",
	"github.com/standard-webhooks":    "webhook alert",
	"github.com/ugorji/go":            "report",
	"github.com/mochi-mqtt/server":    "gateway/mqtt",
	"github.com/gorilla/websocket":    "gateway/mqtt",
	"github.com/eclipse/paho.golang":  "gateway/mqtt gateway/sample bench", // a client of brokers, and load
	"github.com/eclipse/paho.mqtt":    "",                                  // tests only
	"github.com/plgd-dev/go-coap":     "gateway/coap gateway/sample",
	"github.com/pion":                 "gateway/coap gateway/sample bench", // DTLS
	"github.com/prometheus":           "server",
	"go.opentelemetry.io":             "server",
	"github.com/klauspost/compress":   "server",
	"github.com/a-h/templ":            "web",
	"github.com/chromedp":             "", // tests only
	"github.com/wneessen/go-mail":     "alert",
	"github.com/emersion/go-smtp":     "", // tests only
	"github.com/emersion/go-sasl":     "",
	"golang.org/x/crypto/argon2":      "registry",
	"github.com/pquerna/otp":          "registry",
	"github.com/boombuler/barcode":    "web",
	"github.com/ccojocar/zxcvbn-go":   "registry",
	"pgregory.net/rapid":              "", // tests only
	"github.com/zitadel/oidc":         "", // an identity provider for tests
	"github.com/google/go-cmp":        "",
	"github.com/rogpeppe/go-internal": "",
	"go.uber.org/goleak":              "",
}

// source is one Go file of the repository.
type source struct {
	path   string // slash-separated, from the root
	folder string // of it, "." for the root
	test   bool
	file   *ast.File
	fset   *token.FileSet
}

// at says where a node stands.
func (s source) at(node ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(node.Pos()).Line)
}

// paths walks what belongs to the repository; what git ignores by .gitignore's folders is left out.
func paths(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "bin", "coverage", "testdata", "node_modules"}, entry.Name()) {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			found = append(found, filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk the repository: %v", err)
	}
	return found
}

// sources parses every Go file.
func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	for _, p := range paths(t) {
		if !strings.HasSuffix(p, ".go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("parse: %v", err)
			continue
		}
		if ast.IsGenerated(file) {
			continue
		}
		found = append(found, source{path: p, folder: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), file: file, fset: fset})
	}
	if len(found) == 0 {
		t.Fatal("no Go file found: is the test run from the root of the repository?")
	}
	return found
}

// lineOf finds the folder's line in mayImport, or its nearest parent's.
func lineOf(folder string) (line string, ok bool) {
	for line = folder; line != "."; line = path.Dir(line) {
		if _, ok := mayImport[line]; ok {
			return line, true
		}
	}
	return ".", folder == "."
}

// within reports whether folder is root or lies inside it.
func within(folder, root string) bool {
	return folder == root || strings.HasPrefix(folder, root+"/")
}

func TestFoldersImportOnlyWhatTheyMay(t *testing.T) {
	for _, s := range sources(t) {
		line, ok := lineOf(s.folder)
		if !ok {
			t.Errorf("%s: no line of mayImport covers the folder; decide what it may import", s.folder)
			continue
		}
		if s.test || within(s.folder, "tools") {
			continue
		}
		top, _, _ := strings.Cut(s.folder, "/")
		for _, spec := range s.file.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			switch rest, ours := strings.CutPrefix(imported, "tandem/"); {
			case imported == "tandem":
				if line == "." || !allows(line, ".") {
					t.Errorf("%s: %s may not import the root package", s.at(spec), s.folder)
				}
			case ours:
				own := within(rest, line) || (top != "cmd" && line == top && within(rest, top))
				if !own && !allows(line, rest) {
					t.Errorf("%s: %s may not import %s (see mayImport in architecture_test.go)", s.at(spec), s.folder, rest)
				}
			case strings.Contains(strings.SplitN(imported, "/", 2)[0], "."):
				checkLibrary(t, s, spec, imported)
			}
		}
	}
}

// allows reports whether a line of mayImport lets a folder be imported.
func allows(line, folder string) bool {
	for _, allowed := range mayImport[line] {
		if allowed == "*" || allowed == folder || (allowed != "." && within(folder, allowed)) {
			return true
		}
	}
	return false
}

// checkLibrary reports a library that is imported outside its home, or where none may be.
func checkLibrary(t *testing.T, s source, spec *ast.ImportSpec, imported string) {
	t.Helper()
	if s.folder == "." || within(s.folder, "merge") {
		t.Errorf("%s: %s may import nothing but the standard library, not %s", s.at(spec), s.folder, imported)
	}
	if slices.Contains([]string{"storetest", "clienttest", "pgtest", "webtest"}, path.Base(s.folder)) || within(s.folder, "simtest") {
		return // these serve tests
	}
	for library, folder := range home {
		in := func(folder string) bool { return within(s.folder, folder) }
		if strings.HasPrefix(imported, library) && !slices.ContainsFunc(strings.Fields(folder), in) {
			t.Errorf("%s: %s enters the program through %q only", s.at(spec), library, folder)
		}
	}
}

func TestMergeIsPure(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !within(s.folder, "merge") {
			continue
		}
		for _, spec := range s.file.Imports {
			switch imported := strings.Trim(spec.Path.Value, `"`); imported {
			case "context", "os", "net", "net/http", "io/fs", "database/sql", "log", "log/slog", "math/rand", "math/rand/v2", "sync":
				t.Errorf("%s: merge does no I/O and keeps no state, so it may not import %s", s.at(spec), imported)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "time" && (call.Sel.Name == "Now" || call.Sel.Name == "Since") {
					t.Errorf("%s: merge is handed the time, it does not ask for it", s.at(call))
				}
			}
			return true
		})
	}
}

func TestPackagesAndExportedNamesAreCommented(t *testing.T) {
	commented := map[string]bool{}
	first := map[string]source{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if _, ok := first[s.folder]; !ok {
			first[s.folder] = s
		}
		if s.file.Doc != nil && regexp.MustCompile(`^(Package|Command) `).MatchString(s.file.Doc.Text()) {
			commented[s.folder] = true
		}
		for _, decl := range s.file.Decls {
			checkComment(t, s, decl)
		}
	}
	for folder, s := range first {
		if !commented[folder] {
			t.Errorf("%s: package %s has no package comment that says what it is for", folder, s.file.Name.Name)
		}
	}
}

// checkComment reports the exported names of a declaration that have no comment.
func checkComment(t *testing.T, s source, decl ast.Decl) {
	t.Helper()
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			t.Errorf("%s: %s has no comment", s.at(d), d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
					t.Errorf("%s: type %s has no comment", s.at(spec), spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						t.Errorf("%s: %s has no comment", s.at(spec), name.Name)
					}
				}
			}
		}
	}
}

// exportedReceiver reports whether a function is no method, or one of an exported type.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return true
	}
	typ := f.Recv.List[0].Type
	for {
		switch e := typ.(type) {
		case *ast.StarExpr:
			typ = e.X
		case *ast.IndexExpr:
			typ = e.X
		case *ast.IndexListExpr:
			typ = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	// The words are put together here so that this file does not find itself.
	marks := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b|not ` + `implemented yet`)
	skips := regexp.MustCompile(`\b[tb]\.Sk` + `ip(f|Now)?\(|\btime\.Sle` + `ep\(`)
	machine := regexp.MustCompile(`(^|[\s"'` + "`" + `(=:])/(ro` + `ot|ho` + `me|wo` + `rk|Us` + `ers)/[A-Za-z0-9_.]`)
	for _, p := range paths(t) {
		if p == "LICENSE" || strings.HasPrefix(p, ".git/") || path.Base(p) == "go.sum" || !slices.Contains(
			[]string{".go", ".md", ".sql", ".yml", ".yaml", ".sh", ".html", "", ".mod"}, path.Ext(p)) {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatalf("read %s: %v", p, err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if marks.MatchString(line) {
				t.Errorf("%s:%d: a mark of unfinished work: %s", p, i+1, strings.TrimSpace(line))
			}
			if strings.HasSuffix(p, ".go") && skips.MatchString(line) {
				t.Errorf("%s:%d: tests neither skip nor sleep: %s", p, i+1, strings.TrimSpace(line))
			}
			if machine.MatchString(line) {
				t.Errorf("%s:%d: a path of one machine: %s", p, i+1, strings.TrimSpace(line))
			}
		}
	}
}

func TestLinksInDocsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	for _, p := range paths(t) {
		if !strings.HasSuffix(p, ".md") {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatalf("read %s: %v", p, err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			if _, err := os.Stat(path.Join(path.Dir(p), match[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", p, match[1])
			}
		}
	}
}
