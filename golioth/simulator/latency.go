package simulator

import (
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"tandem"
)

// Latency is how long the server waits before it answers. The zero value does not wait.
type Latency struct {
	Mean   time.Duration // the fixed wait, or the mean of a normal distribution
	Spread time.Duration // the standard deviation; 0 for a fixed wait
	P50    time.Duration // with P99: a Pareto distribution that has these percentiles
	P99    time.Duration
}

// latencyCap bounds one wait: a Pareto tail would otherwise once in a while take minutes.
const latencyCap = 30 * time.Second

// ParseLatency reads "50ms" (fixed), "80ms±20ms" or "80ms+-20ms" (normal),
// or "p50=40ms,p99=400ms" (Pareto). Invalid for anything else.
func ParseLatency(text string) (Latency, error) {
	bad := func() (Latency, error) {
		return Latency{}, tandem.Errorf(tandem.Invalid, "simulator: read a latency", text, "this is not a latency").
			WithHint("write 50ms, 80ms±20ms or p50=40ms,p99=400ms")
	}
	positive := func(s string) (time.Duration, bool) {
		d, err := time.ParseDuration(strings.TrimSpace(s))
		return d, err == nil && d >= 0
	}
	if rest, ok := strings.CutPrefix(text, "p50="); ok {
		low, high, found := strings.Cut(rest, ",")
		high, isHigh := strings.CutPrefix(strings.TrimSpace(high), "p99=")
		p50, ok50 := positive(low)
		p99, ok99 := positive(high)
		if !found || !isHigh || !ok50 || !ok99 || p50 == 0 || p99 < p50 {
			return bad()
		}
		return Latency{P50: p50, P99: p99}, nil
	}
	mean, spread, normal := strings.Cut(strings.Replace(text, "+-", "±", 1), "±")
	m, ok := positive(mean)
	if !ok {
		return bad()
	}
	if !normal {
		return Latency{Mean: m}, nil
	}
	s, ok := positive(spread)
	if !ok {
		return bad()
	}
	return Latency{Mean: m, Spread: s}, nil
}

// String gives the text that ParseLatency reads.
func (l Latency) String() string {
	switch {
	case l.P50 > 0:
		return "p50=" + l.P50.String() + ",p99=" + l.P99.String()
	case l.Spread > 0:
		return l.Mean.String() + "±" + l.Spread.String()
	}
	return l.Mean.String()
}

// draw takes one wait from the distribution.
func (l Latency) draw(random *rand.Rand) time.Duration {
	wait := float64(l.Mean)
	switch {
	case l.P50 > 0:
		// Pareto: quantile(q) = scale·(1-q)^(-1/shape), solved for the two percentiles.
		if l.P99 == l.P50 {
			return l.P50
		}
		shape := math.Log(50) / math.Log(float64(l.P99)/float64(l.P50))
		scale := float64(l.P50) * math.Pow(2, -1/shape)
		wait = scale * math.Pow(1-random.Float64(), -1/shape)
	case l.Spread > 0:
		wait += random.NormFloat64() * float64(l.Spread)
	}
	return time.Duration(min(max(wait, 0), float64(latencyCap)))
}
