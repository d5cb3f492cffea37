package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/golioth"
)

// What the baselines share with Tandem's defaults besides golioth.DefaultPageConcurrency: pages of 100, 32 writes at once.
const (
	perPage          = 100
	writeConcurrency = 32
)

// listing downloads and decodes the fleet with Tandem's own client, no budget, and nothing done with it.
func listing(ctx context.Context, sim *simulator) error {
	c, err := golioth.New(golioth.Options{BaseURL: sim.url, Project: project, Key: apiKey})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, err := range c.Devices(ctx, tandem.RemoteListing{}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// plain is a client as anybody would write it: net/http and encoding/json.
type plain struct {
	http *http.Client
	base string
}

func newPlain(sim *simulator) *plain {
	transport := &http.Transport{MaxIdleConns: writeConcurrency, MaxIdleConnsPerHost: writeConcurrency, DialContext: (&net.Dialer{}).DialContext}
	return &plain{http: &http.Client{Transport: transport, Timeout: time.Minute}, base: sim.url + "/v1/projects/" + project}
}

func (p *plain) close() { p.http.CloseIdleConnections() }

// plainDevice is what there is to decode of a device.
type plainDevice struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	HardwareIDs []string  `json:"hardwareIds"`
	TagIDs      []string  `json:"tagIds"`
	BlueprintID string    `json:"blueprintId"`
	CohortID    string    `json:"cohortId"`
	Enabled     bool      `json:"enabled"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
	Metadata    struct {
		LastReport     *time.Time                   `json:"lastReport"`
		LastSeenOnline *time.Time                   `json:"lastSeenOnline"`
		Update         map[string]map[string]string `json:"update"`
	} `json:"metadata"`
}

// do makes one request and decodes its reply.
func (p *plain) do(ctx context.Context, method, path string, body, reply any) error {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.base+path, in)
	if err != nil {
		return err
	}
	request.Header.Set("X-Api-Key", apiKey)
	response, err := p.http.Do(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	return json.Unmarshal(text, reply)
}

// list downloads and decodes the fleet, as many pages at once as Tandem does.
func (p *plain) list(ctx context.Context) ([]plainDevice, error) {
	type page struct {
		List  []plainDevice `json:"list"`
		Total int           `json:"total"`
	}
	get := func(ctx context.Context, number int) (got page, err error) {
		return got, p.do(ctx, http.MethodGet, "/devices?perPage="+strconv.Itoa(perPage)+"&page="+strconv.Itoa(number), nil, &got)
	}
	first, err := get(ctx, 0)
	if err != nil {
		return nil, err
	}
	pages := make([]page, (first.Total+perPage-1)/perPage)
	if len(pages) == 0 {
		return nil, nil
	}
	pages[0] = first
	err = parallel(ctx, golioth.DefaultPageConcurrency, len(pages)-1, func(ctx context.Context, i int) (err error) {
		pages[i+1], err = get(ctx, i+1)
		return err
	})
	all := make([]plainDevice, 0, first.Total)
	for _, p := range pages {
		all = append(all, p.List...)
	}
	return all, err
}

// create makes devices, 32 at once.
func (p *plain) create(ctx context.Context, bodies []map[string]any) error {
	return parallel(ctx, writeConcurrency, len(bodies), func(ctx context.Context, i int) error {
		var made struct {
			Data plainDevice `json:"data"`
		}
		return p.do(ctx, http.MethodPost, "/devices", bodies[i], &made)
	})
}

// toggle reads each device and turns enabled over, 32 at once.
func (p *plain) toggle(ctx context.Context, devices []plainDevice) error {
	return parallel(ctx, writeConcurrency, len(devices), func(ctx context.Context, i int) error {
		var got struct {
			Data plainDevice `json:"data"`
		}
		path := "/devices/" + devices[i].ID
		if err := p.do(ctx, http.MethodGet, path, nil, &got); err != nil {
			return err
		}
		return p.do(ctx, http.MethodPatch, path, map[string]any{"enabled": !got.Data.Enabled}, &got)
	})
}

// tagIDs gives the project's tags.
func (p *plain) tagIDs(ctx context.Context) (map[string]string, error) {
	var reply struct {
		List []struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"list"`
	}
	if err := p.do(ctx, http.MethodGet, "/tags?perPage=100", nil, &reply); err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, tag := range reply.List {
		ids[tag.Name] = tag.ID
	}
	return ids, nil
}

// parallel does n things, limit at once; the first failure stops it.
func parallel(ctx context.Context, limit, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(limit, n) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
