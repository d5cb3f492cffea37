package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"tandem/webhook"
)

// secret gives the service the deliveries' secret, as an operator does.
func (h *hook) secret(ctx context.Context) error {
	file := filepath.Join(h.dir, "secret")
	if err := os.WriteFile(file, []byte(benchSecret), 0o600); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, h.program, "service", "update", h.service, "--webhook-scheme", "header", "--webhook-secret-file", file)
	command.Env = append(os.Environ(), "TANDEM_DATABASE_URL="+h.database, "TANDEM_KEY_FILE="+filepath.Join(h.dir, "tandem.key"))
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("tandem service update: %w: %s", err, text)
	}
	return nil
}

// endServer reads what the server counted, and stops it.
func (h *hook) endServer() (said received, err error) {
	said, err = counted(h.server.url)
	err = errors.Join(err, h.server.stop())
	if state := h.server.command.ProcessState; state != nil {
		h.used = state.UserTime() + state.SystemTime()
	}
	h.server = nil
	return said, err
}

// counted reads a server's metrics of deliveries.
func counted(url string) (said received, err error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return said, err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return said, err
	}
	defer func() { err = errors.Join(err, reply.Body.Close()) }()
	said.Counts = map[webhook.Outcome]int64{}
	stages := map[string][]bucket{}
	lines := bufio.NewScanner(reply.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(name, "tandem_webhook_deliveries_total{"):
			said.Counts[webhook.Outcome(label(name, "outcome"))] += int64(n)
		case strings.HasPrefix(name, "tandem_webhook_duration_seconds_bucket{"):
			if up, err := strconv.ParseFloat(label(name, "le"), 64); err == nil {
				stages[label(name, "stage")] = append(stages[label(name, "stage")], bucket{up, n})
			}
		}
	}
	said.Stored, said.Processed = within(stages[string(webhook.ToStored)]), within(stages[string(webhook.ToProcessed)])
	return said, lines.Err()
}

// label gives the value of a label of a metric.
func label(name, of string) string {
	_, value, _ := strings.Cut(name, of+`="`)
	value, _, _ = strings.Cut(value, `"`)
	return value
}

// bucket says how many took at most so many seconds.
type bucket struct{ seconds, n float64 }

// within gives the ends of the buckets, in their order, that the percentiles are in.
func within(buckets []bucket) (s spread) {
	if len(buckets) == 0 {
		return s
	}
	all := buckets[len(buckets)-1].n
	at := func(share float64) float64 {
		for _, b := range buckets {
			if b.n >= share*all {
				return b.seconds
			}
		}
		return 0
	}
	return spread{int(all), at(.5), at(.99), at(1)}
}
