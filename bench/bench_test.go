package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/cmd/tandem/built"
)

// TestMain is the receiver of the deliveries where it is started as that.
func TestMain(m *testing.M) {
	if database := os.Getenv(receiverDatabase); database != "" {
		if err := receive(context.Background(), database, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestTableIsComplete measures everything on a tiny fleet: the figures mean nothing, but each is there.
func TestTableIsComplete(t *testing.T) {
	dir := t.TempDir()
	program, err := built.Program(dir)
	if err != nil {
		t.Fatal(err)
	}
	figuresFile := filepath.Join(dir, "bench.json")
	var out, progress bytes.Buffer
	err = run(t.Context(), []string{"-tandem", program, "-devices", "200", "-latency", "1ms", "-repeat", "1", "-memory", "100,200", "-json", figuresFile}, &out, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	text, err := os.ReadFile(figuresFile)
	if err != nil {
		t.Fatal(err)
	}
	var table Table
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, row := range table.Rows {
		if row.Tandem <= 0 {
			t.Errorf("%s %s on %s is %v", row.ID, row.What, row.Database, row.Tandem)
		}
		if !strings.Contains(out.String(), row.What) {
			t.Errorf("the printed table lacks %q", row.What)
		}
		seen[row.ID+" "+row.Database] = true
	}
	for _, f := range figures {
		for _, db := range []string{"sqlite", "postgres"} {
			if f.alone != "" && f.alone != db {
				continue
			}
			if !f.once && !seen[f.id+" "+db] || f.once && !seen[f.id+" "] {
				t.Errorf("figure %s is not measured on %s", f.id, db)
			}
		}
	}
}

func TestWrongFlagsAreExplained(t *testing.T) {
	for _, args := range [][]string{{"-db", "oracle"}, {"-only", "z"}, {"-memory", "many"}, {"-devices", "5"}, {"surplus"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
