package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// The bounds of remote procedure calls.
const (
	silentAfter = 3 * time.Hour // without a report, a device does not answer any more
	usualCall   = 10 * time.Second
	longestCall = 30 * time.Second
)

// callDevice runs a procedure on a device. What the device itself refuses is 200 with a status other than 0; one that is
// away holds the call up until its time is over.
func callDevice(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	method, err := f.text("method")
	if err != nil {
		return reply{}, err
	}
	var params []any
	if err := f.read("params", "list", &params); err != nil {
		return reply{}, err
	}
	var seconds int
	if err := f.read("timeout", "number", &seconds); err != nil {
		return reply{}, err
	}
	away, err := c.deviceAway()
	if err != nil {
		return reply{}, err
	}
	if away {
		return reply{}, c.unanswered(seconds)
	}
	status, detail := deviceAnswer(method, params)
	return jsonReply(map[string]any{"statusCode": status, "detail": detail})
}

// deviceAway reports whether the device of the path has been silent for too long to answer.
func (c *call) deviceAway() (bool, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	d, err := c.lookup(c.vars["device"])
	if err != nil {
		return false, err
	}
	return c.now.Sub(time.Unix(0, d.lastReport)) > silentAfter, nil
}

// unanswered waits as long as a call may take.
func (c *call) unanswered(seconds int) error {
	timer := time.NewTimer(min(max(time.Duration(seconds)*time.Second, 0), longestCall))
	if seconds <= 0 {
		timer.Reset(usualCall)
	}
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.request.Context().Done():
	}
	return fail(http.StatusGatewayTimeout, codeDeadline, "context deadline exceeded")
}

// deviceAnswer is what the firmware of the generated devices knows; it has what the SDK's remote control has, and blink.
func deviceAnswer(method string, params []any) (status int, detail any) {
	switch {
	case method == "reboot" && len(params) == 0:
		return 0, map[string]any{}
	case method == "set_log_level" && len(params) == 1:
		level, ok := params[0].(float64)
		if !ok || level < 0 || level > 4 {
			return codeInvalid, nil
		}
		return 0, map[string]any{"log_modules": 32}
	case method == "get_network_info" && len(params) == 0:
		return 0, map[string]any{"RSSI": "-71", "technology": "LTE-M"}
	case method == "blink":
		return 0, map[string]any{"blinked": params}
	case strings.HasPrefix(method, "set_") || method == "reboot" || method == "get_network_info":
		return codeInvalid, nil
	}
	return codeNotFound, json.RawMessage("null")
}
