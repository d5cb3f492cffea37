package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
	"tandem/audit"
)

// AuditCmd is `tandem audit`.
type AuditCmd struct {
	Verify AuditVerifyCmd `cmd:"" help:"Check that nothing in the audit was changed, removed, inserted or re-ordered."`
	Export AuditExportCmd `cmd:"" help:"Write the audit as JSON lines, ending with its head."`

	Deleted AuditDeletedCmd `cmd:"" help:"List the organizations that were deleted and whose audit is left."`
}

// AuditVerifyCmd is `tandem audit verify`.
type AuditVerifyCmd struct {
	inAudit
	Head   string `placeholder:"FILE" help:"Compare with this earlier head: a file of --save-head, or an export."`
	Save   string `name:"save-head" placeholder:"FILE" help:"Write the present head to this file, when nothing is wrong."`
	Export string `placeholder:"FILE" help:"Check this export instead of the database."`
}

// Help says what a head is for.
func (c *AuditVerifyCmd) Help() string {
	return `The audit is a chain: each entry's seal is over the one before. Whoever owns the database could seal a forged chain anew, but
not so that it fits a head that was kept elsewhere. So keep heads where the database's owner cannot reach them.`
}

// Run checks the chain.
func (c *AuditVerifyCmd) Run(ctx context.Context, a *app) error {
	if c.Export != "" {
		return c.export(a)
	}
	var earlier *audit.Head
	if c.Head != "" {
		head, err := a.readHead(c.Head)
		if err != nil {
			return err
		}
		earlier = &head
	}
	return a.inAudit(ctx, c.inAudit, func(s *desk, org tandem.Organization) error {
		watch := s.out.newProgress()
		result, err := s.VerifyAudit(ctx, org.ID, earlier, func(done, of int64) {
			watch.report(tandem.Progress{Phase: "verifying", Done: int(done), Total: int(of)})
		})
		watch.end()
		if err != nil {
			return err
		}
		if err := a.showVerdict(&result); err != nil || c.Save == "" {
			return err
		}
		if err := writeWhole(c.Save, func(w io.Writer) error { return writeHead(w, &result.Head) }); err != nil {
			return err
		}
		a.out.note("the head is in %s; keep it where the database's owner cannot reach it\n", c.Save)
		return nil
	})
}

// export checks a file that `tandem audit export` wrote.
func (c *AuditVerifyCmd) export(a *app) (err error) {
	if c.Head != "" || c.Save != "" {
		return &usageError{"--export stands alone", "leave --head and --save-head out: the file ends with its own head"}
	}
	file, err := a.openFile(c.Export)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	result, err := audit.VerifyExport(file.Reader)
	if err != nil {
		return err
	}
	return a.showVerdict(&result)
}

// readHead reads a head that was kept.
func (a *app) readHead(name string) (head audit.Head, err error) {
	file, err := a.openFile(name)
	if err != nil {
		return head, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return audit.ReadHead(file.Reader)
}

// showVerdict says what a check found; something wrong is exit code 1.
func (a *app) showVerdict(r *audit.Result) error {
	if a.out.json {
		if err := a.out.value(struct {
			OK bool `json:"ok"`
			*audit.Result
		}{r.OK(), r}); err != nil {
			return err
		}
		if !r.OK() {
			return exitCode(exitFailed)
		}
		return nil
	}
	for _, p := range r.Problems {
		a.out.printf("%s  place %d: %s\n", a.out.paint(text.FgRed, string(p.Kind)), p.Seq, clean(p.Message))
	}
	if r.More > 0 {
		a.out.printf("and %s more\n", number(r.More))
	}
	if !r.OK() {
		return r.Err()
	}
	a.out.printf("the chain is whole: %s, up to place %s\n", count(int(r.Sealed), "entry", "entries"), number(r.Head.Seq))
	if r.Compared {
		a.out.printf("it is the one of the earlier head\n")
	}
	if r.After > 0 {
		a.out.printf("it begins after place %s: what is older is not kept any more\n", number(r.After))
	}
	if r.Batches > 0 {
		a.out.printf("%s held against it, %s not kept any more\n", count(r.Batches, "record of runs", "records of runs"), number(r.Pruned))
	}
	if r.Unsealed > 0 {
		a.out.printf("%s no place yet, and nothing proves them; a server seals them, and so does `tandem audit export`\n", count(r.Unsealed, "entry has", "entries have"))
	}
	return nil
}

// AuditExportCmd is `tandem audit export`.
type AuditExportCmd struct {
	inAudit
	File  string `arg:"" optional:"" help:"The file to write; standard output when left out."`
	Force bool   `help:"Overwrite the file if it is there."`
}

// Run exports. A file appears under its name only when it is whole.
func (c *AuditExportCmd) Run(ctx context.Context, a *app) error {
	return a.inAudit(ctx, c.inAudit, func(s *desk, org tandem.Organization) error {
		if c.File == "" || c.File == "-" {
			_, err := s.ExportAudit(ctx, org.ID, a.Stdout)
			return err
		}
		if stat, err := os.Stat(c.File); err == nil && stat.Mode().IsRegular() && !c.Force {
			return tandem.Errorf(tandem.Exists, "export audit", c.File, "the file exists already").WithHint("name a new one, or overwrite it with --force")
		}
		var head audit.Head
		err := writeWhole(c.File, func(w io.Writer) (err error) {
			head, err = s.ExportAudit(ctx, org.ID, w)
			return err
		})
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"file": c.File, "head": head})
		}
		a.out.printf("wrote the audit up to place %s to %s\n", number(head.Seq), c.File)
		a.out.note("check it: tandem audit verify --export %s; later against it: tandem audit verify --head %s\n", word(c.File), word(c.File))
		return nil
	})
}

// writeHead writes a head that --head reads.
func writeHead(w io.Writer, head *audit.Head) error {
	_, err := fmt.Fprintf(w, "%s\n", rawJSON(head))
	return err
}
