package syncer

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"

	"tandem"
)

// spool keeps what a run must come back to, in order: a few in memory, the rest in an unnamed
// temporary file, so that a run's memory does not grow with the fleet (S20). Not safe for concurrent use.
type spool[T any] struct {
	memory []T
	file   *os.File
	out    *bufio.Writer
	count  int
}

// spoolMemory is how many items stay in memory before the file takes over.
const spoolMemory = 2048

func (s *spool[T]) add(item T) error {
	s.count++
	if s.file == nil && len(s.memory) < spoolMemory {
		s.memory = append(s.memory, item)
		return nil
	}
	if s.file == nil {
		file, err := os.CreateTemp("", "tandem-spool-*")
		if err != nil {
			return spoolError(err)
		}
		// Without a name the file goes with the process, however that ends; where the system
		// refuses (it is open), close removes it.
		_ = os.Remove(file.Name())
		s.file, s.out = file, bufio.NewWriterSize(file, 1<<16)
	}
	line, err := json.Marshal(item)
	if err == nil {
		_, err = s.out.Write(append(line, '\n'))
	}
	if err != nil {
		return spoolError(err)
	}
	return nil
}

// each hands the items to fn in chunks of at most size, in the order they were added. Items added meanwhile are not visited.
func (s *spool[T]) each(size int, fn func([]T) error) error {
	for rest := s.memory; len(rest) > 0; {
		n := min(size, len(rest))
		if err := fn(rest[:n:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if s.file == nil {
		return nil
	}
	if err := s.out.Flush(); err != nil {
		return spoolError(err)
	}
	info, err := s.file.Stat()
	if err != nil {
		return spoolError(err)
	}
	in := json.NewDecoder(bufio.NewReaderSize(io.NewSectionReader(s.file, 0, info.Size()), 1<<16))
	chunk := make([]T, 0, size)
	for more := true; more; {
		var item T
		switch err := in.Decode(&item); {
		case errors.Is(err, io.EOF):
			more = false
		case err != nil:
			return spoolError(err)
		default:
			chunk = append(chunk, item)
		}
		if len(chunk) > 0 && (!more || len(chunk) == size) {
			if err := fn(chunk); err != nil {
				return err
			}
			chunk = make([]T, 0, size)
		}
	}
	return nil
}

func (s *spool[T]) close() error {
	if s.file == nil {
		return nil
	}
	name := s.file.Name()
	err := s.file.Close()
	if _, gone := os.Lstat(name); gone == nil {
		err = errors.Join(err, os.Remove(name))
	}
	s.file = nil
	return err
}

func spoolError(err error) error {
	return tandem.Errorf(tandem.DiskFull, "sync", os.TempDir(), "the run's temporary file could not be written or read: %w", err).
		WithHint("make room there, or point TMPDIR at another folder, and run again; nothing is lost")
}
