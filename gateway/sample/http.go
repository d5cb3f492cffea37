package sample

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
)

// pollFor is how long a request waits for commands.
const pollFor = "25"

// mostReply bounds what is read of a reply, in bytes.
const mostReply = 1 << 20

// httpLink posts reports, and asks for commands beside them.
type httpLink struct {
	d      Device
	client http.Client
	polls  sync.WaitGroup
	stop   context.CancelFunc
}

func dialHTTP(ctx context.Context, d Device, told chan<- command) (link, error) {
	l := &httpLink{d: d, client: http.Client{Transport: &http.Transport{}}}
	ctx, l.stop = context.WithCancel(ctx)
	l.polls.Go(func() {
		for ctx.Err() == nil && l.poll(ctx, told) == nil {
			continue
		}
	})
	return l, nil
}

// poll waits for commands once.
func (l *httpLink) poll(ctx context.Context, told chan<- command) error {
	text, err := l.ask(ctx, http.MethodGet, "commands?wait="+pollFor, nil)
	if err != nil {
		return err
	}
	var list struct {
		Commands []json.RawMessage `json:"commands"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, one := range list.Commands {
		if err := take(one, told); err != nil {
			return err
		}
	}
	return nil
}

func (l *httpLink) report(ctx context.Context, body []byte) error {
	_, err := l.ask(ctx, http.MethodPost, "telemetry", body)
	return err
}

func (l *httpLink) answer(ctx context.Context, id string, body []byte) error {
	_, err := l.ask(ctx, http.MethodPost, "commands/"+url.PathEscape(id), body)
	return err
}

// ask makes one request and gives what is replied.
func (l *httpLink) ask(ctx context.Context, method, place string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, l.d.Address+"/ingest/v1/"+place, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+l.d.Secret)
	request.Header.Set("Content-Type", "application/json")
	reply, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, mostReply))
	if closing := reply.Body.Close(); err == nil {
		err = closing
	}
	if err == nil && reply.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("the server replied %s", reply.Status)
	}
	return text, err
}

// Close ends what is under way.
func (l *httpLink) Close() error {
	l.stop()
	l.polls.Wait()
	l.client.CloseIdleConnections()
	return nil
}
