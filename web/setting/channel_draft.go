package setting

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"tandem"
	"tandem/web/shell"
)

// channelItems are what a channel's form has, besides its secret.
var channelItems = []item{{"name", "Name"}, {"host", "Mail server"}, {"port", "Port"}, {"security", "Encryption"}, {"username", "User name"}, {"from", "From"}, {"to", "To"}, {"url", "Address"},
	{"kinds", "Kinds"}, {"severity", "Severity"}, {"escalation", "Only escalations"}, {"throttle", "Seconds between messages"}, {"active", "On"}}

// channelConfig is what any type of channel has in its configuration.
type channelConfig struct {
	URL      string   `json:"url,omitempty"`
	Host     string   `json:"host,omitempty"`
	Port     int      `json:"port,omitempty"`
	Security string   `json:"security,omitempty"`
	Username string   `json:"username,omitempty"`
	From     string   `json:"from,omitempty"`
	To       []string `json:"to,omitempty"`
}

// channelDraft gives a channel as its form has it.
func channelDraft(ch *tandem.Channel) draft {
	var config channelConfig
	_ = json.Unmarshal(ch.Config, &config) // it was checked; what cannot be read is empty in the form
	d := draft{"name": ch.Name, "severity": string(ch.MinSeverity), "throttle": strconv.Itoa(ch.ThrottleS), "escalation": on(ch.EscalationOnly), "active": on(ch.IsActive),
		"url": config.URL, "host": config.Host, "security": config.Security, "username": config.Username, "from": config.From, "to": strings.Join(config.To, "\n")}
	if d["severity"] == string(tandem.Warning) {
		d["severity"] = ""
	}
	if ch.Type == tandem.EmailChannel && config.Security == "" {
		d["security"] = "starttls"
	}
	if config.Port != 0 {
		d["port"] = strconv.Itoa(config.Port)
	}
	kinds := make([]string, len(ch.Kinds))
	for i, k := range ch.Kinds {
		kinds[i] = string(k)
	}
	slices.Sort(kinds)
	d["kinds"] = strings.Join(kinds, " ")
	return d
}

// typedChannel reads the form of a channel.
func typedChannel(c *shell.Call, kind tandem.ChannelType) draft {
	d := draft{"name": c.Form("name"), "severity": c.Form("severity"), "throttle": c.Form("throttle"), "escalation": on(c.Checked("escalation")), "active": on(c.Checked("active"))}
	kinds := slices.Clone(c.Texts("kind"))
	slices.Sort(kinds)
	d["kinds"] = strings.Join(slices.Compact(kinds), " ")
	switch kind {
	case tandem.EmailChannel:
		for _, name := range []string{"host", "port", "security", "username", "from"} {
			d[name] = c.Form(name)
		}
		d["to"] = strings.Join(lines(c.Form("to")), "\n")
	case tandem.WebhookChannel:
		d["url"] = c.Form("url")
	}
	return d
}

// config gives the configuration of a draft.
func (d draft) config(kind tandem.ChannelType) json.RawMessage {
	var config channelConfig
	switch kind {
	case tandem.EmailChannel:
		port, err := strconv.Atoi(d["port"])
		if err != nil && d["port"] != "" {
			port = -1 // which is refused with words
		}
		config = channelConfig{Host: d["host"], Port: port, Security: d["security"], Username: d["username"], From: d["from"], To: lines(d["to"])}
	case tandem.WebhookChannel:
		config.URL = d["url"]
	}
	text, err := json.Marshal(config)
	if err != nil {
		return json.RawMessage("{}") // texts and numbers always can be
	}
	return text
}

// kinds gives the alerts that a draft is about; none for all.
func (d draft) kinds() []tandem.AlertKind {
	kinds := []tandem.AlertKind{}
	for _, k := range strings.Fields(d["kinds"]) {
		kinds = append(kinds, tandem.AlertKind(k))
	}
	return kinds
}

func (d draft) has(kind tandem.AlertKind) bool { return slices.Contains(d.kinds(), kind) }

// throttleOf reads the seconds between two messages.
func throttleOf(d draft) (int, bool) {
	if d["throttle"] == "" {
		return 0, true
	}
	n, err := strconv.Atoi(d["throttle"])
	return n, err == nil
}

func throttleWrong() error {
	return tandem.Errorf(tandem.Invalid, "check channel", "", "throttle must be a whole number of seconds")
}

// lines cuts a text at its ends of lines and commas.
func lines(text string) []string {
	found := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' || r == ',' || r == ';' })
	kept := []string{}
	for _, line := range found {
		if line = strings.TrimSpace(line); line != "" {
			kept = append(kept, line)
		}
	}
	return kept
}

// on is a switch in a draft.
func on(yes bool) string {
	if yes {
		return "on"
	}
	return ""
}
