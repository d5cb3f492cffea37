package mqtt

import (
	"errors"
	"io"
	"net"

	"github.com/gorilla/websocket"
)

var errText = errors.New("a WebSocket message is not binary")

// socket is a WebSocket as a stream of bytes: packets and messages need not begin or end together.
type socket struct {
	net.Conn // for addresses and deadlines
	ws       *websocket.Conn
	message  io.Reader // the rest of the one that is read; nil between them
}

// Read reads on, from message to message.
func (s *socket) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			kind, message, err := s.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errText
			}
			s.message = message
		}
		n, err := s.message.Read(p)
		if errors.Is(err, io.EOF) {
			s.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write sends one message.
func (s *socket) Write(p []byte) (int, error) {
	if err := s.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends the WebSocket.
func (s *socket) Close() error { return s.ws.Close() }
