package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// putJobs keeps jobs until a process with a job engine takes them over.
func (s *Store) putJobs(ctx context.Context, tx bun.Conn, org string, jobs []tandem.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	now, err := s.instant(ctx, tx)
	if err != nil {
		return err
	}
	if err := s.insert(ctx, tx, "pending_jobs", "organization_id, kind, args, due_at, created_at", "", len(jobs), func(b *bulk, i int) {
		j := &jobs[i]
		b.text(org)
		b.text(j.Kind)
		b.json(j.Args, len(j.Args) == 0)
		b.time(j.At)
		b.instant(now)
	}); err != nil {
		return err
	}
	return s.notify(ctx, tx, true)
}

// ClaimJobs gives jobs, of any organization, to one process for a time, in the order of their ids.
func (s *Store) ClaimJobs(ctx context.Context, holder string, limit int, ttl time.Duration) (claimed []tandem.PendingJob, err error) {
	const op = "claim jobs"
	s.bell.looked(jobLooker)
	var some bool
	if err := s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		return tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pending_jobs)").Scan(&some)
	}); err != nil || !some {
		return nil, err
	}
	err = s.write(ctx, op, everyOrganization, func(tx bun.Conn) error {
		claimed = nil
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		if err := query(ctx, tx, func(rows *sql.Rows) error {
			j := tandem.PendingJob{}
			var args word
			var due stamp
			if err := rows.Scan(&j.ID, &j.OrganizationID, &j.Kind, &args, &due); err != nil {
				return err
			}
			j.At = due.Time
			claimed = append(claimed, j)
			return args.decode(&claimed[len(claimed)-1].Args)
		}, "SELECT id, organization_id, kind, args, due_at FROM pending_jobs WHERE claimed_until IS NULL OR claimed_until <= ? ORDER BY id LIMIT ?"+
			s.dialect.LockFree(), at(now), limit); err != nil || len(claimed) == 0 {
			return err
		}
		ids := make([]int64, len(claimed))
		for i := range claimed {
			ids[i] = claimed[i].ID
		}
		_, err = tx.ExecContext(ctx, "UPDATE pending_jobs SET claimed_by = ?, claimed_until = ? WHERE id IN ?", holder, at(now.Add(ttl)), numbers(ids))
		return err
	})
	return claimed, err
}

// DropJobs removes jobs that were taken over.
func (s *Store) DropJobs(ctx context.Context, ids []int64) error {
	return s.write(ctx, "drop jobs", everyOrganization, func(tx bun.Conn) error {
		for some := range slices.Chunk(ids, 10*chunk) {
			if _, err := tx.ExecContext(ctx, "DELETE FROM pending_jobs WHERE id IN ?", numbers(some)); err != nil {
				return err
			}
		}
		return nil
	})
}

// WaitForJobs returns when there may be new ones, or with ctx.
func (s *Store) WaitForJobs(ctx context.Context) error { return s.bell.wait(ctx, s, jobLooker) }

// numbers gives a parenthesized list.
func numbers(ids []int64) bun.Safe {
	buf := []byte{'('}
	for i, id := range ids {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = strconv.AppendInt(buf, id, 10)
	}
	return bun.Safe(append(buf, ')'))
}
