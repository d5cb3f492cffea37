package golioth

import (
	"context"
	"net/http"
	"time"

	"tandem"
)

// RPCReply is a device's answer to a remote procedure call. A status other than 0 is the device's own
// refusal, in gRPC's numbers, though the HTTP status was 200.
type RPCReply struct {
	StatusCode int
	Detail     any
}

// rpcMargin is how much longer than the device the service gets to answer.
const rpcMargin = 5 * time.Second

// Call runs a procedure on a device, once, and waits up to timeout (whole seconds; 0 means 10 s) for it.
// A device that is offline or does not answer is a Timeout.
func (c *Client) Call(ctx context.Context, device, method string, params []any, timeout time.Duration) (RPCReply, error) {
	const op = "golioth: call device"
	if err := checkID(op, device); err != nil {
		return RPCReply{}, err
	}
	seconds := int(positive(timeout, 10*time.Second).Seconds())
	if params == nil {
		params = []any{}
	}
	body, err := encode(op, device, map[string]any{"method": method, "params": params, "timeout": max(seconds, 1)})
	if err != nil {
		return RPCReply{}, err
	}
	k := &call{op: op, thing: device, method: http.MethodPost, path: c.under("devices", device, "rpc"), body: body, write: true,
		timeout: time.Duration(max(seconds, 1))*time.Second + rpcMargin}
	var wire struct {
		StatusCode *count `json:"statusCode"`
		Detail     any    `json:"detail"`
	}
	if _, err := c.do(ctx, k, &wire); err != nil {
		return RPCReply{}, err
	}
	if wire.StatusCode == nil {
		return RPCReply{}, tandem.Errorf(tandem.Malformed, op, device, "the reply has no status")
	}
	return RPCReply{StatusCode: int(*wire.StatusCode), Detail: wire.Detail}, nil
}
