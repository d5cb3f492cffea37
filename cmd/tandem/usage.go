package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// misused reports a command line that cannot be understood; with --json among it, as JSON too.
func (m *Main) misused(args []string, err error) int {
	a := newApp(m, &Globals{JSON: m.wantsJSON(args)})
	message, command := strings.Replace(err.Error(), `must be one of "",`, "must be one of ", 1), ""
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		var node *kong.Node
		for _, step := range parse.Context.Path {
			if step.Command != nil {
				node = step.Command
			}
		}
		commands := children(parse.Context.Model.Node)
		if node != nil {
			commands, command = children(node), node.Path()+" "
		}
		if word, ok := strings.CutPrefix(message, "unexpected argument "); ok && len(commands) > 0 {
			word, _, _ = strings.Cut(word, ",")
			message = fmt.Sprintf("there is no command %s%s; there are: %s", strings.TrimPrefix(command, "tandem "), word, strings.Join(commands, ", "))
		}
	}
	command = strings.TrimPrefix(command, "tandem ")
	a.out.fail("usage", message, "run `tandem "+command+"--help` for its usage")
	return exitUsage
}

// children names a command's subcommands.
func children(node *kong.Node) []string {
	var names []string
	for _, child := range node.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

// wantsJSON reports whether a command line that cannot be parsed asks for JSON.
func (m *Main) wantsJSON(args []string) bool {
	value, _ := m.LookupEnv("TANDEM_JSON")
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if rest, ok := strings.CutPrefix(arg, "--json="); ok {
			value = rest
		} else if arg == "--json" {
			value = "true"
		}
	}
	return slices.Contains([]string{"1", "true", "yes"}, strings.ToLower(value))
}

// narrowing are the flags that say what a command is about: an empty one must not make it about everything.
var narrowing = []string{"org", "service", "devices", "device", "plan", "field", "type", "api-key-file", "database-url", "key-file", "server", "token-file", "token"}

// blank refuses an argument or a narrowing flag that is there and says nothing, as `--devices "$UNSET"` is.
func blank(parsed *kong.Context) error {
	empty := func(v *kong.Value) bool {
		at := reflect.Indirect(v.Target)
		switch at.Kind() {
		case reflect.String:
			return at.Len() == 0
		case reflect.Slice:
			for i := range at.Len() {
				if e := at.Index(i); e.Kind() == reflect.String && strings.TrimSpace(e.String()) == "" {
					return true
				}
			}
			return at.Len() == 0
		}
		return false
	}
	const hint = "leave it out where it may be left out; a variable of the shell may be unset"
	for _, step := range parsed.Path {
		switch {
		case step.Positional != nil && !step.Resolved && empty(step.Positional):
			return &usageError{"the argument <" + step.Positional.Name + "> is empty", hint}
		case step.Flag != nil && slices.Contains(narrowing, step.Flag.Name) && (!step.Resolved || step.Flag.Name == "devices") && empty(step.Flag.Value):
			return &usageError{"--" + step.Flag.Name + " is empty", hint}
		}
	}
	return nil
}
