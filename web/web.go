package web

import (
	"context"
	"log/slog"
	"net/http"

	"tandem"
	"tandem/registry"
	"tandem/web/alert"
	"tandem/web/asset"
	"tandem/web/conflict"
	"tandem/web/delivery"
	"tandem/web/device"
	"tandem/web/entry"
	"tandem/web/history"
	"tandem/web/integration"
	"tandem/web/notlinked"
	"tandem/web/overview"
	"tandem/web/setting"
	"tandem/web/shell"
	"tandem/web/sync"
)

// Options say what the pages work with.
type Options struct {
	Registry *registry.Registry
	Log      *slog.Logger
	Clock    tandem.Clock
	// Actor gives who sent a request: Unauthorized where nobody is signed in. The API, which keeps the sessions, knows.
	Actor     func(*http.Request) (registry.Actor, error)
	Place     func(context.Context) string // where a live stream is to begin; may be nil
	Changed   func(userID string)          // told whose rights a page changed; may be nil
	Provider  bool                         // people may sign in through an identity provider
	Doors     func() []string              // where devices are served besides over HTTP, as URLs; may be nil
	PublicURL string
	Version   string
	Tour      bool // the pages have the demo's tour
	Retention tandem.Retention
}

// New gives the handler of all pages, for "/".
func New(o Options) (http.Handler, error) {
	site, err := shell.New(shell.Options{Registry: o.Registry, Log: o.Log, Clock: o.Clock, Actor: o.Actor, Place: o.Place, Changed: o.Changed, Doors: o.Doors, PublicURL: o.PublicURL, Version: o.Version, Tour: o.Tour, Retention: o.Retention})
	if err != nil {
		return nil, err
	}
	before := entry.New(entry.Options{Registry: o.Registry, Log: o.Log, Provider: o.Provider, Actor: o.Actor})
	for _, pattern := range entry.Patterns {
		site.Public(pattern, before)
	}
	site.RegisterFrame()
	for _, register := range pages {
		register(site)
	}
	return site, nil
}

// pages registers each kind of page.
var pages = []func(*shell.Site){
	overview.Register,
	device.Register,
	history.Register,
	delivery.Register,
	alert.Register,
	sync.Register,
	integration.Register,
	conflict.Register,
	notlinked.Register,
	setting.Register,
}

// Assets gives the handler of what the pages load, for asset.Prefix.
func Assets() http.Handler { return asset.Handler() }

// AssetPrefix is where it belongs.
const AssetPrefix = asset.Prefix
