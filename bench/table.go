package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Row is one figure.
type Row struct {
	ID       string    `json:"id"`
	Database string    `json:"database,omitempty"`
	What     string    `json:"what"`
	Tandem   float64   `json:"tandem"`
	Baseline float64   `json:"baseline,omitempty"`
	Against  string    `json:"against,omitempty"`
	Unit     string    `json:"unit"`            // of Tandem and Baseline
	Ratio    float64   `json:"ratio,omitempty"` // the median of Ratios
	Ratios   []float64 `json:"ratios,omitempty"`
	Limit    float64   `json:"limit,omitempty"` // on Ratio where there is one, else on Tandem; 0 for none
	Least    float64   `json:"least,omitempty"` // what Tandem must at least be; 0 for none
	Met      bool      `json:"met"`
	Load     float64   `json:"load,omitempty"` // the machine's load average over the last minute, this measurement's own work among it
}

// judge compares the row with its limit.
func (r Row) judge() Row {
	value := r.Tandem
	if r.Ratio > 0 {
		value = r.Ratio
	}
	r.Met = (r.Limit == 0 || value <= r.Limit) && r.Tandem >= r.Least
	return r
}

// Table is everything that one run measured.
type Table struct {
	At        time.Time `json:"at"`
	Go        string    `json:"go"`
	CPUs      int       `json:"cpus"`
	Devices   int       `json:"devices"`
	LatencyMS float64   `json:"latency_ms"`
	Repeat    int       `json:"repeat"`
	Rows      []Row     `json:"rows"`
}

func newTable(o options) *Table {
	return &Table{At: time.Now().UTC(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Devices: o.devices,
		LatencyMS: float64(o.latency) / float64(time.Millisecond), Repeat: o.repeat}
}

// print writes the table for people.
func (t *Table) print(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "%d devices, %v ms latency, median of %d, %d CPUs, %s\n\n", t.Devices, t.LatencyMS, t.Repeat, t.CPUs, t.Go); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	lines := []string{"\twhat\tdatabase\tTandem\tbare\tratio\tlimit\t\tload\n"}
	for _, r := range t.Rows {
		bare, ratio, limit, verdict := "", "", "", ""
		if r.Baseline > 0 {
			bare = amount(r.Baseline, r.Unit)
		}
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f×", r.Ratio)
		}
		switch {
		case r.Limit > 0 && r.Ratio > 0:
			limit = fmt.Sprintf("%.2f×", r.Limit)
		case r.Limit > 0:
			limit = amount(r.Limit, r.Unit)
		case r.Least > 0:
			limit = "≥ " + amount(r.Least, r.Unit)
		}
		switch {
		case r.Limit == 0 && r.Least == 0:
		case r.Met:
			verdict = "met"
		default:
			verdict = "NOT MET"
		}
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f\n", r.ID, r.What, r.Database, amount(r.Tandem, r.Unit), bare, ratio, limit, verdict, r.Load))
	}
	for _, line := range lines {
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// load is the machine's load average over the last minute, 0 where the system does not say.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return n
}

// amount writes a value with its unit.
func amount(v float64, unit string) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.2f %s", v, unit)
}

// save writes the table as JSON.
func (t *Table) save(path string) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}
