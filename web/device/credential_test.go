package device_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/api/client"
	"tandem/registry"
	"tandem/web/webtest"
)

// asDevice does a request as the device whose token it is.
func (w *world) asDevice(ctx context.Context, method, path, token, body string) (status int, reply string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, w.URL+"/ingest/v1/"+path, strings.NewReader(body))
	w.must(err)
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := (&http.Client{Timeout: webtest.Patience}).Do(request)
	w.must(err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	w.must(err)
	return answer.StatusCode, string(text)
}

// credentials reads what a device has, as the API tells.
func (w *world) credentials(id string) []tandem.Credential {
	w.t.Helper()
	all, err := w.API.Credentials(w.t.Context(), w.Org.ID, id)
	w.must(err)
	return all
}

// token makes one through the API.
func (w *world) token(id string) (tandem.Credential, string) {
	w.t.Helper()
	c, secret, err := w.API.CreateCredential(w.t.Context(), w.Org.ID, id, registry.NewCredential{Kind: tandem.TokenCredential, Name: "unit"})
	w.must(err)
	return c, secret
}

// add opens the form of a new credential.
func add(p *webtest.Page, kind string) {
	p.Click("#credentials a >> Add a credential")
	p.Choose("#credential-kind", kind)
}

// TestTokenChangesBattery: with a token that was made on the page, a report changes the battery on the page within a second,
// while nobody loads it again.
func TestTokenChangesBattery(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	d := w.fleet[0]
	p := w.page(t, d.ID)
	p.SeeIn("#live", "Live")
	p.Eval(`(window.kept = "yes")`, nil)
	add(p, "token")
	p.Fill("#credential-name", "field unit")
	p.Choose("#credential-life", "in 90 days")
	p.Axe()
	p.Click("#credential-form button >> Make it")
	p.Told("The token field unit is made")
	secret, line := p.Value("#made-secret"), p.Value("#try")
	if want := "curl -d '{\"battery\":87}' -H 'Authorization: Bearer " + secret + "' " + w.URL + "/ingest/v1/telemetry"; line != want {
		t.Errorf("the line is\n%s, want\n%s", line, want)
	}
	p.Axe()
	made := w.credentials(d.ID)
	if len(made) != 1 || made[0].Kind != tandem.TokenCredential || made[0].Name != "field unit" || made[0].ExpiresAt == nil {
		t.Fatalf("the credentials are %+v", made)
	}
	p.Click("#credential-made button >> Done")
	p.WaitGone("#credential")
	p.SeeIn("#credentials", "field unit")
	var shown bool
	if p.Eval(`document.documentElement.outerHTML.includes(`+string(must(json.Marshal(secret)))+`)`, &shown); shown {
		t.Error("the secret is still in the page")
	}
	fastest := webtest.Patience
	for _, level := range []string{"41", "57", "73"} {
		began := time.Now()
		w.Report(secret, `{"battery":`+level+`}`)
		p.SeeIn("#device", level+" %")
		fastest = min(fastest, time.Since(began))
		p.SeeIn("#values [data-value='Battery']", level)
		p.SeeIn("#battery-plot", level+" %")
	}
	if fastest > time.Second {
		t.Errorf("the page shows a report after %s at the soonest", fastest)
	}
	if got := w.Device(d.ID); got.BatteryLevel == nil || *got.BatteryLevel != 73 {
		t.Errorf("the battery is %v", got.BatteryLevel)
	}
	var kept string
	if p.Eval("window.kept", &kept); kept != "yes" {
		t.Error("the page was loaded again")
	}
	p.SeeIn("#credentials [data-label='Last used']", "ago")
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

// TestRotateAndRevoke: a new secret works beside the old one for as long as was chosen, and a revoked one does not work.
func TestRotateAndRevoke(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	d := w.fleet[0]
	c, old := w.token(d.ID)
	p := w.page(t, d.ID)
	p.Click("#credential-" + c.ID + " a >> New secret for unit")
	p.Choose("#rotate-grace", "for an hour")
	p.Axe()
	p.Click("#rotate-form button >> Make the new token")
	p.Told("The token unit has a new secret")
	p.SeeIn("#credential-made", "The old secret works too until")
	fresh := p.Value("#made-secret")
	p.Click("#credential-made button >> Done")
	p.SeeIn("#credential-"+c.ID, "the old secret")
	for _, secret := range []string{old, fresh} {
		w.Report(secret, `{"temperature":20}`)
	}
	if got := w.credentials(d.ID)[0]; fresh == old || got.PreviousUntil == nil {
		t.Errorf("the credential is %+v", got)
	}
	p.Click("#credential-" + c.ID + " button >> Revoke unit")
	p.Confirm(false)
	p.Click("#credential-" + c.ID + " button >> Revoke unit")
	p.Confirm(true)
	p.Told("The token unit is revoked")
	p.WaitGone("#credential-" + c.ID)
	if got := w.credentials(d.ID)[0]; got.RevokedAt == nil {
		t.Errorf("the credential is %+v", got)
	}
	w.Wait("the gateway to hear of it", func() bool {
		status, _ := w.asDevice(t.Context(), http.MethodPost, "telemetry", fresh, `{"temperature":21}`)
		return status == http.StatusUnauthorized
	})
	p.Click("#credentials a >> Also 1 revoked or expired")
	p.SeeIn("#credential-"+c.ID, "revoked")
	p.Axe()
	p.Click("#credentials a >> Only those that work")
	p.WaitGone("#credential-" + c.ID)
}

// TestOtherCredentials: passwords, keys and certificates are made, each with the line that tries it.
func TestOtherCredentials(t *testing.T) {
	t.Parallel()
	w := open(t, 2, webtest.WithService(func(c *tandem.ServiceConfig) { c.GatewayPSK = true }))
	d := w.fleet[0]
	p := w.page(t, d.ID)
	p.Allow(422, "/credentials$")
	made := func() string {
		p.Click("#credential-form button >> Make it")
		line := p.Value("#try")
		p.Click("#credential-made button >> Done")
		p.WaitGone("#credential")
		return line
	}
	wants := func(line string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(line, part) {
				t.Errorf("the line %q lacks %q", line, part)
			}
		}
	}
	add(p, "password")
	p.Fill("#credential-identity", "elsewhere/unit")
	p.Click("#credential-form button >> Make it")
	p.SeeIn("#credential-identity-error", "must begin with "+w.Org.Slug+"/")
	if got := p.Value("#credential-identity"); got != "elsewhere/unit" {
		t.Errorf("what was typed is %q by now", got)
	}
	p.Fill("#credential-identity", w.Org.Slug+"/unit one")
	wants(made(), "mosquitto_pub -h 127.0.0.1 -p 8883", "-u '"+w.Org.Slug+"/unit one'", "tandem/"+w.Org.Slug+"/devices/")
	add(p, "psk")
	wants(made(), "coap-client-openssl -m post", "coaps://127.0.0.1:5684/telemetry")

	certificate := selfSigned(t)
	add(p, "certificate")
	p.Fill("#credential-certificate", "no certificate")
	p.Click("#credential-form button >> Make it")
	p.SeeIn("#credential-certificate-error", "is not one certificate in PEM")
	p.Fill("#credential-certificate", certificate)
	wants(made(), "curl --cert device.pem --key device.key")
	add(p, "certificate")
	p.Eval(`(() => { const held = new DataTransfer(); held.items.add(new File([`+string(must(json.Marshal(selfSigned(t))))+`], "unit.pem")); document.querySelector("#credential-file").files = held.files; })()`, nil)
	made()

	add(p, "psk:"+w.Service.ID)
	w.keyOnGolioth(d)
	wants(made(), `-k "$KEY"`, "-u unit-of-"+w.Org.Slug)
	kinds := map[tandem.CredentialKind]int{}
	taken := 0
	for _, c := range w.credentials(d.ID) {
		kinds[c.Kind]++
		if c.ServiceID == w.Service.ID {
			taken++
		}
	}
	if kinds[tandem.PasswordCredential] != 1 || kinds[tandem.PSKCredential] != 2 || kinds[tandem.CertificateCredential] != 2 || taken != 1 {
		t.Errorf("the credentials are %+v, %d taken over", kinds, taken)
	}
	p.SeeIn("#credentials", "the key that it has on golioth")

	w.must(second(w.API.UpdateService(t.Context(), w.Org.ID, w.Service.ID, client.ServiceEdit{Config: func(c *tandem.ServiceConfig) { c.GatewayPSK = false }})))
	p.Open("devices/" + w.fleet[1].ID + "/credentials/new")
	p.See("once the service's settings let it")
	if n := p.Count("#credential-kind option[value^='psk:']"); n != 0 {
		t.Errorf("%d keys are offered that the service does not let be used", n)
	}
	p.Click("#credential-form button >> Make it") // without a dialog
	p.SeeIn("#credential-made", "It is shown this once")
}

// keyOnGolioth gives a device a pre-shared key there.
func (w *world) keyOnGolioth(d tandem.DeviceRow) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.RemoteURL+"/v1/projects/"+webtest.Project+"/devices/"+d.Assignments[0].ExternalDeviceID+"/credentials",
		strings.NewReader(`{"type":"PRE_SHARED_KEY","identity":"unit-of-`+w.Org.Slug+`","preSharedKey":"00112233445566778899aabbccddeeff"}`))
	w.must(err)
	request.Header.Set("X-Api-Key", webtest.Key(webtest.Project))
	request.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Timeout: webtest.Patience}).Do(request)
	w.must(err)
	w.must(answer.Body.Close())
	if answer.StatusCode >= 300 {
		w.t.Fatalf("a key on the service is answered %s", answer.Status)
	}
}

// selfSigned makes a certificate, in PEM.
func selfSigned(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "unit"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestViewerOnlyLooks: a viewer sees what a device has and was told, and is offered nothing; an operator may send commands.
func TestViewerOnlyLooks(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	d := w.fleet[0]
	c, _ := w.token(d.ID)
	_, err := w.API.SendCommand(t.Context(), w.Org.ID, d.ID, registry.NewCommand{Name: "blink"})
	w.must(err)
	const controls = "#commands :is(form, button), #credentials :is(form, button, a)"
	viewer := w.Browser(t, webtest.Options{As: w.Member(tandem.Viewer)})
	viewer.Open("devices/" + d.ID)
	viewer.SeeIn("#credential-"+c.ID, "unit")
	viewer.SeeIn("#commands", "blink")
	if n := viewer.Count(controls); n != 0 {
		t.Errorf("a viewer is offered %d controls", n)
	}
	operator := w.Browser(t, webtest.Options{As: w.Member(tandem.Operator)})
	operator.Open("devices/" + d.ID)
	operator.WaitFor("#command-form button >> Send")
	if n := operator.Count("#credentials :is(form, button, a)"); n != 0 {
		t.Errorf("an operator is offered %d controls of credentials", n)
	}
}
