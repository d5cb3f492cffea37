// Command bench measures Tandem against the bare requests that its work needs, in the same run and on the same machine:
// each figure is a ratio, so that it means the same on a fast machine and a slow one.
//
// The remote is `tandem simulator` in a process of its own. The baselines are in baseline.go: listing with
// Tandem's own client and nothing else, the same with net/http and encoding/json, bare writes. Tandem's
// side is the engine with a real store and the budget of production; for memory, and where people read and several
// processes share a service, it is the program itself.
// Baseline and Tandem take turns, so that whatever else the machine does hits both; the figure is the
// median of the repetitions' ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options say what is measured, and how often.
type options struct {
	tandem  string // the program to run as simulator and for memory
	devices int
	latency time.Duration
	repeat  int
	only    []string // ids of cases; empty for all
	db      []string
	memory  []int // fleet sizes
	json    string
	rate    float64 // deliveries a second; 0 for those that must be reached
	profile string  // file for a CPU profile of Tandem's side
	verbose bool
}

func main() {
	if database := os.Getenv(receiverDatabase); database != "" {
		if err := receive(context.Background(), database, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench: receive:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run parses the arguments, measures and prints.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	b := &bench{options: o, progress: progress}
	table, err := b.profiled(ctx)
	if err != nil {
		return err
	}
	if err := table.print(out); err != nil {
		return err
	}
	if o.json == "" {
		return nil
	}
	return table.save(o.json)
}

// profiled measures, under the profiler when that was asked for.
func (b *bench) profiled(ctx context.Context) (table *Table, err error) {
	if b.profile == "" {
		return b.measure(ctx)
	}
	file, err := os.Create(b.profile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	defer pprof.StopCPUProfile()
	return b.measure(ctx)
}

// parse reads the flags.
func parse(args []string, errs io.Writer) (options, error) {
	var o options
	var only, db, memory string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&o.tandem, "tandem", "bin/tandem", "the program")
	flags.IntVar(&o.devices, "devices", 10_000, "devices in the fleet")
	flags.DurationVar(&o.latency, "latency", 50*time.Millisecond, "of each of the simulator's replies")
	flags.IntVar(&o.repeat, "repeat", 3, "repetitions; the median counts")
	flags.StringVar(&only, "only", "", "cases, such as a,b,b2 (all: "+strings.Join(caseIDs(), ",")+")")
	flags.StringVar(&db, "db", "both", "sqlite, postgres or both")
	flags.Float64Var(&o.rate, "rate", 0, "deliveries a second in w (those that must be reached)")
	flags.StringVar(&memory, "memory", "10000,100000,1000000", "fleet sizes for the memory figures, the smallest first")
	flags.StringVar(&o.json, "json", "", "file for the figures as JSON")
	flags.StringVar(&o.profile, "cpuprofile", "", "file for a CPU profile of this process: the engine and the baselines")
	flags.BoolVar(&o.verbose, "v", false, "tell each repetition")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("what is %q? There are only flags; see -help", flags.Arg(0))
	}
	switch db {
	case "both":
		o.db = []string{"sqlite", "postgres"}
	case "sqlite", "postgres":
		o.db = []string{db}
	default:
		return o, fmt.Errorf("-db %s: use sqlite, postgres or both", db)
	}
	for _, id := range split(only) {
		if !slices.Contains(caseIDs(), id) {
			return o, fmt.Errorf("-only %s: there are %s", id, strings.Join(caseIDs(), ", "))
		}
		o.only = append(o.only, id)
	}
	for _, text := range split(memory) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-memory %s: use numbers of devices", text)
		}
		o.memory = append(o.memory, n)
	}
	if o.devices < 100 || o.repeat < 1 {
		return o, errors.New("at least 100 devices (1 % of them are edited) and one repetition are needed")
	}
	return o, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
