package registry

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"tandem"
)

// The second factor: codes by time (RFC 6238, SHA-1, 30 s, 6 digits, which every authenticator app knows).
const (
	codeStep      = 30 * time.Second
	codeDigits    = otp.DigitsSix
	codeDrift     = 1 // steps that a clock may be off, either way
	factorSize    = 20
	recoveryCodes = 10
)

// Enrollment is what an authenticator app is set up with; it is shown once.
type Enrollment struct {
	Secret string // base32, to be typed
	URL    string // otpauth://, to be shown as a code to scan
}

// EnrollFactor makes a new second factor for the signed-in person. It counts once ConfirmFactor was given a code of it.
func (r *Registry) EnrollFactor(ctx context.Context, actor Actor, password string) (Enrollment, error) {
	u, err := r.confirmed(ctx, actor, "set up second factor", password)
	if err != nil {
		return Enrollment{}, err
	}
	if u.TOTPEnabled {
		return Enrollment{}, tandem.Errorf(tandem.Exists, "set up second factor", "", "there is one already").WithHint("turn it off first")
	}
	raw := make([]byte, factorSize)
	_, _ = rand.Read(raw) // never fails: the program ends where there is no randomness
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	sealed, err := r.Vault.Seal(FactorPlace(u.ID), []byte(secret))
	if err != nil {
		return Enrollment{}, err
	}
	u.TOTPSecret, u.TOTPStep, u.UpdatedAt = sealed, 0, r.Clock()
	if err := r.Server.UpdateUser(ctx, u); err != nil {
		return Enrollment{}, err
	}
	values := url.Values{"secret": {secret}, "issuer": {"Tandem"}}
	return Enrollment{Secret: secret, URL: "otpauth://totp/" + url.PathEscape("Tandem:"+u.Email) + "?" + values.Encode()}, nil
}

// FactorPlace is where a person's second factor is sealed for.
func FactorPlace(user string) Place {
	return Place{Table: "users", Column: "totp_secret", Row: user}
}

// ConfirmFactor turns the enrolled second factor on, and gives the recovery codes, which are shown once. All sessions
// end: the caller begins a new one with the epoch of the user given.
func (r *Registry) ConfirmFactor(ctx context.Context, actor Actor, code string) (tandem.User, []string, error) {
	if err := actor.person("confirm second factor"); err != nil {
		return tandem.User{}, nil, err
	}
	if err := r.Throttle.allow(actor.Address, r.Clock()); err != nil {
		return tandem.User{}, nil, err
	}
	u, err := r.Server.User(ctx, actor.UserID)
	if err != nil {
		return u, nil, err
	}
	if len(u.TOTPSecret) == 0 || u.TOTPEnabled {
		return u, nil, tandem.Errorf(tandem.Invalid, "confirm second factor", "", "none is waiting to be confirmed").WithHint("set one up first")
	}
	step, right, err := r.codeOf(&u, code)
	if err != nil {
		return u, nil, err
	}
	if !right {
		r.Throttle.fail(actor.Address, r.Clock())
		return u, nil, tandem.Errorf(tandem.Invalid, "confirm second factor", "", "the code is wrong").WithHint("look at the clock of the phone, and give the newest code")
	}
	codes, hashes := newRecoveryCodes()
	u, err = r.editUser(ctx, actor, u.ID, "user.factor", func(u *tandem.User) error {
		u.TOTPEnabled, u.TOTPStep, u.RecoveryHashes = true, step, hashes
		u.Epoch++
		return nil
	})
	return u, codes, err
}

// RenewRecoveryCodes gives new recovery codes; the old ones end.
func (r *Registry) RenewRecoveryCodes(ctx context.Context, actor Actor, password string) ([]string, error) {
	u, err := r.confirmed(ctx, actor, "renew recovery codes", password)
	if err != nil {
		return nil, err
	}
	if !u.TOTPEnabled {
		return nil, tandem.Errorf(tandem.Invalid, "renew recovery codes", "", "there is no second factor").WithHint("set one up first")
	}
	codes, hashes := newRecoveryCodes()
	_, err = r.editUser(ctx, actor, u.ID, "user.recovery_codes", func(u *tandem.User) error {
		u.RecoveryHashes = hashes
		return nil
	})
	return codes, err
}

// DisableFactor turns the second factor off, for who gives the password and a code. All sessions end.
func (r *Registry) DisableFactor(ctx context.Context, actor Actor, password, code string) (tandem.User, error) {
	u, err := r.confirmed(ctx, actor, "turn off second factor", password)
	if err != nil || !u.TOTPEnabled {
		return u, err
	}
	if u, err = r.takeCode(ctx, u, byConfirming, code, actor.Address); err != nil {
		return u, err
	}
	return r.editUser(ctx, actor, u.ID, "user.factor", func(u *tandem.User) error {
		dropFactor(u)
		u.Epoch++
		return nil
	})
}

func dropFactor(u *tandem.User) {
	u.TOTPEnabled, u.TOTPSecret, u.TOTPStep, u.RecoveryHashes = false, nil, 0, nil
}

// confirmed gives the signed-in person, who has given their password again; who has none is let through.
func (r *Registry) confirmed(ctx context.Context, actor Actor, op, password string) (tandem.User, error) {
	if err := actor.person(op); err != nil {
		return tandem.User{}, err
	}
	if err := r.Throttle.allow(actor.Address, r.Clock()); err != nil {
		return tandem.User{}, err
	}
	u, err := r.Server.User(ctx, actor.UserID)
	if err != nil || u.PasswordHash == "" {
		return u, err
	}
	return u, r.confirmPassword(ctx, actor, &u, password)
}

// SignInCode does the second step for the person whose first step gave this id and epoch: with a code of their app,
// or one of their recovery codes, each of which works once.
func (r *Registry) SignInCode(ctx context.Context, userID string, epoch int64, code, address string) (SignedIn, error) {
	if err := r.Throttle.allow(address, r.Clock()); err != nil {
		return SignedIn{}, err
	}
	u, err := r.Server.User(ctx, userID)
	if err != nil && !tandem.Is(err, tandem.NotFound) {
		return SignedIn{}, err
	}
	if err != nil || u.ID != userID || u.Epoch != epoch || !u.TOTPEnabled {
		r.Throttle.fail(address, r.Clock())
		return SignedIn{}, refused()
	}
	u, err = r.takeCode(ctx, u, byCode, code, address)
	return SignedIn{User: u}, err
}

// takeCode spends a code of an app or a recovery code; of says what for.
func (r *Registry) takeCode(ctx context.Context, u tandem.User, of way, code, address string) (tandem.User, error) {
	wrong := tandem.Errorf(tandem.Unauthorized, "check code", "", "the code is wrong or was used, or there were too many wrong tries").
		WithHint("give the newest code, or one of the recovery codes")
	step, right, err := r.codeOf(&u, code)
	if err != nil {
		return u, err
	}
	if right {
		read := u.TOTPStep
		u.TOTPStep = step
		return u, r.judge(ctx, &u, try{by: of, address: address, right: true, readStep: read}, wrong)
	}
	at := r.recoveryCode(&u, code)
	if at < 0 || r.locked(&u) || u.DisabledAt != nil {
		return u, r.judge(ctx, &u, try{by: of, address: address, readStep: u.TOTPStep}, wrong)
	}
	// The row's version lets one of two who come with the same code through.
	u, err = r.editUser(ctx, self(&u, address), u.ID, "user.recovery_code", func(now *tandem.User) error {
		at := r.recoveryCode(now, code)
		if at < 0 {
			return wrong
		}
		now.RecoveryHashes = slices.Delete(slices.Clone(now.RecoveryHashes), at, at+1)
		return nil
	})
	if err != nil {
		return u, err
	}
	return u, r.judge(ctx, &u, try{by: of, address: address, right: true, readStep: u.TOTPStep}, wrong)
}

// codeOf gives the step that a code of the person's app is of, where it was not used yet.
func (r *Registry) codeOf(u *tandem.User, code string) (step int64, right bool, err error) {
	secret, err := r.Vault.Unseal(FactorPlace(u.ID), u.TOTPSecret)
	if err != nil {
		return 0, false, err
	}
	return findStep(string(secret), strings.ReplaceAll(strings.TrimSpace(code), " ", ""), r.Clock(), u.TOTPStep)
}

// findStep gives the step around now, after the last one used, whose code this is.
func findStep(secret, code string, now time.Time, used int64) (step int64, right bool, err error) {
	at := now.Unix() / int64(codeStep/time.Second)
	for s := at - codeDrift; s <= at+codeDrift; s++ {
		want, err := codeAt(secret, s, codeDigits)
		if err != nil {
			return 0, false, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && s > used {
			step, right = s, true
		}
	}
	return step, right, nil
}

// codeAt gives the code of one step.
func codeAt(secret string, step int64, digits otp.Digits) (string, error) {
	code, err := hotp.GenerateCodeCustom(secret, uint64(max(step, 0)), hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return "", tandem.Errorf(tandem.Corrupt, "check code", "", "the stored second factor cannot be read").WithHint("have it taken away: tandem user reset-password EMAIL --factor")
	}
	return code, nil
}

// newRecoveryCodes gives codes of 80 random bits, in groups to be read, and their hashes.
func newRecoveryCodes() (codes, hashes []string) {
	for range recoveryCodes {
		plain := newSecret()[:16]
		hashes = append(hashes, hashSecret(plain))
		codes = append(codes, plain[:4]+"-"+plain[4:8]+"-"+plain[8:12]+"-"+plain[12:])
	}
	return codes, hashes
}

// recoveryCode gives the place of a code among those that are left, or -1.
func (r *Registry) recoveryCode(u *tandem.User, code string) int {
	plain := strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(code)))
	return slices.Index(u.RecoveryHashes, hashSecret(plain))
}
