package webhook

import (
	"testing"
	"time"

	"tandem"
)

func TestAFaultOfOursKillsOneDeliveryAlone(t *testing.T) {
	t.Parallel()
	w := &work{services: map[string]*tandem.Service{"s": {}}, deliveries: []tandem.Delivery{{ID: "1", ServiceID: "s", Type: "device.deleted"}}}
	if e := w.effect(nil, nil); e.status != tandem.DeliveryDead {
		t.Errorf("%+v", e)
	}
	w.decide()
	if got := w.changes.Deliveries[0].Status; got != tandem.DeliveryProcessed {
		t.Errorf("the next one is %s", got)
	}
}

func TestBackoffIsBounded(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 7: 64 * time.Second, 12: 2048 * time.Second, 13: time.Hour, 1000: time.Hour} {
		if got := backoff(attempts); got != want {
			t.Errorf("after %d: %s", attempts, got)
		}
	}
}

func TestServicesInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	s := newServices(nil, nil, func() time.Time { return now })
	for i := range 3 * mostServices {
		t := &target{}
		if i%2 == 0 {
			t.service.ID = "known"
		}
		s.keep(string(rune(i)), t)
	}
	if len(s.by) > mostServices {
		t.Errorf("%d are kept", len(s.by))
	}
}
