package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// Listed is a flag of several values, separated by commas or given again and again; Values is nil where it was not
// given. An empty value stands for none at all.
type Listed struct{ Values *[]string }

// Decode takes one occurrence of the flag.
func (l *Listed) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("list", &text); err != nil {
		return err
	}
	if l.Values == nil {
		l.Values = &[]string{}
	}
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l.Values = append(*l.Values, part)
		}
	}
	return nil
}
