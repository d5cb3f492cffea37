package coap

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
)

// FuzzRequest reads anything as a message.
func FuzzRequest(f *testing.F) {
	p := answer(codes.POST)
	p.format, p.block1, p.payload = formatJSON, &block{number: 3, more: true, size: 2}, []byte(`{"battery":1}`)
	whole, err := p.write(message.Confirmable, 7, []byte("token"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{whole, whole[:len(whole)-5], {0x40, 1, 0, 1}, {0x40, 2, 0, 1, 0xb9, 't', 'e', 'l', 'e', 'm', 'e', 't', 'r', 'y', 0xff, '1'},
		{0x48, 1}, {0x4f, 1, 0, 0}, {0x40, 0, 0, 1, 0xff}, {0x40, 1, 0, 0, 0xee, 0xff, 0xff, 0xff, 0xff}, {0x40, 1, 0, 0, 0xe0, 0xff, 0xff, 0xe0, 0xff, 0xff}, {0x60, 0, 1, 2}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := readFrame(data)
		if err != nil {
			return
		}
		if len(frame.token) > 8 || len(frame.payload) > len(data) || len(frame.options) > mostOptions {
			t.Fatalf("%x is read as %+v", data, frame)
		}
		r, err := readRequest(&frame)
		if err != nil {
			return
		}
		for _, segment := range r.path {
			if strings.ContainsAny(segment, "/") || segment == ".." {
				t.Fatalf("%x has the path %q", data, r.path)
			}
		}
		if r.format > 1<<16 || r.accept > 1<<16 || r.observe > 1<<24 || r.size >= 1<<32 {
			t.Fatalf("%x is read as %+v", data, r)
		}
	})
}

// FuzzReply writes replies, which are read as what they were.
func FuzzReply(f *testing.F) {
	f.Add(uint8(0x45), 50, 3, 60, 1024, 12, true, 6, []byte("tag"), []byte("token"), []byte("payload"))
	f.Fuzz(func(t *testing.T, code uint8, format, observe, maxAge, size1, number int, more bool, size int, tag, token, payload []byte) {
		p := reply{code: codes.Code(code | 0x40), format: format & 0xffff, observe: observe & 0xffffff, maxAge: maxAge & 0xffffffff, size1: size1 & 0xffffffff,
			block1: &block{number & 0xfffff, more, size & 3}, tag: tag[:min(len(tag), 8)], payload: payload}
		token = token[:min(len(token), 8)]
		data, err := p.write(message.Acknowledgement, 9, token)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := readFrame(data)
		if err != nil {
			t.Fatalf("%+v is written as %x: %v", p, data, err)
		}
		r, err := readRequest(&frame)
		if err != nil {
			t.Fatalf("%+v is written as %x: %v", p, data, err)
		}
		if r.format != p.format || r.observe != p.observe || r.size != p.size1 || *r.block1 != *p.block1 || !bytes.Equal(r.token, token) || !bytes.Equal(r.payload, payload) || r.id != 9 {
			t.Errorf("%+v is read as %+v", p, r)
		}
	})
}

// FuzzHello reads anything as the beginning of a handshake.
func FuzzHello(f *testing.F) {
	f.Add([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, 1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42, 254, 253})
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, is := firstHello(data); is && (data[0] != handshakeRecord || len(data) < recordHeader+handshakeHeader) {
			t.Errorf("%x is taken for a hello", data)
		}
	})
}

// FuzzStatus reads anything as a status.
func FuzzStatus(f *testing.F) {
	for _, seed := range []string{"online", `"offline"`, `{"online":true}`, "\xa1\x66status\x67offline", "\xff", `{"status":`} {
		f.Add([]byte(seed), 50)
		f.Add([]byte(seed), 60)
		f.Add([]byte(seed), -1)
	}
	f.Fuzz(func(_ *testing.T, body []byte, format int) { _, _ = readStatus(body, format) })
}

// FuzzBlocks sends blocks in any order: what is kept of them stays within its bounds, and what is whole is what was sent.
func FuzzBlocks(f *testing.F) {
	f.Add([]byte{0, 9, 18, 3, 0, 1, 200})
	f.Add([]byte{8, 8, 8, 16, 24, 32, 40, 255, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		var partial atomic.Int64
		list := transfers{most: 1000, partial: &partial}
		now := time.Now()
		for i, step := range script {
			r := &request{frame: frame{code: codes.POST}, path: []string{"telemetry", string('a' + rune(step&3))}, format: -1, size: -1}
			r.block1 = &block{number: int(step >> 4), more: step&8 != 0, size: int(step>>2) & 1}
			r.payload = bytes.Repeat([]byte{byte(r.block1.number)}, r.block1.bytes())
			if step&4 != 0 && !r.block1.more {
				r.payload = r.payload[:i%len(r.payload)]
			}
			payload, _, done, p := list.take(r, now)
			if done == (p.code != 0) {
				t.Fatalf("done %v with the answer %v", done, p.code)
			}
			if len(payload) > list.most || len(list.list) > mostTransfers || partial.Load() > int64(mostTransfers*list.most) || partial.Load() < 0 {
				t.Fatalf("%d transfers with %d bytes", len(list.list), partial.Load())
			}
			now = now.Add(time.Duration(step) * time.Second / 4)
		}
		list.close()
		if partial.Load() != 0 {
			t.Errorf("%d bytes are counted of nothing", partial.Load())
		}
	})
}

func TestTheOldestIsForgottenOnlyWhereThereIsNoRoom(t *testing.T) {
	t.Parallel()
	var r recent
	now := time.Now()
	for i := range uint16(mostKept) {
		if r.begin(i, now) {
			t.Fatalf("one is forgotten at %d", i)
		}
		r.end(i, []byte{byte(i)})
	}
	for i := range uint16(mostKept) {
		if e := r.find(i, now); e == nil || e.answer[0] != byte(i) {
			t.Fatalf("%d is not remembered", i)
		}
	}
	if !r.begin(1000, now) || r.find(0, now) != nil || r.find(1, now) == nil {
		t.Error("the oldest does not go when there are too many")
	}
	r.end(1000, nil) // it was not seen to
	if r.find(1000, now) != nil {
		t.Error("a message that was not seen to is remembered")
	}
	later := now.Add(exchangeLife)
	if r.find(5, later) != nil || r.begin(2000, later) {
		t.Error("what is too old counts")
	}
}
