package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"tandem"
)

// bench is one measurement of everything that was asked for.
type bench struct {
	options
	progress io.Writer
	table    *Table
}

// figure is one case: what it measures into the table.
type figure struct {
	id      string
	measure func(b *bench, ctx context.Context, d *databases) error
	once    bool   // has no database
	alone   string // the only kind of database that it is about, "" for each
}

// figures are the cases in the order of the table.
var figures = []figure{
	{id: "a", measure: (*bench).fullImport},
	{id: "b", measure: (*bench).unchanged},
	{id: "b2", measure: (*bench).reported},
	{id: "c", measure: (*bench).export},
	{id: "d", measure: (*bench).edited},
	{id: "meta", measure: (*bench).metadata},
	{id: "first", measure: (*bench).firstExport},
	{id: "scale", measure: (*bench).scale},
	{id: "e", measure: (*bench).planning, once: true},
	{id: "f", measure: (*bench).memoryPeaks},
	{id: "w", measure: func(b *bench, ctx context.Context, d *databases) error { return b.deliveries(ctx, d, "w") }},
	{id: "ws", measure: func(b *bench, ctx context.Context, d *databases) error { return b.deliveries(ctx, d, "ws") }},
	{id: "coap", measure: func(b *bench, ctx context.Context, d *databases) error { return b.reports(ctx, d, tandem.ViaCoAP) }},
	{id: "http", measure: func(b *bench, ctx context.Context, d *databases) error { return b.reports(ctx, d, tandem.ViaHTTP) }},
	{id: "r", measure: (*bench).reads},
	{id: "l", measure: (*bench).lists},
	{id: "p", measure: (*bench).budgetOfMany, alone: "postgres"},
	{id: "m", measure: (*bench).reportsOverMQTT},
}

func caseIDs() []string {
	var ids []string
	for _, f := range figures {
		ids = append(ids, f.id)
	}
	return ids
}

// measure goes through the cases, each on each database.
func (b *bench) measure(ctx context.Context) (table *Table, err error) {
	b.table = newTable(b.options)
	var dbs []*databases
	defer func() {
		for _, d := range dbs {
			err = errors.Join(err, d.close())
		}
	}()
	for _, kind := range b.db {
		d, err := newDatabases(ctx, kind)
		if err != nil {
			return nil, err
		}
		dbs = append(dbs, d)
	}
	for _, f := range figures {
		if len(b.only) > 0 && !slices.Contains(b.only, f.id) {
			continue
		}
		for i, d := range dbs {
			if f.once && i > 0 || f.alone != "" && f.alone != d.kind {
				continue
			}
			b.tell("%s on %s …", f.id, d.kind)
			if err := f.measure(b, ctx, d); err != nil {
				return nil, fmt.Errorf("%s on %s: %w", f.id, d.kind, err)
			}
		}
	}
	return b.table, nil
}

func (b *bench) tell(format string, args ...any) {
	// Progress is a courtesy: a closed terminal does not spoil a measurement.
	_, _ = fmt.Fprintf(b.progress, format+"\n", args...)
}

func (b *bench) add(r Row) {
	r = r.judge()
	r.Load = load()
	b.table.Rows = append(b.table.Rows, r)
	if b.verbose {
		b.tell("  %s %s: %.3g against %.3g %s, ratios %.3v", r.ID, r.What, r.Tandem, r.Baseline, r.Unit, r.Ratios)
	}
}

// duel measures two things in turns, the median of the ratios being the figure. Which of them is first changes
// with each turn unless fixed is set, since the second may find things warmer.
func (b *bench) duel(row Row, fixed bool, baseline, tandem func(round int) (time.Duration, error)) error {
	var bare, ours []float64
	for round := range b.repeat {
		var first, second time.Duration
		var err error
		if fixed || round%2 == 0 {
			if first, err = baseline(round); err == nil {
				second, err = tandem(round)
			}
		} else if second, err = tandem(round); err == nil {
			first, err = baseline(round)
		}
		if err != nil {
			return fmt.Errorf("repetition %d: %w", round+1, err)
		}
		bare, ours = append(bare, first.Seconds()), append(ours, second.Seconds())
		row.Ratios = append(row.Ratios, second.Seconds()/first.Seconds())
	}
	row.Baseline, row.Tandem, row.Ratio, row.Unit = median(bare), median(ours), median(row.Ratios), "s"
	b.add(row)
	return nil
}

// seconds adds an absolute figure; its limit counts at the size and latency that it was set for.
func (b *bench) seconds(row Row) {
	if b.devices != 10_000 || b.latency != 50*time.Millisecond {
		row.Limit = 0
	}
	row.Unit = "s"
	b.add(row)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
