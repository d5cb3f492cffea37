package golioth

import (
	"bytes"
	"encoding/json"
	"strings"
)

// WebhookPipeline gives the YAML of a pipeline that posts messages, as the devices sent them, to a URL with the
// secret of the given name in a header. Without paths it takes every message. A pipeline has one filter: of several
// paths it takes all that begin as they do together, so that more may come than was asked for. A path may end in *.
func WebhookPipeline(url, headerName, secretName string, paths ...string) string {
	var b strings.Builder
	if filter := pathFilter(paths); filter != "" {
		b.WriteString("filter:\n  path: " + quoted(filter) + "\n")
	}
	b.WriteString("steps:\n" +
		"  - name: deliver\n" +
		"    destination:\n" +
		"      type: webhook\n" +
		"      version: v1\n" +
		"      parameters:\n" +
		"        url: " + quoted(url) + "\n" +
		"        headers:\n" +
		"          " + quoted(headerName) + ": " + quoted("$"+secretName) + "\n")
	return b.String()
}

// quoted writes a text so that YAML reads it back: a JSON string is one of YAML's too.
func quoted(text string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return `""` // a string always can be written
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// pathFilter gives the narrowest filter that takes all the paths, "" for everything.
func pathFilter(paths []string) string {
	filter := ""
	for i, path := range paths {
		path = "/" + strings.TrimLeft(path, "/")
		switch {
		case path == "/" || path == "/*":
			return ""
		case i == 0 || path == filter:
			filter = path
			continue
		}
		a, b := strings.TrimSuffix(filter, "*"), strings.TrimSuffix(path, "*")
		n := 0
		for n < len(a) && n < len(b) && a[n] == b[n] {
			n++
		}
		filter = strings.ToValidUTF8(a[:n], "") + "*"
	}
	if filter == "/*" {
		return ""
	}
	return filter
}
