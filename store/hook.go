package store

import "github.com/uptrace/bun"

// AddQueryHook lets a hook see every statement, for tests and traces. It is called before the store is used.
func (s *Store) AddQueryHook(hook bun.QueryHook) {
	s.hooks = append(s.hooks, hook)
	s.writer.AddQueryHook(hook)
	if s.reader != s.writer {
		s.reader.AddQueryHook(hook)
	}
}
