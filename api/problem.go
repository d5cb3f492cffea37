package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
)

// ProblemType is the media type of every failure (RFC 9457).
const ProblemType = "application/problem+json"

// Problem is a failure as it is replied.
type Problem struct {
	Type      string          `json:"type" format:"uri-reference" doc:"A page that explains the code."`
	Title     string          `json:"title" doc:"The same for every failure with this code."`
	Status    int             `json:"status" doc:"The HTTP status."`
	Code      string          `json:"code" doc:"What kind of failure it is; stable, for programs." example:"not_found"`
	Detail    string          `json:"detail" doc:"What happened, to what; for people."`
	Hint      string          `json:"hint,omitempty" doc:"What to do about it."`
	RequestID string          `json:"request_id" doc:"The request, as the server's log names it."`
	Retry     int             `json:"retry_after,omitempty" doc:"Seconds after which another try makes sense; also in Retry-After."`
	Errors    []ProblemDetail `json:"errors,omitempty" doc:"Each thing that is wrong with the request."`
	Current   json.RawMessage `json:"current,omitempty" doc:"With stale: the thing as it is now; its version is in ETag."`

	header http.Header
}

// ProblemDetail is one thing that is wrong with a request.
type ProblemDetail struct {
	Location string `json:"location,omitempty" doc:"Where, such as body.tags[2] or query.limit."`
	Message  string `json:"message" doc:"What is wrong there."`
}

// Error gives the text for a log.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// GetStatus gives the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders gives the headers that go with the problem.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType makes the media type that of a problem.
func (p *Problem) ContentType(string) string { return ProblemType }

// kind says how one code is replied.
type kind struct {
	status  int
	title   string
	meaning string // and what a program can do
}

// kinds maps the codes of the house to HTTP. A code that is not here is Internal.
var kinds = map[tandem.Code]kind{
	tandem.Invalid:      {http.StatusUnprocessableEntity, "The request is wrong", "Change the request; errors names what is wrong, where the server knows."},
	tandem.NotFound:     {http.StatusNotFound, "There is no such thing", "Nothing with this id or name is in the organization, or the caller does not belong to it."},
	tandem.Exists:       {http.StatusConflict, "The name or identity is taken", "Choose another one, or use what is there."},
	tandem.Stale:        {http.StatusPreconditionFailed, "It was changed meanwhile", "Read it again, decide again, and send the new ETag. Where current is given, it is what was read now."},
	tandem.Unauthorized: {http.StatusUnauthorized, "The caller is not signed in", "Send a token that is neither expired nor revoked, or sign in."},
	tandem.Forbidden:    {http.StatusForbidden, "The caller may not do this", "Ask somebody whose role allows it, or use a token with the scope."},
	tandem.RateLimited:  {http.StatusTooManyRequests, "Too many requests", "Wait as long as Retry-After says."},
	tandem.Unavailable:  {http.StatusServiceUnavailable, "Something is away", "Try again after Retry-After: the database, or the service behind Tandem, does not answer."},
	tandem.Timeout:      {http.StatusGatewayTimeout, "No answer in time", "Look whether it took effect before trying again."},
	tandem.Malformed:    {http.StatusBadGateway, "The service's reply cannot be read", "Try again later; the service behind Tandem replied something else than it should."},
	tandem.Mismatch:     {http.StatusConflict, "It is another project", "Confirm the change of project, or put the old project back."},
	tandem.Busy:         {http.StatusConflict, "Something else holds it", "Try again after Retry-After."},
	tandem.LeaseLost:    {http.StatusServiceUnavailable, "Another process took over", "Look at the run; another process goes on with it."},
	tandem.Blocked:      {http.StatusConflict, "It waits for a person", "Approve or discard what is held back."},
	tandem.Schema:       {http.StatusServiceUnavailable, "The database and the program do not match", "Whoever runs the server brings the database up to date."},
	tandem.Corrupt:      {http.StatusInternalServerError, "A stored value is damaged", "Whoever runs the server looks into its log."},
	tandem.DiskFull:     {http.StatusInsufficientStorage, "There is no room left", "Whoever runs the server makes room."},
	tandem.KeyLost:      {http.StatusServiceUnavailable, "A stored secret cannot be opened", "Whoever runs the server gives it the right key, or the secret is set anew."},
	tandem.Internal:     {http.StatusInternalServerError, "A fault of the server", "Whoever runs the server finds the request id in its log."},
}

// The codes that only HTTP has.
const (
	noRoute         tandem.Code = "no_route"
	notAllowed      tandem.Code = "method_not_allowed"
	tooLarge        tandem.Code = "too_large"
	unsupported     tandem.Code = "unsupported_media_type"
	needsVersion    tandem.Code = "precondition_required"
	needsSecondStep tandem.Code = "second_factor_required"
	crossOrigin     tandem.Code = "cross_origin"
	otherHost       tandem.Code = "other_host" // found by the server in front
)

// routeKinds are the codes that only HTTP has.
var routeKinds = map[tandem.Code]kind{
	noRoute:         {http.StatusNotFound, "There is no such address", "The document at /api/openapi.json lists the addresses."},
	notAllowed:      {http.StatusMethodNotAllowed, "The address has another method", "Allow names the methods."},
	tooLarge:        {http.StatusRequestEntityTooLarge, "The request is too large", "Send less at once."},
	unsupported:     {http.StatusUnsupportedMediaType, "The body has another media type", "Send application/json."},
	needsVersion:    {http.StatusPreconditionRequired, "The version is missing", "Send If-Match with the ETag that was read, or * to change whatever is there."},
	needsSecondStep: {http.StatusUnauthorized, "The second factor is missing", "Send the code to /api/v1/session/second-step."},
	otherHost:       {http.StatusMisdirectedRequest, "This is another host", "Call the server by the name that it is set up for."},
	crossOrigin:     {http.StatusForbidden, "The request comes from another site", "Pages of other sites may not act for who is signed in here; programs use a token."},
}

// kindOf gives how a code is replied.
func kindOf(code tandem.Code) kind {
	if k, ok := kinds[code]; ok {
		return k
	}
	if k, ok := routeKinds[code]; ok {
		return k
	}
	return kinds[tandem.Internal]
}

// newProblem makes a problem of a code.
func newProblem(ctx context.Context, code tandem.Code, detail, hint string) *Problem {
	k := kindOf(code)
	return &Problem{Type: problemsPath + "#" + string(code), Title: k.title, Status: k.status, Code: string(code), Detail: detail, Hint: hint,
		RequestID: requestID(ctx), header: http.Header{}}
}

// problemOf makes a problem of an error. Nothing of an error that is not the house's own, or that is the server's fault, is told.
func problemOf(ctx context.Context, err error) *Problem {
	var ready *Problem
	if errors.As(err, &ready) {
		return ready
	}
	var e *tandem.Error
	if !errors.As(err, &e) {
		e = &tandem.Error{Code: tandem.Internal}
		if ctx.Err() != nil {
			e = &tandem.Error{Code: tandem.Unavailable, Message: "the request was given up before its answer was there"}
		}
	}
	p := newProblem(ctx, e.Code, detailOf(e), e.Hint)
	if fromRemote(e) {
		p.Status = http.StatusBadGateway
	}
	if p.Status >= http.StatusInternalServerError && kindOf(e.Code).status == http.StatusInternalServerError {
		p.Detail, p.Hint = "something went wrong that should not", kinds[tandem.Internal].meaning
	}
	p.wait(e)
	if p.Status == http.StatusUnauthorized {
		p.header.Set("WWW-Authenticate", `Bearer realm="tandem"`)
	}
	return p
}

// fromRemote reports whether it is the service behind Tandem that refused Tandem, which is not the caller's refusal.
func fromRemote(e *tandem.Error) bool {
	return strings.HasPrefix(e.Op, "golioth") && (e.Code == tandem.Unauthorized || e.Code == tandem.Forbidden || e.Code == tandem.RateLimited)
}

// detailOf gives what happened without the hint, and never the cause, which is for logs.
func detailOf(e *tandem.Error) string {
	message := e.Message
	if message == "" {
		message = strings.ToLower(kindOf(e.Code).title)
	}
	if e.Thing != "" {
		return e.Thing + ": " + message
	}
	return message
}

// wait sets after which time another try makes sense.
func (p *Problem) wait(e *tandem.Error) {
	after := e.RetryAfter
	if after <= 0 && (e.Code == tandem.Busy || p.Status == http.StatusServiceUnavailable) {
		after = time.Second
	}
	if after > 0 {
		p.Retry = int(math.Ceil(min(after, time.Hour).Seconds()))
		p.header.Set("Retry-After", strconv.Itoa(p.Retry))
	}
}

// write replies a problem outside of huma.
func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", ProblemType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // whoever asked may have left
}

// codeOfStatus gives the code of a failure that huma itself found.
func codeOfStatus(status int) tandem.Code {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusNotAcceptable:
		return tandem.Invalid
	case http.StatusRequestEntityTooLarge:
		return tooLarge
	case http.StatusUnsupportedMediaType:
		return unsupported
	case http.StatusRequestTimeout:
		return tandem.Timeout
	}
	return tandem.Internal
}

// humaProblem makes a problem of what huma found wrong with a request. The values that were sent are not repeated:
// they may be secrets.
func humaProblem(ctx context.Context, status int, message string, errs []error) *Problem {
	code := codeOfStatus(status)
	p := newProblem(ctx, code, "the request does not fit the document", "see /api/docs for what this address takes")
	if code == tandem.Internal {
		p.Detail, p.Hint = "something went wrong that should not", kinds[tandem.Internal].meaning
		return p
	}
	if status >= 400 && status < 500 {
		p.Status = status
	}
	if len(errs) == 0 {
		p.Detail = message
	}
	for _, err := range errs {
		var detailer huma.ErrorDetailer
		if errors.As(err, &detailer) {
			d := detailer.ErrorDetail()
			p.Errors = append(p.Errors, ProblemDetail{Location: d.Location, Message: d.Message})
		}
	}
	return p
}

// huma keeps how errors are made in variables of its own, the same for every API of a process.
func init() {
	huma.DefaultArrayNullable = false // a list that is empty is replied as one
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		return humaProblem(ctx.Context(), status, message, errs)
	}
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return humaProblem(context.Background(), status, message, errs)
	}
}
