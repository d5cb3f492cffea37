package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

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

// report is the syncer.Report.
func (p *progress) report(now syncer.Progress) {
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
func (p *progress) draw(now syncer.Progress) {
	total := now.Total
	if total == 0 {
		total = -1
	}
	if p.bar == nil || now.Phase != p.phase || (p.total < 0) != (total < 0) {
		p.end()
		p.phase, p.total = now.Phase, total
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.out.err), progressbar.OptionSetDescription(fmt.Sprintf("%-14s", now.Phase)),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("devices"), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(24), progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true))
	}
	if total != p.total {
		p.bar.ChangeMax(total)
		p.total = total
	}
	_ = p.bar.Set(now.Done) // a terminal that went away is nobody to tell
}

// line writes a line every few seconds.
func (p *progress) line(now syncer.Progress) {
	at := p.out.clock()
	if now.Phase != p.phase {
		p.phase, p.began = now.Phase, at
	}
	if at.Sub(p.told) < lineEvery {
		return
	}
	p.told = at
	text := fmt.Sprintf("%s: %s", now.Phase, number(now.Done))
	if now.Total > 0 {
		text += " of " + number(now.Total)
	}
	if seconds := at.Sub(p.began).Seconds(); seconds >= 1 {
		rate := float64(now.Done) / seconds
		text += fmt.Sprintf(", %s a second", number(int(rate)))
		if left := now.Total - now.Done; left > 0 && rate > 0 {
			text += ", " + duration(time.Duration(float64(left)/rate*float64(time.Second))) + " left"
		}
	}
	p.out.note("%s\n", text)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
