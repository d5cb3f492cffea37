package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/report"
)

// Pattern is where a Handler is mounted, for http.ServeMux.
const Pattern = "/webhooks/golioth/{service_id}"

// The bounds of one request.
const (
	DefaultMaxBody = 1 << 20
	smallBody      = 64 << 10         // larger ones are read by few at a time
	mostLarge      = 32               // of them
	readTimeout    = 10 * time.Second // of a body
	refusalTime    = 20 * time.Millisecond
	retryAfter     = 5 // seconds, when the database is away or too many wait
)

// Store is what deliveries need of the store.
type Store interface {
	tandem.Applier
	WebhookService(ctx context.Context, service string) (tandem.Service, error)
	StoreDeliveries(ctx context.Context, deliveries []tandem.Delivery) (duplicates []int, err error)
	StoreAndClaim(ctx context.Context, deliveries []tandem.Delivery, holder string, ttl time.Duration) (claimed []tandem.Delivery, duplicates []int, err error)
	ClaimDeliveries(ctx context.Context, holder string, limit int, ttl time.Duration) ([]tandem.Delivery, error)
	WakeDeliveries(ctx context.Context, org, service string, externalIDs []string) (int, error)
	Deliveries(ctx context.Context, org string, filter tandem.DeliveryFilter) ([]tandem.Delivery, int, error)
	Reporting(ctx context.Context, org, service string, externalIDs []string) ([]tandem.Linked, error)
	Organizations(ctx context.Context) ([]tandem.Organization, error)
}

// Options say how deliveries are received.
type Options struct {
	Store Store
	// Open gives a service's secrets, one or two. It is called at most once in some seconds for each service.
	Open    func(ctx context.Context, s tandem.Service) ([]Secret, error)
	Clock   tandem.Clock
	IDs     tandem.IDs
	Meter   Meter        // nil for none
	Log     *slog.Logger // nil for none
	MaxBody int64        // bytes; 0 for DefaultMaxBody
	// Processor is this process's: what is stored is handed to it. Nil for none.
	Processor *Processor
	Waiting   int // requests that may wait for their commit; 0 for DefaultWaiting
	Batch     int // deliveries in one transaction; 0 for DefaultBatch
	Writers   int // transactions at once; 0 for one, which is the fastest while the processor is the limit
}

// Handler receives deliveries: POST /webhooks/golioth/{service_id}. It is closed when the server has ended its requests.
type Handler struct {
	o        Options
	services *services
	commits  *committer
	samples  *sampler
	large    chan struct{}
	logged   atomic.Int64 // the second of the last warning that the database is away
}

// NewHandler starts a Handler; Close ends it.
func NewHandler(o Options) *Handler {
	if o.Meter == nil {
		o.Meter = silent{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Waiting <= 0 {
		o.Waiting = DefaultWaiting
	}
	if o.Batch <= 0 {
		o.Batch = DefaultBatch
	}
	if o.Writers <= 0 {
		o.Writers = 1
	}
	return &Handler{o: o, services: newServices(o.Store, o.Open, o.Clock), large: make(chan struct{}, mostLarge),
		commits: newCommitter(&o), samples: newSampler(&o)}
}

// Close waits until all that was received is stored and answered. Later requests are told to come again.
func (h *Handler) Close() {
	h.commits.queue.Close()
	h.samples.close()
}

// Waiting is how many requests wait for their commit.
func (h *Handler) Waiting() int { return h.commits.queue.Depth() }

// Forget makes a changed service count at once here; elsewhere it does after some seconds.
func (h *Handler) Forget(service string) { h.services.forget(service) }

// ServeHTTP receives one delivery.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := h.o.Clock()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		h.o.Meter.Count("", Refused, WrongMethod, 1)
		h.problem(w, http.StatusMethodNotAllowed, wrongMethod, "deliveries are posted", "use POST")
		return
	}
	body, err := h.read(w, r)
	if err != nil {
		h.unread(w, r, err)
		return
	}
	to, err := h.services.get(r.Context(), r.PathValue("service_id"))
	if err != nil {
		h.away(w, "", err)
		return
	}
	reason := to.check(r.Header, body, arrived)
	if reason != "" { // what is known may be from before a new secret
		newer, ok, err := h.services.again(r.Context(), r.PathValue("service_id"), to)
		if err != nil {
			h.away(w, "", err)
			return
		}
		if ok {
			to = newer
			reason = to.check(r.Header, body, arrived)
		}
	}
	h.o.Meter.Count(to.service.ID, Received, "", 1)
	if to.verify.scheme == tandem.HeaderScheme {
		r.Header.Del(to.verify.header) // whatever it is called, nothing after this sees the secret
	}
	if reason != "" {
		h.unauthentic(w, r, to, reason, arrived)
		return
	}
	id, err := identify(r.Header, body, to.service.Config.Webhook.Scheme)
	if err != nil {
		h.unclear(w, r, to, body, err)
		return
	}
	h.store(w, to, h.delivery(r, to, &id, body, arrived))
}

// check authenticates a request; it takes the same work where there is nothing to authenticate it for.
func (t *target) check(header http.Header, body []byte, now time.Time) Reason {
	if t.refusal != "" {
		nobody.signature(header, body)
		return t.refusal
	}
	return t.verify.check(header, body, now)
}

var errBusy = errors.New("too many large bodies at once")

// read reads the body, within its bounds.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > h.o.MaxBody {
		return nil, &http.MaxBytesError{Limit: h.o.MaxBody}
	}
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		default:
			return nil, errBusy
		}
	}
	// Not every ResponseWriter can do this; the server's own timeouts hold in any case.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
}

// delivery makes the row of a request.
func (h *Handler) delivery(r *http.Request, to *target, id *identity, body []byte, arrived time.Time) tandem.Delivery {
	contentType := r.Header.Get("Content-Type")
	if len(contentType) > mostWord || !word(report.MediaType(contentType)) {
		contentType = ""
	}
	return tandem.Delivery{ID: h.o.IDs(), OrganizationID: to.service.OrganizationID, ServiceID: to.service.ID, EventID: id.event,
		Digest: id.digest(contentType, body), Type: id.kind, ExternalDeviceID: id.device, ProjectID: id.project, Path: id.path,
		ContentType: report.MediaType(contentType), Headers: keptHeaders(r.Header), Body: body, Status: tandem.DeliveryStored,
		SentAt: id.sent, ReceivedAt: arrived.UTC()}
}

// store waits until a delivery is durable, and answers (S34).
func (h *Handler) store(w http.ResponseWriter, to *target, d tandem.Delivery) {
	waits := &waiting{delivery: d, answer: make(chan outcome, 1)}
	if !h.commits.add(waits) {
		h.o.Meter.Count(to.service.ID, Refused, Overloaded, 1)
		h.unavailable(w, "too many deliveries wait for the database")
		return
	}
	is := <-waits.answer
	switch {
	case is.err != nil && passing(is.err):
		h.away(w, to.service.ID, is.err)
	case is.err != nil:
		h.o.Log.Error("a delivery cannot be stored", "service_id", to.service.ID, "error", is.err)
		h.o.Meter.Count(to.service.ID, Refused, BadRequest, 1)
		h.problem(w, http.StatusInternalServerError, tandem.Internal, "the delivery cannot be stored", "the server's log says why")
	case is.duplicate:
		h.o.Meter.Count(to.service.ID, Duplicate, "", 1)
		accepted(w, `{"status":"duplicate"}`)
	default:
		h.o.Meter.Count(to.service.ID, Stored, "", 1)
		h.o.Meter.Took(ToStored, h.o.Clock().Sub(d.ReceivedAt))
		accepted(w, `{"status":"stored","id":"`+d.ID+`"}`)
	}
}

// unread answers a request whose body is too large, or did not come.
func (h *Handler) unread(w http.ResponseWriter, r *http.Request, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		w.Header().Set("Connection", "close")
		h.refuse(r, TooLarge)
		h.problem(w, http.StatusRequestEntityTooLarge, tooLarge, "the body is larger than "+strconv.FormatInt(h.o.MaxBody, 10)+" bytes",
			"send less at once")
	case errors.Is(err, errBusy):
		w.Header().Set("Connection", "close")
		h.o.Meter.Count("", Refused, Overloaded, 1)
		h.unavailable(w, "too many large deliveries at once")
	default:
		h.refuse(r, BadRequest)
		h.problem(w, http.StatusBadRequest, tandem.Invalid, "the body ended early or came too slowly", "send it again")
	}
}

// refuse counts and samples what was not even read, for a service that is known already: nothing is asked for it.
func (h *Handler) refuse(r *http.Request, why Reason) {
	to := &target{}
	if t := h.services.peek(r.PathValue("service_id")); t != nil {
		to = t
	}
	h.o.Meter.Count(to.service.ID, Refused, why, 1)
	h.samples.add(r, to, why, "", nil)
}

// unauthentic answers 401, the same whatever is wrong and after the same time (S34).
func (h *Handler) unauthentic(w http.ResponseWriter, r *http.Request, to *target, why Reason, arrived time.Time) {
	h.o.Meter.Count(to.service.ID, Refused, why, 1)
	h.samples.add(r, to, why, "", nil)
	timer := time.NewTimer(refusalTime - min(h.o.Clock().Sub(arrived), refusalTime))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	h.problem(w, http.StatusUnauthorized, tandem.Unauthorized, "the delivery is not authentic",
		"check the service in the address, its scheme and its secret")
}

// unclear answers an authentic request that cannot be read.
func (h *Handler) unclear(w http.ResponseWriter, r *http.Request, to *target, body []byte, err error) {
	why, status, code := BadRequest, http.StatusBadRequest, tandem.Invalid
	if errors.Is(err, errWrongType) {
		why, status, code = WrongType, http.StatusUnsupportedMediaType, wrongType
	}
	h.o.Meter.Count(to.service.ID, Refused, why, 1)
	h.samples.add(r, to, why, err.Error(), body)
	h.problem(w, status, code, err.Error(), "send a device event as JSON or CBOR, or a pipeline's delivery with its Ce- headers")
}

// away answers while the database is away.
func (h *Handler) away(w http.ResponseWriter, service string, err error) {
	if now := h.o.Clock().Unix(); h.logged.Swap(now) != now {
		h.o.Log.Warn("deliveries are not stored", "service_id", service, "error", err)
	}
	h.o.Meter.Count(service, Refused, StoreAway, 1)
	h.unavailable(w, "the database is away")
}
