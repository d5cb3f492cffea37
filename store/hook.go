package store

import "github.com/uptrace/bun"

// AddQueryHook lets a hook see every statement, for tests and traces. It is called before the store is used.
func (s *Store) AddQueryHook(hook bun.QueryHook) {
	s.fleets.close() // which use it by themselves
	defer func() { s.startFleets(s.fleets.least) }()
	s.hooks = append(s.hooks, hook)
	one := s.reader == s.writer
	s.writer = s.writer.WithQueryHook(hook)
	if s.reader = s.reader.WithQueryHook(hook); one {
		s.reader = s.writer
	}
}
