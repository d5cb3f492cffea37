package tandem

import (
	"context"
	"encoding/json"
	"time"
)

// CommandStatus is where a command stands.
type CommandStatus string

// The command statuses.
const (
	CommandQueued       CommandStatus = "queued"       // waits for the device to come
	CommandSent         CommandStatus = "sent"         // handed to the device; not answered yet
	CommandAcknowledged CommandStatus = "acknowledged" // the device did it
	CommandFailed       CommandStatus = "failed"       // the device or its service said that it did not
	CommandExpired      CommandStatus = "expired"      // nobody answered in time
	CommandCanceled     CommandStatus = "canceled"     // withdrawn before it was sent
)

// Open reports whether the command may still be answered.
func (s CommandStatus) Open() bool { return s == CommandQueued || s == CommandSent }

// Via is the way by which a device is reached.
type Via string

// The ways.
const (
	ViaHTTP    Via = "http"
	ViaMQTT    Via = "mqtt"
	ViaCoAP    Via = "coap"
	ViaGolioth Via = "golioth" // as a remote procedure call
)

// Command is something that a device is told to do (device_commands). It comes at least once: a device that lost its
// connection before it answered gets it again, with the same id.
type Command struct {
	ID             string          `json:"id"`
	OrganizationID string          `json:"organization_id"`
	DeviceID       string          `json:"device_id"` // Device.ID
	Name           string          `json:"name"`      // the method, one word
	Payload        json.RawMessage `json:"payload"`   // at most MaxCommand bytes
	Status         CommandStatus   `json:"status"`
	Via            Via             `json:"via,omitempty"`        // how it was sent, "" while it was not
	ServiceID      string          `json:"service_id,omitempty"` // of a remote procedure call
	ExpiresAt      time.Time       `json:"expires_at"`
	SentAt         *time.Time      `json:"sent_at,omitempty"`
	AnsweredAt     *time.Time      `json:"answered_at,omitempty"`
	Reply          json.RawMessage `json:"reply,omitempty"` // at most MaxCommand bytes
	Error          string          `json:"error,omitempty"`
	CreatedBy      string          `json:"created_by,omitempty"`
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
}

// MaxCommand is how large a command's payload and its reply may be, in bytes of JSON.
const MaxCommand = 4 << 10

// CommandFilter narrows a listing of commands; newest first.
type CommandFilter struct {
	DeviceID string
	Status   CommandStatus
	Page
}

// CommandAnswer is what a device said of a command.
type CommandAnswer struct {
	ID     string
	Failed bool
	Reply  json.RawMessage // nil for none
	Error  string
}

// CommandStore keeps commands. New ones are written with Apply.
type CommandStore interface {
	Commands(ctx context.Context, org string, filter CommandFilter) ([]Command, int, error)
	Command(ctx context.Context, org, id string) (Command, error)
	// OpenCommands counts those of a device that are queued or sent.
	OpenCommands(ctx context.Context, org, device string) (int, error)
	// TakeCommands gives the commands that wait for some devices to whoever can reach them, once, oldest first of each
	// device: queued ones, and where again says so those that were sent and not answered. They are sent with that.
	TakeCommands(ctx context.Context, org string, devices []string, via Via, again bool) ([]Command, error)
	// ReturnCommands sets commands that could not be sent back to queued.
	ReturnCommands(ctx context.Context, org string, ids []string) error
	// AnswerCommand notes what a device said of one of its open commands; answered is false where it is not open any more.
	AnswerCommand(ctx context.Context, org, device string, answer CommandAnswer, now time.Time) (answered bool, err error)
	// CancelCommand withdraws a queued one: Stale when it is not queued any more.
	CancelCommand(ctx context.Context, org, id string, now time.Time, along ...Along) (Command, error)
	// ExpireCommands ends open ones of any organization whose time is over, and says how many.
	ExpireCommands(ctx context.Context, now time.Time, limit int) (int, error)
}
