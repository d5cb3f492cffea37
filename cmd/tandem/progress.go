package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"tandem"
	"tandem/syncer"
)

// lineEvery is how often a run that nobody watches live writes a line.
const lineEvery = 5 * time.Second

// progress shows where a run stands: a bar on a terminal, plain lines where there is none, nothing with --json.
type progress struct {
	out   *output
	bar   *progressbar.ProgressBar
	phase string
	total int
	began time.Time // of the phase
	told  time.Time
	runID string
}

func (o *output) newProgress() *progress { return &progress{out: o, told: o.clock()} }

// report is the tandem.Report.
func (p *progress) report(now tandem.Progress) {
	p.runID = now.RunID
	switch {
	case p.out.json:
	case p.out.live:
		p.draw(now)
	default:
		p.line(now)
	}
}

// draw moves the bar; each phase has its own.
func (p *progress) draw(now tandem.Progress) {
	total := now.Total
	if total == 0 {
		total = -1
	}
	if p.bar == nil || now.Phase != p.phase || (p.total < 0) != (total < 0) {
		p.end()
		p.phase, p.total, p.began = now.Phase, total, p.out.clock()
		// The spinner turns with each report (interval 0): no goroutine draws behind our back.
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.out.err), progressbar.OptionSetDescription(p.describe(now)),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionSetWidth(24), progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true))
	}
	if total != p.total {
		p.bar.ChangeMax(total)
		p.total = total
	}
	p.bar.Describe(p.describe(now))
	_ = p.bar.Set(now.Done) // a terminal that went away is nobody to tell
}

// describe names the phase, with its rate once there is one.
func (p *progress) describe(now tandem.Progress) string {
	text := fmt.Sprintf("%-14s", now.Phase)
	if strings.HasPrefix(now.Phase, waiting) {
		text += " " + untilDead
	}
	if rate := p.rate(now); rate >= 1 {
		text += fmt.Sprintf(" %s a second", number(int(rate)))
	}
	return text
}

// rate is how many devices a second the phase does; 0 in its first second.
func (p *progress) rate(now tandem.Progress) float64 {
	if seconds := p.out.clock().Sub(p.began).Seconds(); seconds >= 1 {
		return float64(now.Done) / seconds
	}
	return 0
}

// waiting is how the phase of a run that waits for another one begins.
const waiting = "waiting"

// untilDead says how long a dead process can make a run wait.
var untilDead = "(at most " + duration(syncer.DefaultLeaseTTL) + " if its process died)"

// line writes a line every few seconds.
func (p *progress) line(now tandem.Progress) {
	at := p.out.clock()
	if now.Phase != p.phase {
		p.phase, p.began = now.Phase, at
		if strings.HasPrefix(now.Phase, waiting) { // once, and at once: this is why nothing happens
			p.out.note("%s %s\n", now.Phase, untilDead)
		}
	}
	if strings.HasPrefix(now.Phase, waiting) {
		return
	}
	if at.Sub(p.told) < lineEvery {
		return
	}
	p.told = at
	text := fmt.Sprintf("%s: %s", now.Phase, number(now.Done))
	if now.Total > 0 {
		text += " of " + number(now.Total)
	}
	if rate := p.rate(now); rate >= 1 {
		text += fmt.Sprintf(", %s a second", number(int(rate)))
		if left := now.Total - now.Done; left > 0 {
			text += ", " + duration(time.Duration(float64(left)/rate*float64(time.Second))) + " left"
		}
	}
	p.out.note("%s\n", text)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
		p.bar = nil
	}
}
