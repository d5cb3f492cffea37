package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tandem"
	"tandem/outbound"
)

// callTimeout bounds one call of a webhook, maxReply what is read of its answer.
const (
	callTimeout = 15 * time.Second
	maxReply    = 4 << 10
)

// slackText escapes what Slack would read as a mention, a link or an entity.
var slackText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// sendSlack posts a message to an incoming webhook.
func (n *Notifier) sendSlack(ctx context.Context, address string, m *message) error {
	if err := checkSlackURL(address, n.policy); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"text": slackBody(m)})
	if err != nil {
		return err
	}
	return n.post(ctx, address, http.Header{"Content-Type": {"application/json"}}, body, true)
}

// slackBody spells a message in Slack's own markup.
func slackBody(m *message) string {
	var lines []string
	if !m.one() {
		lines = append(lines, "*"+slackText.Replace(m.subject())+"*")
		for _, t := range m.tallies() {
			lines = append(lines, "• "+slackText.Replace(t.text()))
		}
	}
	for at, i := range m.items {
		if at == newest {
			break
		}
		line := slackText.Replace(clean(headline(&i), 300))
		if link := m.link(&i); link != "" {
			line += " <" + slackText.Replace(link) + "|open>"
		}
		if m.one() && i.alert.Hint != "" && i.notification.Reason != Resolved {
			line += "\n" + slackText.Replace(clean(i.alert.Hint, maxMessage))
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// post sends one request. A reply that redirects is a failure: neither signature nor address is sent on. quote says
// that the reply's text may be shown.
func (n *Notifier) post(ctx context.Context, address string, header http.Header, body []byte, quote bool) error {
	const op = "alert: call webhook"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return tandem.Errorf(tandem.Invalid, op, "", "the address cannot be called")
	}
	request.Header = header
	request.Header.Set("User-Agent", "tandem")
	reply, err := n.client.Do(request)
	if err != nil {
		cause := outbound.Cause(err)
		if tandem.Is(cause, tandem.Invalid) {
			return cause
		}
		return tandem.Errorf(tandem.Unavailable, op, request.URL.Hostname(), "no answer: %w", cause)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxReply))
	if reply.StatusCode/100 == 2 {
		return nil
	}
	e := tandem.Errorf(tandem.Unavailable, op, request.URL.Hostname(), "it answered %d %s", reply.StatusCode, http.StatusText(reply.StatusCode))
	if said := clean(string(text), 100); err == nil && quote && said != "" {
		e.Message += ": " + said
	}
	if reply.StatusCode/100 == 3 {
		return e.WithHint("use the address that it leads to")
	}
	if after, err := time.ParseDuration(fmt.Sprint(reply.Header.Get("Retry-After"), "s")); err == nil && after > 0 {
		e.RetryAfter = after
	}
	return e
}
