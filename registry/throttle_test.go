package registry_test

import (
	"fmt"
	"testing"

	"tandem"
)

// TestANetworkOfIPv6Waits: whoever has a /64 does not get another try for each of its addresses; the next network does.
func TestANetworkOfIPv6Waits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i := range 20 {
		w.wants(second(w.SignIn(w.ctx, "nobody@example.com", "wrong", fmt.Sprintf("2001:db8:1:1::%x", i))), tandem.Unauthorized)
	}
	w.wants(second(w.SignIn(w.ctx, "nobody@example.com", "wrong", "2001:db8:1:1:ffff::1")), tandem.RateLimited)
	w.wants(second(w.SignIn(w.ctx, "nobody@example.com", "wrong", "2001:db8:1:2::1")), tandem.Unauthorized)
	w.wants(second(w.SignIn(w.ctx, "nobody@example.com", "wrong", "192.0.2.1")), tandem.Unauthorized)
}
