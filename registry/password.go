package registry

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	zxcvbn "github.com/ccojocar/zxcvbn-go"
	"golang.org/x/crypto/argon2"

	"tandem"
)

// What a password may be.
const (
	MinPassword = 12   // characters
	MaxPassword = 1024 // bytes
	leastScore  = 3    // of zxcvbn's 0 to 4: withstands 10^8 guesses
	judged      = 64   // characters that are judged; more make it no weaker
)

// cost is what one guess at a password takes (argon2id). Older hashes with another cost go on working, and are
// made anew when their person signs in.
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// serious is the cost that people's passwords have; the memory of many sign-ins at once is bounded by hashers.
var serious = cost{memory: 19 * 1024, passes: 2, threads: 1}

// hashing is the cost of new hashes.
var hashing = serious

const saltSize, keySize = 16, 32

// hashers bounds how many passwords are hashed at a time, in memory and processors.
var hashers = make(chan struct{}, 4)

// idKey is the hash itself; tests count its calls.
var idKey = argon2.IDKey

// hashWait is how long a sign-in waits for its turn.
const hashWait = 5 * time.Second

// CheckPassword says what is wrong with a new password. Whoever knows the person must not guess it: what about names
// them, their email and name among it.
func CheckPassword(password string, about ...string) error {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return invalid("password", "is not valid UTF-8 text")
	case n < MinPassword:
		return invalid("password", "has %d characters, at least %d are needed", n, MinPassword)
	case len(password) > MaxPassword:
		return invalid("password", "has %d bytes, at most %d are allowed", len(password), MaxPassword)
	}
	known := []string{"tandem", "golioth"}
	for _, text := range about {
		if text != "" && strings.EqualFold(text, password) {
			return invalid("password", "is the email or the name")
		}
		known = append(known, strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return c == '@' || c == '.' || c == ' ' || c == '-' || c == '_' })...)
	}
	head := []rune(password)
	if zxcvbn.PasswordStrength(string(head[:min(len(head), judged)]), known).Score < leastScore {
		return invalid("password", "is too easy to guess: use some words that do not belong together")
	}
	return nil
}

// hashPassword gives a password's hash in PHC form.
func hashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: the program ends where there is no randomness
	c := hashing
	key, err := derive(ctx, password, salt, c, keySize)
	if err != nil {
		return "", err
	}
	coded := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.threads,
		coded.EncodeToString(salt), coded.EncodeToString(key)), nil
}

// derive hashes when it is its turn.
func derive(ctx context.Context, password string, salt []byte, c cost, size uint32) ([]byte, error) {
	wait, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case hashers <- struct{}{}:
		defer func() { <-hashers }()
		return idKey([]byte(password), salt, c.passes, c.memory, c.threads, size), nil
	case <-wait.Done():
		return nil, &tandem.Error{Code: tandem.Unavailable, Op: "check password", Message: "too many people sign in at this moment",
			Hint: "try again in a few seconds", RetryAfter: hashWait, Err: ctx.Err()}
	}
}

// phc is a password's hash, taken apart.
type phc struct {
	cost
	salt, key []byte
}

// parsePHC reads what hashPassword wrote. What costs much more than ours, or is weaker than a hash may be, is refused:
// a damaged row must not take the memory of the machine.
func parsePHC(text string) (phc, error) {
	wrong := tandem.Errorf(tandem.Corrupt, "read password hash", "", "a stored password cannot be read").WithHint("the person can reset it")
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, wrong
	}
	numbers := [3]uint64{}
	settings := strings.Split(parts[3], ",")
	if len(settings) != len(numbers) {
		return phc{}, wrong
	}
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(settings[i], name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || digits != strconv.FormatUint(n, 10) {
			return phc{}, wrong
		}
		numbers[i] = n
	}
	h := phc{cost: cost{memory: uint32(numbers[0]), passes: uint32(numbers[1]), threads: uint8(min(numbers[2], 255))}}
	if h.memory < 8 || h.memory > 256*1024 || h.passes < 1 || h.passes > 16 || numbers[2] < 1 || numbers[2] > 16 {
		return phc{}, wrong
	}
	var err1, err2 error
	coded := base64.RawStdEncoding.Strict()
	h.salt, err1 = coded.DecodeString(parts[4])
	h.key, err2 = coded.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < 16 || len(h.key) > 64 {
		return phc{}, wrong
	}
	return h, nil
}

// nobody is hashed against where there is no person or no password, so that this takes as long.
func nobody() phc {
	return phc{cost: hashing, salt: make([]byte, saltSize), key: make([]byte, keySize)}
}

// checkPassword compares a password with a stored hash; "" fits nothing, nor does one that cannot be read (Corrupt), and
// both take as long.
func checkPassword(ctx context.Context, stored, password string) (bool, error) {
	h, known := nobody(), false
	var unreadable error
	if stored != "" {
		parsed, err := parsePHC(stored)
		if unreadable = err; err == nil {
			h, known = parsed, true
		}
	}
	if len(password) > MaxPassword {
		password, known = "", false
	}
	key, err := derive(ctx, password, h.salt, h.cost, uint32(len(h.key)))
	if err == nil {
		err = unreadable
	}
	return known && subtle.ConstantTimeCompare(key, h.key) == 1, err
}

// outdated reports whether a hash was made with another cost than new ones.
func outdated(stored string) bool {
	h, err := parsePHC(stored)
	return err == nil && h.cost != hashing
}

// ChangePassword gives the signed-in person another password; who has none yet gives "" as the current one. All
// sessions end: the caller begins a new one with the epoch of the user given.
func (r *Registry) ChangePassword(ctx context.Context, actor Actor, current, password string) (tandem.User, error) {
	if err := actor.person("change password"); err != nil {
		return tandem.User{}, err
	}
	if err := r.Throttle.allow(actor.Address, r.Clock()); err != nil {
		return tandem.User{}, err
	}
	u, err := r.Server.User(ctx, actor.UserID)
	if err != nil {
		return u, err
	}
	if u.PasswordHash != "" {
		if err := r.confirmPassword(ctx, actor, &u, current); err != nil {
			return u, err
		}
	}
	return r.setPassword(ctx, actor, u.ID, "user.password", password)
}

// confirmPassword asks a signed-in person for their password again. Wrong ones count as at the door.
func (r *Registry) confirmPassword(ctx context.Context, actor Actor, u *tandem.User, password string) error {
	right, err := checkPassword(ctx, u.PasswordHash, password)
	if err != nil {
		return err
	}
	return r.judge(ctx, u, try{by: byConfirming, address: actor.Address, right: right, readStep: u.TOTPStep}, tandem.Errorf(tandem.Forbidden, "confirm password", "", "the current password is wrong"))
}

// setPassword stores a new password, which ends all sessions and what held the person back.
func (r *Registry) setPassword(ctx context.Context, actor Actor, id, action, password string) (tandem.User, error) {
	u, err := r.Server.User(ctx, id)
	if err != nil {
		return u, err
	}
	if err := CheckPassword(password, u.Email, u.Name); err != nil {
		return u, err
	}
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return u, err
	}
	u, err = r.editUser(ctx, actor, id, action, func(u *tandem.User) error {
		u.PasswordHash, u.Failures, u.LockedUntil = hash, 0, nil
		u.Epoch++
		return nil
	})
	if err != nil {
		return u, err
	}
	_, err = r.newLink(ctx, tandem.OneTimeLink{Purpose: tandem.ResetLink, UserID: id, ExpiresAt: r.Clock()}) // the ones there were end
	return u, err
}

// RequestPasswordReset posts a link to the person, if there is one: the answer, and what it takes, is the same if not.
func (r *Registry) RequestPasswordReset(ctx context.Context, email, address string) error {
	if err := r.Throttle.allow(address, r.Clock()); err != nil {
		return err
	}
	r.Throttle.fail(address, r.Clock())
	whose := "reset of " + strings.ToLower(strings.TrimSpace(email)) // nobody's mailbox is filled
	if r.Throttle.wait(whose, r.Clock()) > 0 {
		return nil
	}
	r.Throttle.failAfter(freeResets, whose, r.Clock())
	u, err := r.knock(ctx, email)
	known := err == nil && u.DisabledAt == nil
	if err != nil && !tandem.Is(err, tandem.NotFound) {
		return err
	}
	if !known {
		u = tandem.User{}
	}
	secret, err := r.newLink(ctx, tandem.OneTimeLink{Purpose: tandem.ResetLink, UserID: u.ID, ExpiresAt: r.Clock().Add(ResetLife)}) // of nobody: good for nothing
	if err != nil {
		return err
	}
	if known && r.Post != nil {
		r.Post(Letter{Purpose: tandem.ResetLink, To: u.Email, Secret: secret})
	}
	return nil
}

// ResetPassword gives the bearer of a reset link another password. A second factor stays.
func (r *Registry) ResetPassword(ctx context.Context, secret, password string) (tandem.User, error) {
	link, err := r.Server.Link(ctx, tandem.ResetLink, hashSecret(secret), r.Clock())
	if err == nil && link.UserID == "" {
		err = tandem.Errorf(tandem.NotFound, "use link", "", "it is nobody's")
	}
	if err != nil {
		return tandem.User{}, linkSpent(err)
	}
	u, err := r.Server.User(ctx, link.UserID)
	if err != nil {
		return u, linkSpent(err)
	}
	if err := CheckPassword(password, u.Email, u.Name); err != nil {
		return u, err // the link is still good for a better one
	}
	if _, err := r.Server.UseLink(ctx, tandem.ResetLink, hashSecret(secret), r.Clock()); err != nil {
		return u, linkSpent(err)
	}
	return r.setPassword(ctx, self(&u, ""), u.ID, "user.password", password)
}

// ResetByCommand helps a person who is locked out, at the command line: it gives the secret of a reset link, lets them
// sign in again at once, and with factor takes their second factor away. Their sessions end.
func (r *Registry) ResetByCommand(ctx context.Context, actor Actor, email string, factor bool) (tandem.User, string, error) {
	if err := actor.root("reset password"); err != nil {
		return tandem.User{}, "", err
	}
	u, err := r.Server.User(ctx, strings.TrimSpace(email))
	if err != nil {
		return u, "", err
	}
	u, err = r.editUser(ctx, actor, u.ID, "user.recover", func(u *tandem.User) error {
		u.Failures, u.LockedUntil, u.DisabledAt = 0, nil, nil
		u.Epoch++
		if factor {
			dropFactor(u)
		}
		return nil
	})
	if err != nil {
		return u, "", err
	}
	secret, err := r.newLink(ctx, tandem.OneTimeLink{Purpose: tandem.ResetLink, UserID: u.ID, ExpiresAt: r.Clock().Add(ResetLife)})
	return u, secret, err
}
