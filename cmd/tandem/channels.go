package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/alert"
	"tandem/registry"
)

// ChannelsCmd is `tandem channels`.
type ChannelsCmd struct {
	Create ChannelsCreateCmd `cmd:"" help:"Add a way to be told of alerts: Slack, e-mail or a signed webhook."`
	List   ChannelsListCmd   `cmd:"" help:"List the channels."`
	Show   ChannelsShowCmd   `cmd:"" help:"Show one."`
	Update ChannelsUpdateCmd `cmd:"" help:"Change one, or switch it off."`
	Test   ChannelsTestCmd   `cmd:"" help:"Send a message through one now."`
	Delete ChannelsDeleteCmd `cmd:"" help:"Delete one."`
}

// ChannelSettings are a channel's settings as flags; what is not given stays as it is.
type ChannelSettings struct {
	URL            *string        `name:"url" placeholder:"URL" help:"Of a webhook: where to post. Of Slack the address is a secret: --secret-file."`
	Host           *string        `help:"Of e-mail: the mail server."`
	Port           *int           `help:"Of e-mail: its port (587; with tls 465, with none 25)."`
	Security       *string        `enum:"starttls,tls,none" help:"Of e-mail: starttls, tls or none (starttls)."`
	Username       *string        `help:"Of e-mail: whom to sign in as; the password goes into --secret-file."`
	From           *string        `placeholder:"ADDRESS" help:"Of e-mail: the sender."`
	To             Listed         `placeholder:"ADDRESS,…" help:"Of e-mail: all recipients."`
	SecretFile     string         `placeholder:"FILE" help:"The file with the secret: Slack's address, the mail server's password or what signs webhooks; - reads standard input."`
	Kinds          Listed         `placeholder:"KIND,…" help:"Only these alerts: conflicts, run_failed, run_blocked, service_degraded, key_rejected, dead_letters; empty for all."`
	MinSeverity    *string        `enum:"warning,critical" help:"Only from this severity on: warning or critical."`
	EscalationOnly *bool          `negatable:"" help:"Only alerts that nobody acknowledged in time."`
	Throttle       *time.Duration `help:"At most one message in this time; what comes meanwhile is summarized (0s)."`
}

// config puts the given flags into a channel's configuration.
func (f *ChannelSettings) config(kind tandem.ChannelType, before json.RawMessage) (json.RawMessage, error) {
	mail := f.Host != nil || f.Port != nil || f.Security != nil || f.Username != nil || f.From != nil || f.To.Values != nil
	switch kind {
	case tandem.SlackChannel:
		if mail || f.URL != nil {
			return nil, &usageError{"Slack's channels have no such settings", "the incoming webhook's address is a secret: give it with --secret-file FILE"}
		}
		return before, nil
	case tandem.WebhookChannel:
		if mail {
			return nil, &usageError{"--host, --port, --security, --username, --from and --to are for e-mail", ""}
		}
		var c alert.WebhookConfig
		return merged(before, &c, func() { put(&c.URL, f.URL) })
	case tandem.EmailChannel:
		if f.URL != nil {
			return nil, &usageError{"--url is for webhooks", "a mail server is named with --host"}
		}
		var c alert.EmailConfig
		return merged(before, &c, func() {
			put(&c.Host, f.Host)
			put(&c.Port, f.Port)
			put((*string)(&c.Security), f.Security)
			put(&c.Username, f.Username)
			put(&c.From, f.From)
			put(&c.To, f.To.Values)
		})
	}
	return before, nil
}

// merged reads a configuration, has it changed and writes it.
func merged(before json.RawMessage, into any, change func()) (json.RawMessage, error) {
	if len(before) > 0 {
		if err := json.Unmarshal(before, into); err != nil {
			return nil, tandem.Errorf(tandem.Corrupt, "read channel", "", "its configuration cannot be read: %w", err)
		}
	}
	change()
	return rawJSON(into), nil
}

// rawJSON writes one of our own types.
func rawJSON(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil { // texts and numbers only
		return json.RawMessage("null")
	}
	return text
}

// secret reads the secret, nil where none is given.
func (f *ChannelSettings) secret(a *app) ([]byte, error) {
	if f.SecretFile == "" {
		return nil, nil
	}
	text, err := a.readSecret(f.SecretFile)
	return []byte(text.Reveal()), err
}

func (f *ChannelSettings) kinds() *[]tandem.AlertKind {
	if f.Kinds.Values == nil {
		return nil
	}
	kinds := []tandem.AlertKind{}
	for _, k := range *f.Kinds.Values {
		if k != "" {
			kinds = append(kinds, tandem.AlertKind(k))
		}
	}
	return &kinds
}

func (f *ChannelSettings) throttle() *int {
	if f.Throttle == nil {
		return nil
	}
	seconds := int(f.Throttle.Seconds())
	return &seconds
}

// ChannelsCreateCmd is `tandem channels create`.
type ChannelsCreateCmd struct {
	In
	ChannelSettings
	Name string             `arg:"" help:"What to call it."`
	Type tandem.ChannelType `required:"" enum:"slack,email,webhook" help:"slack, email or webhook."`
}

// Help shows one of each type.
func (c *ChannelsCreateCmd) Help() string {
	return `tandem channels create ops --type slack --secret-file slack-url
tandem channels create mail --type email --host smtp.example.com --username tandem --from tandem@example.com --to ops@example.com --secret-file password
tandem channels create pager --type webhook --url https://example.com/hook --secret-file signing-secret --min-severity critical --escalation-only`
}

// Run adds it.
func (c *ChannelsCreateCmd) Run(ctx context.Context, a *app) error {
	config, err := c.config(c.Type, nil)
	if err != nil {
		return err
	}
	secret, err := c.secret(a)
	if err != nil {
		return err
	}
	add := registry.NewChannel{Name: c.Name, Type: c.Type, Config: config, Secret: secret}
	put(&add.Kinds, c.kinds())
	put((*string)(&add.MinSeverity), c.MinSeverity)
	put(&add.EscalationOnly, c.EscalationOnly)
	put(&add.Throttle, c.throttle())
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.CreateChannel(ctx, org.ID, add)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(v)
		}
		a.out.printf("added the channel %s\n", a.out.bold(clean(v.Name)))
		a.out.note("try it: tandem channels test %s --org %s\n", word(v.Name), org.Slug)
		return nil
	})
}

// ChannelsListCmd is `tandem channels list`.
type ChannelsListCmd struct {
	In
	Sort string `enum:"${sort_channels}" default:"" help:"${sorts_channels}"`
}

// Run lists them.
func (c *ChannelsListCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		all, err := s.Channels(ctx, org.ID)
		if err != nil {
			return err
		}
		if err := tandem.ChannelOrder.Sort(all, c.Sort); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"channels": whole(all)})
		}
		if len(all) == 0 {
			a.out.printf("no channel: alerts are on the page and in `tandem alerts list` alone; add one: tandem channels create --help\n")
			return nil
		}
		rows := make([][]string, len(all))
		for i := range all {
			v := &all[i]
			rows[i] = []string{clean(v.Name), string(v.Type), short(channelWants(v), 80), map[bool]string{true: "on", false: "off"}[v.IsActive], a.out.ago(v.LastSentAt), dash(short(v.LastError, 40))}
		}
		a.out.table([]string{"name", "type", "told of", "state", "last sent", "last error"}, rows)
		return nil
	})
}

// channelWants says of which alerts a channel is told.
func channelWants(v *tandem.Channel) string {
	text := "all alerts"
	if len(v.Kinds) > 0 {
		words := make([]string, len(v.Kinds))
		for i, k := range v.Kinds {
			words[i] = string(k)
		}
		text = strings.Join(words, ", ")
	}
	if v.MinSeverity == tandem.Critical {
		text += ", critical ones"
	}
	if v.EscalationOnly {
		text += ", that nobody acknowledged"
	}
	return text
}

// ChannelsShowCmd is `tandem channels show`.
type ChannelsShowCmd struct {
	In
	Channel string `arg:"" help:"Its name or id."`
}

// Run shows it, without its secret.
func (c *ChannelsShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.Channel(ctx, org.ID, c.Channel)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(v)
		}
		pairs := []string{"name", clean(v.Name), "id", v.ID, "type", string(v.Type), "told of", channelWants(&v)}
		pairs = append(pairs, configPairs(v.Config)...)
		throttle := "none"
		if v.ThrottleS > 0 {
			throttle = "one message in " + duration(time.Duration(v.ThrottleS)*time.Second)
		}
		a.out.pairs(append(pairs, "secret", "stored encrypted, if there is one", "throttle", throttle, "state", map[bool]string{true: "on", false: "off"}[v.IsActive],
			"last sent", a.out.ago(v.LastSentAt), "last error", clean(v.LastError))...)
		return nil
	})
}

// configPairs shows a configuration's members by name.
func configPairs(config json.RawMessage) []string {
	var members map[string]any
	if json.Unmarshal(config, &members) != nil {
		return nil
	}
	var pairs []string
	for name, value := range members {
		text := fmt.Sprint(value)
		if words, ok := value.([]any); ok {
			text = strings.Trim(fmt.Sprint(words), "[]")
		}
		pairs = append(pairs, name+"\x00"+clean(text))
	}
	slices.Sort(pairs)
	var flat []string
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "\x00")
		flat = append(flat, name, value)
	}
	return flat
}

// ChannelsUpdateCmd is `tandem channels update`.
type ChannelsUpdateCmd struct {
	In
	ChannelSettings
	Channel string  `arg:"" help:"Its name or id."`
	Name    *string `help:"The new name."`
	Active  *bool   `negatable:"" help:"Whether anything is sent through it."`
}

// Run changes it.
func (c *ChannelsUpdateCmd) Run(ctx context.Context, a *app) error {
	secret, err := c.secret(a)
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		before, err := s.Channel(ctx, org.ID, c.Channel)
		if err != nil {
			return err
		}
		edit := registry.ChannelEdit{Name: c.Name, Secret: secret, Kinds: c.kinds(), MinSeverity: (*tandem.Severity)(c.MinSeverity), EscalationOnly: c.EscalationOnly,
			Throttle: c.throttle(), IsActive: c.Active, IfVersion: &before.Version}
		if edit.Config, err = c.config(before.Type, before.Config); err != nil {
			return err
		}
		v, err := s.UpdateChannel(ctx, org.ID, before.ID, edit)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(v)
		}
		a.out.printf("updated the channel %s\n", clean(v.Name))
		return nil
	})
}

// ChannelsTestCmd is `tandem channels test`.
type ChannelsTestCmd struct {
	In
	Channel string `arg:"" help:"Its name or id."`
}

// Run sends a message.
func (c *ChannelsTestCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.Channel(ctx, org.ID, c.Channel)
		if err != nil {
			return err
		}
		if err := s.TestChannel(ctx, org.ID, v.ID); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"channel": v.Name, "ok": true})
		}
		a.out.printf("%s took a message\n", clean(v.Name))
		return nil
	})
}

// ChannelsDeleteCmd is `tandem channels delete`.
type ChannelsDeleteCmd struct {
	In
	Channel string `arg:"" help:"Its name or id."`
	Yes     bool   `help:"Do not ask."`
}

// Run deletes it.
func (c *ChannelsDeleteCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.Channel(ctx, org.ID, c.Channel)
		if err != nil {
			return err
		}
		if err := a.confirm(c.Yes || !a.out.ask, "delete the channel "+clean(v.Name)); err != nil {
			return err
		}
		if _, err := s.DeleteChannel(ctx, org.ID, v.ID, v.Version); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"deleted": v.ID})
		}
		a.out.printf("deleted the channel %s\n", clean(v.Name))
		return nil
	})
}
