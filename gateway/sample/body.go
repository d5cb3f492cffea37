package sample

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
)

// body is what a device measures: a battery that drains and is charged, and the air of a room.
type body struct {
	rand     *rand.Rand
	n        int
	battery  float64 // percent
	charging bool
	lat, lon float64
	blinks   int
}

func newBody(seed uint64) *body {
	r := rand.New(rand.NewPCG(seed, 0x7461_6e64_656d))
	return &body{rand: r, battery: 40 + 55*r.Float64(), lat: 52.3 + r.Float64()/2, lon: 13.1 + r.Float64()/2}
}

// next is the next report.
func (b *body) next() []byte {
	b.n++
	if b.charging {
		b.battery += 2 + b.rand.Float64()
	} else {
		b.battery -= 0.2 + b.rand.Float64()/2
	}
	b.battery = min(max(b.battery, 5), 100)
	b.charging = b.charging && b.battery < 99 || b.battery < 15
	text, err := json.Marshal(map[string]any{
		"battery":     math.Round(b.battery),
		"temperature": math.Round(10*(21+3*math.Sin(float64(b.n)/20)+b.rand.Float64())) / 10,
		"humidity":    math.Round(45 + 8*math.Cos(float64(b.n)/30) + 2*b.rand.Float64()),
		"location":    map[string]any{"lat": math.Round(b.lat*1e5) / 1e5, "lon": math.Round(b.lon*1e5) / 1e5},
		"firmware":    "1.4.2",
		"charging":    b.charging,
	})
	if err != nil { // numbers and texts only
		return []byte("{}")
	}
	return text
}

// do does what a command says, and gives the answer.
func (b *body) do(c command) []byte {
	answer := map[string]any{"status": "ok"}
	switch c.Name {
	case "blink":
		var times struct {
			Times int `json:"times"`
		}
		if err := json.Unmarshal(c.Payload, &times); err != nil || times.Times < 1 || times.Times > 1000 {
			times.Times = 1
		}
		b.blinks += times.Times
		answer["reply"] = map[string]any{"blinked": times.Times}
	case "charge":
		b.charging = true
		answer["reply"] = map[string]any{"battery": math.Round(b.battery)}
	default:
		answer = map[string]any{"status": "failed", "error": fmt.Sprintf("this device knows blink and charge, and not %q", c.Name)}
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil
	}
	return text
}
