package syncer

import (
	"context"
	"slices"

	"tandem"
)

// meetNamed reads the remote devices that a request names by their remote ids (S36). Linked ones are attended like any
// other; a new one goes by the settings and filters, as in a listing. One that something here may be waits for the next
// whole listing, since only that shows who else it may be (S12).
func (r *run) meetNamed(ctx context.Context) error {
	if len(r.req.ExternalIDs) == 0 {
		return nil
	}
	linked, err := r.e.Store.LinkedByExternal(ctx, r.org, r.service.ID, r.req.ExternalIDs)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, l := range linked {
		known[l.Assignment.ExternalDeviceID] = true
		if l.Assignment.Status == tandem.SyncUnlinked || !l.Assignment.SyncEnabled {
			continue
		}
		if !slices.Contains(r.req.DeviceIDs, l.Device.ID) {
			r.req.DeviceIDs = append(slices.Clip(r.req.DeviceIDs), l.Device.ID)
		}
	}
	var fresh []reading
	for _, id := range r.req.ExternalIDs {
		if known[id] {
			continue
		}
		known[id] = true
		if err := r.border(ctx); err != nil {
			return err
		}
		one, ok, err := r.readNamed(ctx, id)
		if err != nil {
			return err
		}
		if ok {
			fresh = append(fresh, one)
		}
	}
	return r.admitNamed(ctx, fresh)
}

// readNamed reads a remote device that is not linked; not ok where it is gone or could not be read, which is recorded.
func (r *run) readNamed(ctx context.Context, id string) (one reading, ok bool, err error) {
	rd, err := r.remote.Device(ctx, id)
	switch {
	case tandem.Is(err, tandem.NotFound):
		gone := &piece{changes: tandem.Changes{DropNotLinked: []tandem.NotLinkedKey{{ServiceID: r.service.ID, ExternalDeviceID: id}}}}
		return one, false, r.tell(ctx, gone)
	case ctx.Err() != nil:
		return one, false, context.Cause(ctx)
	case tandem.Is(err, tandem.Invalid, tandem.Malformed):
		r.fail(tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActRead, ExternalDeviceID: id}, err)
		return one, false, nil
	case err != nil:
		return one, false, err
	}
	one = r.read(rd, r.now())
	if r.state.any() {
		if err := r.readStateOf(ctx, &one); err != nil {
			return one, false, err
		}
	}
	return one, true, nil
}

// admitNamed lets new remote devices in, or lists them as not linked.
func (r *run) admitNamed(ctx context.Context, fresh []reading) error {
	if len(fresh) == 0 {
		return nil
	}
	kept, err := r.notLinked(ctx, fresh)
	if err != nil {
		return err
	}
	if err := r.loadRows(ctx, nil, externalIDs(fresh)); err != nil {
		return err
	}
	index, err := r.candidates(ctx, fresh)
	if err != nil {
		return err
	}
	var list []*piece
	for i := range fresh {
		rd := &fresh[i]
		before, was := kept[rd.device.ID]
		switch candidates := index.of(&rd.device); {
		case was && before.Ignored:
			r.quiet(1)
		case rd.device.Problem != nil:
			r.fail(tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActRead, ExternalDeviceID: rd.device.ID, DeviceName: rd.device.Name}, rd.device.Problem)
		case identify(&rd.device, candidates, func(string) bool { return true }).none():
			list = append(list, r.admit(rd, index, &before, was))
		default:
			list = append(list, r.leaveOut(rd, "not_imported", nil, &before, was))
		}
	}
	if r.dry != nil {
		return r.show(list)
	}
	_, err = r.commit(ctx, list)
	for _, p := range list {
		if p.err != nil {
			r.fail(p.subject(), p.err)
		}
	}
	return err
}
