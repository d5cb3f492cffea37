package registry

import (
	"errors"
	"fmt"
	"testing"

	"tandem"
)

// TestPreviewsAreBounded for a person whatever the token, and for all; one that ended makes room.
func TestPreviewsAreBounded(t *testing.T) {
	t.Parallel()
	var p Previews
	ada, token := Actor{ID: "ada", UserID: "ada"}, Actor{ID: "token", UserID: "ada"}
	var ends []func()
	for i := range previewsOfOne {
		end, err := p.begin([]Actor{ada, token}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	refused := func(actor Actor) {
		t.Helper()
		_, err := p.begin(actor)
		var e *tandem.Error
		if !errors.As(err, &e) || e.Code != tandem.RateLimited || e.RetryAfter != previewsRetry || e.Hint == "" {
			t.Errorf("one more is %v", err)
		}
	}
	refused(ada)
	refused(token)
	if _, err := p.begin(Actor{Root: true}); err != nil {
		t.Error(err)
	}
	ends[0]()
	if _, err := p.begin(token); err != nil {
		t.Error(err)
	}
	for i := p.all; i < previewsAtAll; i++ {
		if _, err := p.begin(Actor{ID: fmt.Sprint("other-", i)}); err != nil {
			t.Fatal(err)
		}
	}
	refused(Actor{ID: "late"})
}
