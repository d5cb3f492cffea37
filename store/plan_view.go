package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/uptrace/bun"

	"tandem"
)

// removals are the actions that take something away.
const removals = "('delete', 'unlink', 'recreate')"

// PlanChanges lists a plan's changes in their order, and counts all matches.
func (s *Store) PlanChanges(ctx context.Context, org, plan string, q tandem.PlanFilter) (found []tandem.Change, total int, err error) {
	f := &filter{}
	f.add("e.organization_id = ? AND e.plan_id = ?", org, plan)
	f.equal("e.side", string(q.Side))
	f.equal("e.action", string(q.Action))
	if q.Removals != nil && *q.Removals {
		f.add("e.action IN " + removals)
	} else if q.Removals != nil {
		f.add("e.action NOT IN " + removals)
	}
	if q.Refused {
		f.add("e.note LIKE ?", tandem.RefusedNote+"%")
	}
	if q.Field != "" {
		f.field("e.field", q.Field)
	}
	if q.Search != "" { // not every database folds letters beyond ASCII: those are found as they are written
		f.contains(q.Search, "LOWER(e.device_name)")
		f.conditions[len(f.conditions)-1] = "(" + f.conditions[len(f.conditions)-1] + ` OR e.device_name LIKE ? ESCAPE '\')`
		f.args = append(f.args, "%"+strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(q.Search)+"%")
	}
	err = s.read(ctx, "read a plan", org, func(tx bun.Conn) error {
		if err := planExists(ctx, tx, org, plan); err != nil {
			return err
		}
		if total, err = f.count(ctx, tx, "sync_plan_changes AS e"); err != nil {
			return err
		}
		text, args := f.page(changeRead, "sync_plan_changes AS e", "e.position", q.Page)
		return scanChanges(ctx, tx, &found, text, args...)
	})
	return found, total, err
}

// PlanGroups counts a plan's changes by side, action and field, the most first.
func (s *Store) PlanGroups(ctx context.Context, org, plan string) (groups []tandem.PlanGroup, err error) {
	err = s.read(ctx, "count a plan", org, func(tx bun.Conn) error {
		if err := planExists(ctx, tx, org, plan); err != nil {
			return err
		}
		return query(ctx, tx, func(rows *sql.Rows) error {
			g := tandem.PlanGroup{}
			var field word
			err := rows.Scan(&g.Side, &g.Action, &field, &g.Count)
			g.Field = tandem.Path(field)
			groups = append(groups, g)
			return err
		}, `SELECT e.side, e.action, CASE WHEN e.field LIKE 'metadata/%' THEN 'metadata' ELSE COALESCE(e.field, '') END AS head, COUNT(*)
			FROM sync_plan_changes AS e WHERE e.organization_id = ? AND e.plan_id = ? GROUP BY e.side, e.action, head ORDER BY COUNT(*) DESC, e.side, e.action, head`, org, plan)
	})
	return groups, err
}
