package simulator

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// credential is how a device signs in. The pre-shared key is in clear, as the service shows it.
type credential struct {
	ID           string `json:"id"`
	Type         string `json:"type"`
	Identity     string `json:"identity"`
	CreatedAt    string `json:"createdAt"`
	PreSharedKey string `json:"preSharedKey"`
}

const (
	preShared  = "PRE_SHARED_KEY"
	asymmetric = "ASYMMETRIC_KEY_PAIR"
)

// firstCredentials makes what the seed gives a generated device: the console adds one key, the API none.
func (p *project) firstCredentials(d *device) {
	if _, made := p.credentials[d.id]; made || !d.generated {
		return
	}
	p.credentials[d.id] = nil
	random := rand.New(rand.NewPCG(p.seed, uint64(d.serial)<<8|3))
	if random.IntN(3) == 0 || len(d.hardware) == 0 {
		return
	}
	identity := d.hardware[0] + "@" + p.id
	if _, taken := p.identities[identity]; taken {
		return
	}
	id := d.id
	id[4] ^= 0x80 // of the same second, another maker
	p.identities[identity] = d.id
	p.credentials[d.id] = []credential{{id.String(), preShared, identity, stamp(time.Unix(0, d.created)), psk(random)}}
}

func psk(random *rand.Rand) string {
	var key [16]byte
	for i := range key {
		key[i] = byte(random.Uint32())
	}
	return hex.EncodeToString(key[:])
}

func (c *call) addCredential(d *device, f fields) (credential, error) {
	kind, err := f.text("type")
	if err != nil {
		return credential{}, err
	}
	identity, err := f.text("identity")
	if err != nil {
		return credential{}, err
	}
	key, err := f.text("preSharedKey")
	if err != nil {
		return credential{}, err
	}
	p := c.project
	switch kind {
	case "":
		kind = preShared
	case preShared, asymmetric:
	default:
		return credential{}, invalid("proto: (line 1:1): invalid value for enum field type: %q", kind)
	}
	if identity == "" && len(d.hardware) > 0 {
		identity = d.hardware[0]
	}
	if suffix := "@" + p.id; !strings.HasSuffix(identity, suffix) {
		identity += suffix
	}
	p.firstCredentials(d)
	if _, taken := p.identities[identity]; taken {
		return credential{}, fail(http.StatusConflict, codeExists, "credential identity already being used")
	}
	id := p.newID()
	if key == "" && kind == preShared {
		key = psk(rand.New(rand.NewPCG(p.seed, uint64(p.counter)<<8|4)))
	}
	made := credential{id.String(), kind, identity, stamp(p.server.clock().Truncate(time.Millisecond)), key}
	p.identities[identity] = d.id
	p.credentials[d.id] = append(p.credentials[d.id], made)
	return made, nil
}

func listCredentials(c *call) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	d, err := c.lookup(c.vars["device"])
	if err != nil {
		return reply{}, err
	}
	c.project.firstCredentials(d)
	list := c.project.credentials[d.id]
	if list == nil {
		list = []credential{}
	}
	return jsonReply(map[string]any{"list": list})
}

// createCredential takes the device from the path, or from the body on the project's own path.
func createCredential(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	id, ok := c.vars["device"]
	if !ok {
		if id, err = f.text("deviceId"); err != nil {
			return reply{}, err
		}
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	d, err := c.lookup(id)
	if err != nil {
		return reply{}, err
	}
	made, err := c.addCredential(d, f)
	if err != nil {
		return reply{}, err
	}
	return dataReply(made)
}

func deleteCredential(c *call) (reply, error) {
	id, ok := c.vars["device"]
	if !ok {
		id = c.param("deviceId")
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	p := c.project
	d, err := c.lookup(id)
	if err != nil {
		return reply{}, err
	}
	p.firstCredentials(d)
	list := p.credentials[d.id]
	at := slices.IndexFunc(list, func(x credential) bool { return x.ID == c.vars["credential"] })
	if at < 0 {
		return reply{}, notFound("credential not found")
	}
	delete(p.identities, list[at].Identity)
	p.credentials[d.id] = slices.Delete(slices.Clone(list), at, at+1)
	return emptyReply, nil
}

// provision makes a device with a credential, or adds one to the device of the path.
func provision(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	from, err := c.draft()
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	var d *device
	fresh := false
	if id, ok := c.vars["device"]; ok {
		d, err = c.lookup(id)
	} else {
		fresh = true
		d, err = c.project.create(from)
	}
	if err != nil {
		return reply{}, err
	}
	if _, err := c.addCredential(d, f); err != nil {
		if fresh {
			c.project.remove(d)
		}
		return reply{}, err
	}
	return dataReply(map[string]string{"deviceId": d.id.String()})
}
