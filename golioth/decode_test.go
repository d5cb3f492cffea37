package golioth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tandem"
)

// wire is a device in the form of API.md §3: its members, order and nulls, with synthetic values.
func wire(i int) string {
	return fmt.Sprintf(`{"id":"67f0a1b2c3d4e5f6%08x","hardwareIds":["20250405032330-gw-%d","ser-%d"],"name":"gw-%d",
 "createdAt":"2025-04-05T03:23:30.415Z","updatedAt":"2025-04-05T03:23:30.415Z","tagIds":["67f0a0ffc3d4e5f601020311"],"blueprintId":"67f0a0ffc3d4e5f601020301",
 "data":null,"lastReport":"2025-06-01T08:00:00.861Z","status":"-",
 "metadata":{"update":{"main":{"package":"main","reason":"ready state","reasonCode":"0","state":"IDLE","stateCode":"0","target":"",
   "time":"2025-05-31T07:10:11.504585841Z","version":"1.2.5"}},"status":"-","lastReport":"2025-06-01T08:00:00.861Z",
   "lastSeenOnline":"2025-05-31T07:10:10.705Z","lastSeenOffline":null,"lastSettingsStatus":null},
 "enabled":true,"certificateId":"cert","cohortId":"gateways"}`, i, i, i, i)
}

// bare is a device that was never seen, without optional members.
const bare = `{"id":"a1","hardwareIds":[],"name":"Naïve – 温度","createdAt":"2025-04-05T03:23:30Z","updatedAt":"2025-04-05T03:23:30.1+00:00","tagIds":[],
 "data":null,"lastReport":null,"status":"-","metadata":{"update":{},"status":"-","lastReport":null,"lastSeenOnline":null,"lastSeenOffline":null,"lastSettingsStatus":null},"enabled":false}`

func wirePage(number, perPage, total int, devices ...string) string {
	return fmt.Sprintf(`{"list":[%s],"page":%d,"perPage":%d,"total":%d}`, strings.Join(devices, ","), number, perPage, total)
}

var samePage = []cmp.Option{cmp.AllowUnexported(devicePage{}), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
	cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })}

func TestDecodePage(t *testing.T) {
	body := []byte(wirePage(0, 100, 2, wire(7), bare))
	fast, ok := scanPage(body)
	if !ok {
		t.Fatal("the usual form is not read fast")
	}
	slow, err := decodePageSlowly(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slow, fast, samePage...); diff != "" {
		t.Error("the two readers differ:\n", diff)
	}
	seen := time.Date(2025, 6, 1, 8, 0, 0, 861e6, time.UTC)
	online := time.Date(2025, 5, 31, 7, 10, 10, 705e6, time.UTC)
	made := time.Date(2025, 4, 5, 3, 23, 30, 415e6, time.UTC)
	want := tandem.RemoteDevice{ID: "67f0a1b2c3d4e5f600000007", Name: "gw-7", HardwareIDs: []string{"20250405032330-gw-7", "ser-7"},
		TagIDs: []string{"67f0a0ffc3d4e5f601020311"}, BlueprintID: "67f0a0ffc3d4e5f601020301", CohortID: "gateways", Enabled: true,
		CreatedAt: made, UpdatedAt: made, LastReport: &seen, LastSeenOnline: &online,
		Firmware: map[string]tandem.Firmware{"main": {Version: "1.2.5", State: "IDLE", StateCode: "0", Reason: "ready state",
			ReasonCode: "0", Time: "2025-05-31T07:10:11.504585841Z"}}}
	if diff := cmp.Diff(want, fast.devices[0], samePage...); diff != "" {
		t.Error(diff)
	}
	if d := fast.devices[1]; d.Name != "Naïve – 温度" || d.Enabled || d.LastReport != nil || d.Problem != nil || d.BlueprintID != "" {
		t.Errorf("bare device: %+v", d)
	}
}

// Each of these is one device of a page of three; the other two must not notice.
func TestS33MalformedDeviceFailsAlone(t *testing.T) {
	for name, device := range map[string]string{
		"bad time":        strings.Replace(bare, "2025-04-05T03:23:30Z", "yesterday", 1),
		"name a number":   strings.Replace(bare, `"Naïve – 温度"`, "12", 1),
		"tags an object":  strings.Replace(bare, `"tagIds":[]`, `"tagIds":{}`, 1),
		"no enabled":      strings.Replace(bare, `,"enabled":false`, ``, 1),
		"null enabled":    strings.Replace(bare, `"enabled":false`, `"enabled":null`, 1),
		"no name":         `{"id":"a1","enabled":true}`,
		"metadata a list": strings.Replace(bare, `"metadata":{`, `"metadata":[1],"was":{`, 1),
	} {
		page, err := decodePage([]byte(wirePage(0, 100, 3, wire(1), device, wire(2))))
		if err != nil || len(page.devices) != 3 {
			t.Fatalf("%s: %v, %d devices", name, err, len(page.devices))
		}
		if page.devices[0].Problem != nil || page.devices[2].Problem != nil {
			t.Errorf("%s: a neighbour has a problem", name)
		}
		d := page.devices[1]
		if d.ID != "a1" || !tandem.Is(d.Problem, tandem.Malformed) || !strings.Contains(fmt.Sprint(d.Problem), "a1") {
			t.Errorf("%s: id %q, problem %v", name, d.ID, d.Problem)
		}
	}
}

func TestS33TolerantDecoding(t *testing.T) {
	body := `{"total":"1","perPage":"100","page":"0","later":{"x":[1,"}"]},"list":[{"id":"a1","name":"caf\u00e9","enabled":true,"hardwareIds":null,
	 "unknown":{"deep":[null,1.5e3]},"metadata":{"update":{"main":{"version":"1","stateCode":3,"reasonCode":"0"}},"lastReport":null}}]}`
	page, err := decodePage([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	d := page.devices[0]
	if d.Problem != nil || d.Name != "café" || d.Firmware["main"].StateCode != "3" || d.HardwareIDs == nil || page.total != 1 {
		t.Errorf("%+v", d)
	}
}

func TestDecodePageMalformed(t *testing.T) {
	whole := wirePage(0, 100, 1, wire(1))
	bodies := []string{"", "null", "[]", "{}", "<html>", `{"list":[]}`, `{"list":null,"page":0,"total":0}`, `{"list":[],"page":-1,"total":0}`,
		whole[:len(whole)-1], whole + "x", strings.Replace(whole, `"total":1`, `"total":true`, 1)}
	for _, body := range bodies {
		if page, err := decodePage([]byte(body)); err == nil {
			t.Errorf("%.60q was read as %+v", body, page)
		}
	}
}

func FuzzDecodePage(f *testing.F) {
	f.Add([]byte(wirePage(0, 100, 2, wire(1), bare)))
	f.Add([]byte(`{"list":[{"id":"a","NAME":"b","name":"c","enabled":true,"data":{"a":[1]},"metadata":null}],"page":"0","perPage":1,"total":01}`))
	f.Add([]byte(`{"list":[{"id":"a","name":"\ud800","tagIds":["x",null],"metadata":{"update":{"m":null},"lastReport":"2025-01-01T00:00:00,5Z"}}],"page":0,"total":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		fast, ok := scanPage(body)
		slow, err := decodePageSlowly(body)
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("read fast, but malformed: %v", err)
		}
		if diff := cmp.Diff(slow, fast, samePage...); diff != "" {
			t.Fatal("the two readers differ:\n", diff)
		}
	})
}

func FuzzDecodeError(f *testing.F) {
	f.Add([]byte(`{"code":5,"message":"Not Found","details":[]}`))
	f.Add([]byte(`{"code":"7","message":null}`))
	f.Add([]byte(`<html>`))
	c := &Client{key: "k3y", host: "example.test", base: "https://example.test", clock: time.Now}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, status := range []int{302, 400, 401, 403, 404, 409, 418, 429, 500, 501, 503, 504} {
			err := c.refusal(&call{op: "fuzz", thing: "x"}, &reply{status: status, text: body})
			if err.Code == "" || err.Message == "" || strings.Contains(err.Error(), "k3y") {
				t.Fatalf("HTTP %d: %+v", status, err)
			}
			code, _, known := decodeError(body)
			if err.Code == tandem.NotFound && (status != 404 || !known || code != grpcNotFound) {
				t.Fatalf("HTTP %d became NotFound without the proof (S15)", status)
			}
		}
	})
}

func benchPage() []byte {
	devices := make([]string, 100)
	for i := range devices {
		devices[i] = wire(i)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(wirePage(0, 100, 10000, devices...))); err != nil {
		panic(err)
	}
	return compact.Bytes()
}

// BenchmarkDecodePage measures a page of 100 devices; BenchmarkDecodeWirePage is what it is measured against.
func BenchmarkDecodePage(b *testing.B) {
	body := benchPage()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodePage(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeWirePage(b *testing.B) {
	body := benchPage()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var page WirePage
		if err := json.Unmarshal(body, &page); err != nil {
			b.Fatal(err)
		}
	}
}
