package api

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"tandem"
)

// versionTag writes a version as an ETag. It stands for what people edit: a device's observations do not move it.
func versionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Edit is what a request that changes something brings besides its body.
type Edit struct {
	IfMatch string `header:"If-Match" doc:"The ETag of what was read, or * to change whatever is there. Without it the reply is 428: no edit is lost unseen."`
}

// anyVersion stands for If-Match: *.
const anyVersion int64 = 0

// maxIfMatch bounds the header.
const maxIfMatch = 1000

// version reads If-Match: the one version that was read, or anyVersion for *. An ETag may come back weak, as some proxies
// make it; a list of several is refused, since nobody has read several versions.
func (e Edit) version(ctx context.Context) (int64, error) {
	text := strings.TrimSpace(e.IfMatch)
	switch {
	case text == "":
		return 0, newProblem(ctx, needsVersion, "the request changes something and does not say which version of it was read",
			"send the header If-Match with the ETag of what you read, or * to change whatever is there")
	case text == "*":
		return anyVersion, nil
	case len(text) > maxIfMatch:
		return 0, badVersion(ctx)
	}
	digits, ok := strings.CutPrefix(strings.TrimPrefix(text, "W/"), `"`)
	if digits, ok = cutSuffix(digits, `"`, ok); !ok || digits == "" || digits[0] == '+' || digits[0] == '0' {
		return 0, badVersion(ctx)
	}
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || version < 1 {
		return 0, badVersion(ctx)
	}
	return version, nil
}

// named gives the version of a removal or a switch, none for any.
func named(version int64) []int64 {
	if version == anyVersion {
		return nil
	}
	return []int64{version}
}

func cutSuffix(s, suffix string, ok bool) (string, bool) {
	if !ok {
		return s, false
	}
	return strings.CutSuffix(s, suffix)
}

func badVersion(ctx context.Context) *Problem {
	return newProblem(ctx, tandem.Invalid, "If-Match is not an ETag of this server", `send one ETag as it was replied, such as "7", or *`)
}

// stale makes the problem for an edit of an old version: it holds the thing as it is now, and its ETag.
// Without the thing the problem says only that it moved.
func stale(ctx context.Context, err error, current any, version int64, readErr error) error {
	if !tandem.Is(err, tandem.Stale) {
		return err
	}
	p := problemOf(ctx, err)
	if readErr != nil {
		return p
	}
	text, marshalErr := json.Marshal(current)
	if marshalErr != nil {
		return p
	}
	p.Current = text
	p.header.Set("ETag", versionTag(version))
	return p
}
