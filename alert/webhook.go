package alert

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tandem"
)

// event is the body of an outbound webhook. Its type is "alert." and the reason, or "alerts.summary".
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      eventData `json:"data"`
}

// eventData has Alert and URL for one alert, and Count, By and Newest for a summary.
type eventData struct {
	OrganizationID string        `json:"organization_id"`
	Organization   string        `json:"organization"`
	Service        string        `json:"service,omitempty"`
	Alert          *tandem.Alert `json:"alert,omitempty"`
	URL            string        `json:"url,omitempty"`
	Count          int           `json:"count,omitempty"`
	By             []tally       `json:"by,omitempty"`
	Newest         []summarized  `json:"newest,omitempty"`
}

// summarized is one alert of a summary.
type summarized struct {
	Reason  string       `json:"reason"`
	Service string       `json:"service,omitempty"`
	Alert   tandem.Alert `json:"alert"`
	URL     string       `json:"url,omitempty"`
}

// sendWebhook posts a message signed as Standard Webhooks has it.
func (n *Notifier) sendWebhook(ctx context.Context, config WebhookConfig, secret string, m *message) error {
	if err := n.policy.Check(config.URL); err != nil {
		return err
	}
	if err := checkSigningSecret(secret); err != nil {
		return err
	}
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return invalid("the signing secret cannot be read")
	}
	body, err := json.Marshal(eventOf(m))
	if err != nil {
		return err
	}
	signature, err := signer.Sign(m.id, m.at, body)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	header.Set(standardwebhooks.HeaderWebhookID, m.id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(m.at.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return n.post(ctx, config.URL, header, body, false)
}

// eventOf spells a message for programs.
func eventOf(m *message) event {
	e := event{Timestamp: m.at.UTC(), Data: eventData{OrganizationID: m.organization.ID, Organization: m.organization.Name}}
	if m.one() {
		i := &m.items[0]
		e.Type = "alert." + i.notification.Reason
		e.Data.Service, e.Data.Alert, e.Data.URL = i.service, &i.alert, m.link(i)
		return e
	}
	e.Type = "alerts.summary"
	e.Data.Count, e.Data.By = len(m.items), m.tallies()
	for _, i := range m.items[:min(newest, len(m.items))] {
		e.Data.Newest = append(e.Data.Newest, summarized{Reason: i.notification.Reason, Service: i.service, Alert: i.alert, URL: m.link(&i)})
	}
	return e
}
