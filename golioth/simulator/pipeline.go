package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// definition is a pipeline's YAML (API.md §13).
type definition struct {
	Version string `yaml:"version"`
	Filter  struct {
		Path        string `yaml:"path"`
		ContentType string `yaml:"content_type"`
	} `yaml:"filter"`
	Steps []step `yaml:"steps"`
}

// step changes a message, sends it, or does both.
type step struct {
	Name        string  `yaml:"name"`
	Transformer *plugin `yaml:"transformer"`
	Destination *plugin `yaml:"destination"`
}

// plugin is a transformer or a destination. Its parameters are whatever it takes.
type plugin struct {
	Type       string         `yaml:"type"`
	Version    string         `yaml:"version"`
	Parameters map[string]any `yaml:"parameters"`
}

// What the service offers. The transformers that transform.go does not name leave a message as it is, and
// the destinations that message.go does not name swallow it.
var (
	transformers = []string{"base64", "cbor-to-json", "change-content-type", "data-url", "embed-in-json", "extract-timestamp", "inject-metadata",
		"inject-path", "json-patch", "location", "struct-to-json", "webhook"}
	destinations = []string{"aws-s3", "aws-sqs", "azure-blob-storage", "azure-event-hub", "batch", "gcp-cloud-storage", "gcp-pubsub", "influxdb", "kafka",
		"kinesis", "lightdb-state", "lightdb-stream", "location", "logs", "memfault", "mongodb-time-series", "s3", "sqs", "webhook"}
)

const maxPipeline = 256 << 10 // bytes of YAML

// parsePipeline reads YAML. Strictly, whatever is not understood is refused; else only what is not a pipeline at all.
func parsePipeline(text []byte, strict bool) (*definition, error) {
	if len(text) > maxPipeline {
		return nil, fmt.Errorf("the pipeline is larger than %d bytes", maxPipeline)
	}
	d := &definition{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(strict)
	if err := decoder.Decode(d); errors.Is(err, io.EOF) {
		return nil, errors.New("the pipeline is empty")
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("the pipeline is more than one document")
	}
	if strict {
		return d, d.check()
	}
	return d, nil
}

// check refuses what could not work.
func (d *definition) check() error {
	if err := checkVersion(d.Version); err != nil {
		return err
	}
	path := d.Filter.Path
	if path != "" && path[0] != '/' {
		return fmt.Errorf("filter: path %q does not begin with /", path)
	}
	if i := strings.IndexByte(path, '*'); i >= 0 && i < len(path)-1 {
		return fmt.Errorf("filter: path %q has a * that is not its last character", path)
	}
	if len(d.Steps) == 0 {
		return errors.New("the pipeline has no steps")
	}
	for i, s := range d.Steps {
		if s.Transformer == nil && s.Destination == nil {
			return fmt.Errorf("step %d has neither a transformer nor a destination", i)
		}
		if err := s.Transformer.check("transformer", transformers); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := s.Destination.check("destination", destinations); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if s.Destination != nil && s.Destination.Type == "webhook" {
			if err := s.Destination.checkWebhook(); err != nil {
				return fmt.Errorf("step %d: webhook: %w", i, err)
			}
		}
	}
	return nil
}

var versions = regexp.MustCompile(`^(v1(\.0){0,2})?$`)

func checkVersion(version string) error {
	if !versions.MatchString(version) {
		return fmt.Errorf("there is no version %q", version)
	}
	return nil
}

func (p *plugin) check(role string, known []string) error {
	if p == nil {
		return nil
	}
	if !slices.Contains(known, p.Type) {
		return fmt.Errorf("there is no %s %q", role, p.Type)
	}
	return checkVersion(p.Version)
}

func (p *plugin) checkWebhook() error {
	address, ok := p.Parameters["url"].(string)
	if !ok || address == "" {
		return errors.New("url is required")
	}
	if reference(address) == "" && !webAddress(address) {
		return errors.New("url is not an http or https address")
	}
	_, err := p.headers()
	return err
}

func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// headers gives the header parameters as texts, references unresolved.
func (p *plugin) headers() (map[string]string, error) {
	switch given := p.Parameters["headers"].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		headers := make(map[string]string, len(given))
		for name, value := range given {
			switch value.(type) {
			case string, int, float64, bool:
				headers[name] = fmt.Sprint(value)
			default:
				return nil, fmt.Errorf("header %q is not a text", name)
			}
		}
		return headers, nil
	}
	return nil, errors.New("headers is not a map")
}

// reference gives the name of the secret that a whole parameter value stands for, "" for any other value.
func reference(value string) string {
	if name, ok := strings.CutPrefix(value, "$"); ok && secretName(name) {
		return name
	}
	return ""
}

// references lists the secrets that the definition needs.
func (d *definition) references() (names []string) {
	var walk func(any)
	walk = func(value any) {
		switch v := value.(type) {
		case string:
			if name := reference(v); name != "" {
				names = append(names, name)
			}
		case map[string]any:
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	for _, s := range d.Steps {
		for _, p := range []*plugin{s.Transformer, s.Destination} {
			if p != nil {
				walk(p.Parameters)
			}
		}
	}
	return names
}

// takes reports whether the filter lets a message through. A trailing slash does not count, and a final * is
// any ending, so that /temp/* is not /temp.
func (d *definition) takes(path, contentType string) bool {
	if d.Filter.ContentType != "" && d.Filter.ContentType != contentType {
		return false
	}
	want := d.Filter.Path
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return want == "" || strings.TrimRight(want, "/") == strings.TrimRight(path, "/")
}
