package coap

import (
	"cmp"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp/coder"
)

// The bounds of messages.
const (
	headerBytes  = 4
	mostDatagram = 8 << 10 // bytes, as DTLS has them here
	mostOptions  = 32
	usualOptions = 6
	mostReason   = 120 // bytes of what an error says
)

// requestTag tells block-wise transfers apart (RFC 9175).
const requestTag message.OptionID = 292

// frame is a message as it came.
type frame struct {
	kind    message.Type
	code    codes.Code
	id      uint16
	token   []byte
	options message.Options
	payload []byte
}

var errFrame = errors.New("not a CoAP message")

// readHeader reads what every message begins with; false where it is no CoAP at all.
func readHeader(data []byte) (f frame, ok bool) {
	if len(data) < headerBytes || data[0]>>6 != 1 {
		return f, false
	}
	f.kind, f.code, f.id = message.Type(data[0]>>4&3), codes.Code(data[1]), binary.BigEndian.Uint16(data[2:])
	return f, true
}

// readFrame takes a datagram apart; the frame keeps parts of it. Options are kept whatever their length: it is for their
// readers to refuse one.
func readFrame(data []byte) (frame, error) {
	f, ok := readHeader(data)
	if !ok {
		return f, errFrame
	}
	length, rest := int(data[0]&15), data[headerBytes:]
	if length > message.MaxTokenSize || length > len(rest) {
		return f, errFrame
	}
	f.token, rest = rest[:length:length], rest[length:]
	if f.code == codes.Empty && (length > 0 || len(rest) > 0) {
		return f, errFrame
	}
	if len(rest) > 0 {
		f.options = make(message.Options, 0, usualOptions)
		n, err := f.options.Unmarshal(rest, nil)
		if errors.Is(err, message.ErrOptionsTooSmall) {
			f.options = make(message.Options, 0, mostOptions)
			n, err = f.options.Unmarshal(rest, nil)
		}
		if err != nil || n > len(rest) {
			return f, errFrame
		}
		f.payload = rest[n:]
	}
	return f, nil
}

// isRequest reports whether a message asks for something.
func (f *frame) isRequest() bool { return f.code >= codes.GET && f.code < 32 }

// request is a frame that asks for something.
type request struct {
	frame
	path    []string
	query   []string
	format  int // -1 where it says none
	accept  int // -1 where it takes any
	observe int // -1 where it has none
	size    int // of the whole payload, -1 where it says nothing
	block1  *block
	block2  *block
	tag     string
}

// errOption says that a request has an option that may not be ignored and is not known, or not valid.
var errOption = errors.New("an option is not understood")

// errProxy says that a request is for somebody else.
var errProxy = errors.New("this is no proxy")

// readRequest reads the options of a request.
func readRequest(f *frame) (*request, error) {
	r := &request{frame: *f, format: -1, accept: -1, observe: -1, size: -1}
	for i := range f.options {
		o := &f.options[i]
		err := r.take(o)
		if again := i > 0 && f.options[i-1].ID == o.ID; again && o.ID != message.URIPath && o.ID != message.URIQuery {
			err = cmp.Or(err, errOption) // only these two may come again
		}
		switch {
		case errors.Is(err, errProxy):
			return nil, err
		case err != nil && o.ID%2 == 1: // critical ones have odd numbers
			return nil, err
		}
	}
	for len(r.path) > 0 && r.path[len(r.path)-1] == "" {
		r.path = r.path[:len(r.path)-1]
	}
	return r, nil
}

// take reads one option.
func (r *request) take(o *message.Option) (err error) {
	switch o.ID {
	case message.URIHost, message.URIPort, message.IfMatch, message.IfNoneMatch: // nothing depends on them
	case message.URIPath:
		r.path, err = addText(r.path, o.Value)
		if err == nil && (r.path[len(r.path)-1] == "." || r.path[len(r.path)-1] == ".." || strings.Contains(r.path[len(r.path)-1], "/")) {
			err = errOption
		}
	case message.URIQuery:
		r.query, err = addText(r.query, o.Value)
	case message.ContentFormat:
		r.format, err = number(o.Value, 2)
	case message.Accept:
		r.accept, err = number(o.Value, 2)
	case message.Observe:
		r.observe, err = number(o.Value, 3)
		if err != nil {
			r.observe = -1
		}
	case message.Size1:
		r.size, err = number(o.Value, 4)
		if err != nil {
			r.size = -1
		}
	case message.Block1:
		r.block1, err = readBlock(o.Value)
	case message.Block2:
		r.block2, err = readBlock(o.Value)
	case message.ProxyURI, message.ProxyScheme:
		return errProxy
	case requestTag:
		r.tag = string(o.Value)
	default:
		return errOption
	}
	return err
}

func addText(list []string, value []byte) ([]string, error) {
	if len(value) > 255 || !utf8.Valid(value) {
		return list, errOption
	}
	return append(list, string(value)), nil
}

// number reads an unsigned number of at most so many bytes.
func number(value []byte, most int) (int, error) {
	if len(value) > most {
		return -1, errOption
	}
	n := 0
	for _, b := range value {
		n = n<<8 | int(b)
	}
	return n, nil
}

// parameter gives what the query says of a name.
func (r *request) parameter(name string) string {
	for _, q := range r.query {
		if value, found := strings.CutPrefix(q, name+"="); found {
			return value
		}
	}
	return ""
}

// reply is an answer, or a notification.
type reply struct {
	code    codes.Code
	format  int // -1 for none
	observe int // -1 for none
	maxAge  int // seconds, -1 for what it is by itself
	size1   int // how large a payload may be, -1 for nothing
	block1  *block
	block2  *block
	tag     []byte // ETag
	payload []byte
	then    func()       // once it is sent
	later   func() reply // gives the reply, where it takes time
}

// later is a reply that takes time.
func later(f func() reply) reply { return reply{later: f} }

// answer is a reply with nothing in it.
func answer(code codes.Code) reply {
	return reply{code: code, format: -1, observe: -1, maxAge: -1, size1: -1}
}

// write makes a datagram.
func (p *reply) write(kind message.Type, id uint16, token []byte) ([]byte, error) {
	var options message.Options
	add := func(id message.OptionID, value []byte) {
		options = append(options, message.Option{ID: id, Value: value})
	}
	// In the order of their numbers.
	if p.tag != nil {
		add(message.ETag, p.tag)
	}
	if p.observe >= 0 {
		add(message.Observe, bytesOf(p.observe))
	}
	if p.format >= 0 {
		add(message.ContentFormat, bytesOf(p.format))
	}
	if p.maxAge >= 0 {
		add(message.MaxAge, bytesOf(p.maxAge))
	}
	if p.block2 != nil {
		add(message.Block2, bytesOf(p.block2.value()))
	}
	if p.block1 != nil {
		add(message.Block1, bytesOf(p.block1.value()))
	}
	if p.size1 >= 0 {
		add(message.Size1, bytesOf(p.size1))
	}
	m := message.Message{Token: token, Options: options, Code: p.code, Payload: p.payload, MessageID: int32(id), Type: kind}
	data := make([]byte, 64+len(token)+len(p.payload))
	n, err := coder.DefaultCoder.Encode(m, data)
	if err != nil {
		return nil, err
	}
	return data[:n], nil
}

// bytesOf writes a number in as few bytes as it takes.
func bytesOf(n int) []byte {
	all := binary.BigEndian.AppendUint32(nil, uint32(n))
	for len(all) > 0 && all[0] == 0 {
		all = all[1:]
	}
	return all
}

// empty makes a message that says nothing but what it is.
func empty(kind message.Type, id uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{1<<6 | byte(kind)<<4, 0}, id)
}
