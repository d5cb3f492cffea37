package coap

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/plgd-dev/go-coap/v3/message/codes"
)

// The bounds of block-wise transfers.
const (
	mostTransfers = 2                // of one connection
	transferLife  = 60 * time.Second // between its blocks
	mostPartial   = 64 << 20         // bytes of all that is not whole yet
	largestSize   = 6                // 1024 bytes; 7 is for reliable transports
)

// block is a part of a payload, as Block1 and Block2 say it.
type block struct {
	number int
	more   bool
	size   int // the exponent: it has 16 << size bytes
}

func (b *block) bytes() int { return 16 << b.size }
func (b *block) from() int  { return b.number * b.bytes() }

func readBlock(value []byte) (*block, error) {
	n, err := number(value, 3)
	if err != nil || n&7 > largestSize {
		return nil, errOption
	}
	return &block{number: n >> 4, more: n&8 != 0, size: n & 7}, nil
}

func (b *block) value() int {
	n := b.number<<4 | b.size
	if b.more {
		n |= 8
	}
	return n
}

// cut gives a block of a payload; false where the payload ends before it.
func cut(payload []byte, b block) (part []byte, is block, ok bool) {
	from := b.from()
	if from >= len(payload) && (from > 0 || len(payload) > 0) {
		return nil, b, false
	}
	to := min(from+b.bytes(), len(payload))
	b.more = to < len(payload)
	return payload[from:to], b, true
}

// transfer is a payload that comes in blocks.
type transfer struct {
	key     string
	format  int
	payload []byte
	used    time.Time
}

// transfers are those of one connection, used by one goroutine at a time.
type transfers struct {
	most    int           // bytes of a payload
	partial *atomic.Int64 // bytes of all connections' unfinished payloads
	list    []*transfer
}

// take adds a block. Where done, the payload is whole and is given; else there is a reply to this block.
func (t *transfers) take(r *request, now time.Time) (payload []byte, format int, done bool, p reply) {
	b := r.block1
	t.forget(now)
	switch {
	case b.more && len(r.payload) != b.bytes(), len(r.payload) > b.bytes():
		return nil, 0, false, refusal(codes.BadRequest, "a block has not the size that it says")
	case r.size > t.most, b.from()+len(r.payload) > t.most:
		t.drop(keyOf(r))
		p = refusal(codes.RequestEntityTooLarge, "the message is too large")
		p.size1, p.block1 = t.most, b
		return nil, 0, false, p
	}
	one := t.find(r, now)
	if one == nil || b.from() > len(one.payload) {
		return nil, 0, false, refusal(codes.RequestEntityIncomplete, "a block is missing: begin again")
	}
	if b.from() == len(one.payload) { // else it is here already
		if t.partial.Add(int64(len(r.payload))) > mostPartial {
			t.partial.Add(-int64(len(r.payload)))
			p = refusal(codes.ServiceUnavailable, "too much is received at once")
			p.maxAge = 5
			return nil, 0, false, p
		}
		one.payload = append(one.payload, r.payload...)
	}
	one.used = now
	if b.more {
		p = answer(codes.Continue)
		p.block1 = b
		return nil, 0, false, p
	}
	t.drop(one.key)
	return one.payload, one.format, true, reply{}
}

// find gives the transfer that a block is of; the first begins one.
func (t *transfers) find(r *request, now time.Time) *transfer {
	key := keyOf(r)
	if r.block1.number == 0 {
		t.drop(key)
		if len(t.list) >= mostTransfers {
			t.drop(t.list[0].key)
		}
		t.list = append(t.list, &transfer{key: key, format: r.format, used: now})
	}
	for _, one := range t.list {
		if one.key == key {
			return one
		}
	}
	return nil
}

// keyOf tells transfers apart, not by their tokens, which may differ from block to block.
func keyOf(r *request) string {
	return r.code.String() + "\x00" + strings.Join(r.path, "\x00") + "\x01" + strings.Join(r.query, "\x00") + "\x01" + r.tag
}

// drop lets go of a transfer.
func (t *transfers) drop(key string) {
	for i, one := range t.list {
		if one.key == key {
			t.partial.Add(-int64(len(one.payload)))
			t.list = slices.Delete(t.list, i, i+1)
			return
		}
	}
}

// forget lets go of those that do not go on.
func (t *transfers) forget(now time.Time) {
	for _, one := range slices.Clone(t.list) {
		if now.Sub(one.used) > transferLife {
			t.drop(one.key)
		}
	}
}

// close lets go of all.
func (t *transfers) close() {
	for len(t.list) > 0 {
		t.drop(t.list[0].key)
	}
}
