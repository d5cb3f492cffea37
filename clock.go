package tandem

import "time"

// Clock tells the time. Nothing that decides calls time.Now itself.
type Clock func() time.Time

// IDs mints identifiers: UUIDv7 in production, seeded in tests.
type IDs func() string
