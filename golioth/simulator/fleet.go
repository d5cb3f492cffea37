package simulator

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"tandem"
)

var (
	fleetTags       = []string{"production", "staging", "beta", "eu-west", "us-east", "ap-south", "lte-m", "nb-iot", "solar", "indoor", "critical", "maintenance-2025"}
	fleetBlueprints = []string{"gateway-v2", "tracker-nrf9160", "pump-controller", "soil-sensor", "meter"}
	fleetCohorts    = []string{"gateways", "early-access", "field-eu", "field-us"}
	fleetVersions   = []string{"1.0.0", "1.1.3", "1.2.5", "1.4.0", "2.0.0-rc1", "2.0.1", "2.1.0", "2.3.2"}
	fleetSites      = []string{"Zürich Nord", "São Paulo", "Kraków", "東京第二", "Київ", "القاهرة", "Aarhus", "Montréal", "İzmir", "Đà Nẵng", "Lima", "Nairobi"}
	fleetThings     = []string{"gateway", "tracker", "pump", "sensor", "meter", "温度センサー", "compteur d'eau", "valve"}
	fleetOwners     = []string{"facilities", "water", "logistics", "r&d"}
	fleetPackages   = []string{"main", "modem"}
)

// newProject makes a project and its fleet from a seed; two with one seed are equal.
func (s *Server) newProject(options Project, seed uint64) *project {
	h := fnv.New64a()
	h.Write([]byte(options.ID)) // never fails
	seed ^= h.Sum64()
	p := &project{server: s, options: options, id: options.ID, name: options.Name, organization: options.OrganizationID,
		created: s.options.Founded, updated: s.options.Founded, random: rand.New(rand.NewPCG(seed, 7)), seed: seed,
		byID: make(map[objectID]*device, options.Devices), byName: make(map[string]*device, options.Devices),
		byHardware: make(map[string]*device, options.Devices+options.Devices/4), order: make([]*device, 0, options.Devices+options.Devices/16),
		before: map[objectID]past{}, beforeState: map[objectID]past{},
		tags: newEntities(tandem.TagEntity), blueprints: newEntities(tandem.BlueprintEntity), cohorts: newEntities(tandem.CohortEntity),
		inCohort: map[string]int{}, credentials: map[objectID][]credential{}, identities: map[string]objectID{},
		selections: map[string]selection{}, queries: map[string][]row{}, cacheLeft: s.options.PageCache, lived: s.clock(), events: s.options.Events}
	var maker [8]byte
	binary.BigEndian.PutUint64(maker[:], seed)
	copy(p.maker[:], maker[:5])
	p.counter = uint32(p.random.IntN(1 << 23))
	if !options.Bare {
		p.furnish()
		p.pipe()
	}
	p.populate(options.Devices)
	return p
}

// furnish makes the tags, blueprints, cohorts, packages and artifacts of a fleet.
func (p *project) furnish() {
	at := p.created
	next := func() (string, time.Time) {
		at = at.Add(time.Duration(p.random.IntN(9000)+500) * time.Millisecond)
		return p.mintID(at).String(), at
	}
	for _, name := range fleetTags {
		id, at := next()
		p.tags.insert(&entity{id: id, name: name, created: at, updated: at})
	}
	for i, name := range fleetBlueprints {
		id, at := next()
		e := &entity{id: id, name: name, created: at, updated: at}
		if i%2 == 0 {
			platform := "zephyr"
			e.platform = &platform
		}
		p.blueprints.insert(e)
	}
	for _, name := range fleetPackages {
		_, at := next()
		p.packages = append(p.packages, &pack{name, "", map[string]string{}, stamp(at), stamp(at)})
	}
	for _, version := range fleetVersions {
		id, at := next()
		p.artifacts = append(p.artifacts, newArtifact(id, "main", version, nil, []byte("firmware "+version), at))
	}
	for i, name := range fleetCohorts {
		_, at := next()
		e := &entity{id: name, name: name, created: at, updated: at}
		if i < 2 {
			id, at := next()
			e.deployments = append(e.deployments, &deployment{id, "rollout 1", []string{p.artifacts[i+4].ID}, stamp(at)})
		}
		p.cohorts.insert(e)
	}
}

// populate makes n devices, created evenly between the project's beginning and now.
func (p *project) populate(n int) {
	if n == 0 {
		return
	}
	random := rand.New(rand.NewPCG(p.seed, 11))
	now := p.server.clock()
	begin := p.created.Add(time.Hour)
	step := max(now.Add(-time.Hour).Sub(begin)/time.Duration(n), time.Microsecond)
	sets := p.tagSets(random)
	devices := make([]device, n)
	for i := range devices {
		d := &devices[i]
		p.serial++
		at := begin.Add(step * time.Duration(i)).Truncate(time.Millisecond)
		*d = device{id: p.mintID(at), enabled: random.IntN(25) != 0, generated: true, serial: int32(p.serial), name: fleetName(random, p.serial),
			created: at.UnixNano(), updated: at.UnixNano() + int64(random.IntN(2))*int64(time.Millisecond), tags: sets[random.IntN(len(sets))]}
		d.hardware = fleetHardware(random, p.serial, at, d.name)
		if !p.options.Bare {
			p.assign(d, random)
		}
		p.report(d, random, now)
		p.order = append(p.order, d)
		p.byID[d.id] = d
		p.index(d)
	}
	for i := 1; i < n; i++ { // the counter may have begun anew within a second
		if p.order[i-1].id.compare(p.order[i].id) > 0 {
			sortDevices(p.order)
			break
		}
	}
}

// tagSets makes the combinations that a fleet uses; devices share them.
func (p *project) tagSets(random *rand.Rand) [][]string {
	sets := [][]string{nil}
	for range 63 {
		if len(p.tags.list) == 0 {
			break
		}
		var set []string
		for range 1 + random.IntN(3) {
			set = append(set, p.tags.list[random.IntN(len(p.tags.list))].id)
		}
		sets = append(sets, unique(set))
	}
	return sets
}

// assign gives most devices a blueprint and some a cohort; both move updatedAt a little.
func (p *project) assign(d *device, random *rand.Rand) {
	if random.IntN(5) != 0 {
		d.blueprint = p.blueprints.list[random.IntN(len(p.blueprints.list))].id
		d.updated += int64(random.IntN(240_000)) * int64(time.Millisecond)
	}
	if random.IntN(3) != 0 {
		d.cohort = p.cohorts.list[random.IntN(len(p.cohorts.list))].id
	}
	if random.IntN(50) == 0 {
		d.certificate = "cert-" + d.id.String()
	}
}

// report gives a device a past: one in twelve was never seen, some run old firmware.
func (p *project) report(d *device, random *rand.Rand, now time.Time) {
	if random.IntN(12) == 0 {
		return
	}
	age := time.Duration(random.ExpFloat64() * float64(6*time.Hour))
	last := now.Add(-age).Truncate(time.Millisecond).UnixNano()
	if last <= d.created {
		last = d.created + int64(time.Minute)
	}
	d.lastReport = last
	d.online = max(last-int64(random.IntN(86_400_000))*int64(time.Millisecond), d.created+int64(time.Second))
	if random.IntN(15) == 0 {
		return
	}
	version := fleetVersions[len(fleetVersions)-1-min(int(random.ExpFloat64()*2), len(fleetVersions)-1)]
	d.updates = []update{{pack: "main", version: version, at: d.online + int64(random.IntN(999_999_999))}}
	switch random.IntN(40) {
	case 0:
		d.updates[0].reason, d.updates[0].target = 7, "2.3.2"
	case 1:
		d.updates[0].state, d.updates[0].target = 1, "2.3.2"
	case 2:
		d.updates = append(d.updates, update{pack: "modem", version: "1.3.6", reason: 1, at: d.online})
	}
}

func fleetName(random *rand.Rand, serial int) string {
	thing := fleetThings[random.IntN(len(fleetThings))]
	switch n := strconv.Itoa(serial); random.IntN(10) {
	case 0, 1, 2, 3:
		return thing + "-" + fmt.Sprintf("%06d", serial)
	case 4, 5, 6:
		return fleetSites[random.IntN(len(fleetSites))] + " " + thing + " " + n
	case 7, 8:
		return "GW-" + n + "-" + strconv.Itoa(random.IntN(90)+10)
	default:
		return "🌡 " + thing + " №" + n
	}
}

// fleetHardware gives one to three ids: the server's own kind, an IMEI, a MAC address.
func fleetHardware(random *rand.Rand, serial int, at time.Time, name string) []string {
	imei := fmt.Sprintf("35%013d", 4_000_000_000+serial)
	mac := fmt.Sprintf("F4:CE:%02X:%02X:%02X:%02X", byte(serial>>24), byte(serial>>16), byte(serial>>8), byte(serial))
	switch random.IntN(8) {
	case 0:
		return []string{imei, mac}
	case 1:
		return []string{mac, imei, "SN-" + strconv.Itoa(serial)}
	case 2, 3, 4:
		return []string{at.UTC().Format("20060102150405") + "-" + slug(name)}
	}
	return []string{imei}
}

// firstState is the state document that the seed gives a device, nil for one in ten.
func (p *project) firstState(d *device) any {
	random := rand.New(rand.NewPCG(p.seed, uint64(d.serial)<<8|5))
	if random.IntN(10) == 0 {
		return nil
	}
	doc := map[string]any{}
	if random.IntN(4) != 0 {
		doc["battery"] = whole(random.IntN(101))
	}
	if random.IntN(3) != 0 {
		doc["location"] = map[string]any{"lat": decimal(random.Float64()*140-60, 5), "lon": decimal(random.Float64()*340-170, 5), "accuracy": whole(random.IntN(60) + 3)}
	}
	if random.IntN(6) != 0 {
		doc["metadata"] = map[string]any{
			"site":      fleetSites[random.IntN(len(fleetSites))],
			"owner":     fleetOwners[random.IntN(len(fleetOwners))],
			"installed": time.Unix(0, d.created).UTC().Format(time.DateOnly),
			"slot":      map[string]any{"rack": whole(random.IntN(40)), "unit": whole(random.IntN(48))},
		}
	}
	return doc
}

func whole(n int) json.Number { return json.Number(strconv.Itoa(n)) }

func decimal(f float64, places int) json.Number {
	return json.Number(strconv.FormatFloat(f, 'f', places, 64))
}
