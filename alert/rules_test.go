package alert

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem"
)

func TestWhatARunMeans(t *testing.T) {
	t.Parallel()
	// "+" raises, "-" resolves; what is not named stays as it is.
	for _, test := range []struct {
		name    string
		run     tandem.Run
		state   tandem.ServiceState
		pending int
		want    []string
	}{
		{"all is well", tandem.Run{Status: tandem.RunCompleted}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts", "-run_failed", "-run_blocked"}},
		{"conflicts wait", tandem.Run{Status: tandem.RunPartial}, tandem.ServiceOK, 3,
			[]string{"-service_degraded", "-key_rejected", "+conflicts warning", "-run_failed", "-run_blocked"}},
		{"devices failed", tandem.Run{Status: tandem.RunPartial, Summary: tandem.Summary{Processed: 10, Failed: 2}}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts", "+run_failed warning", "-run_blocked"}},
		{"the listing was not proven", tandem.Run{Status: tandem.RunPartial, Error: "the listing is not complete"}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts", "+run_failed warning", "-run_blocked"}},
		{"it failed", tandem.Run{Status: tandem.RunFailed, Error: "why"}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts", "+run_failed critical"}},
		{"it failed because the service is away", tandem.Run{Status: tandem.RunFailed}, tandem.ServiceDegraded, 0,
			[]string{"+service_degraded warning", "-conflicts"}},
		{"it failed because the key is refused", tandem.Run{Status: tandem.RunFailed}, tandem.ServiceRejected, 0,
			[]string{"-service_degraded", "+key_rejected critical", "-conflicts"}},
		{"it failed because the key cannot be opened", tandem.Run{Status: tandem.RunFailed}, tandem.ServiceLocked, 0,
			[]string{"-service_degraded", "+key_rejected critical", "-conflicts"}},
		{"it is held back", tandem.Run{Status: tandem.RunBlocked}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts", "+run_blocked warning"}},
		{"it was canceled", tandem.Run{Status: tandem.RunCanceled}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts"}},
		{"its process died", tandem.Run{Status: tandem.RunInterrupted}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts"}},
		{"one device went through", tandem.Run{Status: tandem.RunCompleted, Trigger: tandem.ByEdit, DeviceID: "d"}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts"}},
		{"one device failed", tandem.Run{Status: tandem.RunFailed, Trigger: tandem.ByEdit, DeviceID: "d"}, tandem.ServiceOK, 0,
			[]string{"-service_degraded", "-key_rejected", "-conflicts", "+run_failed critical"}},
		{"it is not over", tandem.Run{Status: tandem.RunRunning}, tandem.ServiceDegraded, 1, nil},
	} {
		service := tandem.Service{ID: "s1", Name: "prod", State: test.state, StateReason: "because"}
		test.run.ID = "r1"
		var got []string
		for _, v := range OfRun(test.run, service, test.pending) {
			text := "-" + string(v.Kind)
			if v.Raise {
				text = fmt.Sprintf("+%s %s", v.Kind, v.Severity)
				if !strings.Contains(v.Message, "prod") || v.Hint == "" {
					t.Errorf("%s: %s says %q, %q", test.name, v.Kind, v.Message, v.Hint)
				}
			}
			if v.Subject != "s1" || v.ServiceID != "s1" {
				t.Errorf("%s: subject %q of service %q", test.name, v.Subject, v.ServiceID)
			}
			got = append(got, text)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\n%v, want\n%v", test.name, got, test.want)
		}
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	service := tandem.Service{ID: "s1", Name: "prod"}
	if v := OfDeadLetters(service, 0); len(v) != 1 || v[0].Raise {
		t.Errorf("none: %+v", v)
	}
	for n, want := range map[int]string{1: "1 delivery for prod could not be processed and is kept", 7: "7 deliveries for prod could not be processed and are kept"} {
		if v := OfDeadLetters(service, n); len(v) != 1 || !v[0].Raise || v[0].Message != want {
			t.Errorf("%d: %+v", n, v)
		}
	}
}

func TestWhatGoesOnIsToldLessAndLess(t *testing.T) {
	t.Parallel()
	a := tandem.Alert{Status: tandem.AlertRaised}
	v := Verdict{Raise: true, Severity: tandem.Warning}
	var told []int
	for range 40 {
		var reason string
		if a, reason = judge(a, v, noon); reason != "" {
			told = append(told, a.Count)
		}
	}
	if !slices.Equal(told, []int{1, 2, 4, 8, 16, 32}) {
		t.Errorf("told at %v", told)
	}
	a.Status = tandem.AlertAcknowledged
	a.Count = 63
	if _, reason := judge(a, v, noon); reason != "" {
		t.Errorf("told although somebody looks after it: %s", reason)
	}
	v.Severity = tandem.Critical
	if _, reason := judge(a, v, noon); reason != Again {
		t.Errorf("it is worse now, and told as %q", reason)
	}
}

func TestWhoWantsToKnow(t *testing.T) {
	t.Parallel()
	warning := tandem.Alert{Kind: tandem.AlertConflicts, Severity: tandem.Warning}
	critical := tandem.Alert{Kind: tandem.AlertRunFailed, Severity: tandem.Critical}
	escalated := tandem.Alert{Kind: tandem.AlertConflicts, Severity: tandem.Warning, EscalatedAt: &noon}
	for _, test := range []struct {
		name    string
		channel tandem.Channel
		want    [3]bool
	}{
		{"everything", tandem.Channel{IsActive: true}, [3]bool{true, true, true}},
		{"switched off", tandem.Channel{}, [3]bool{}},
		{"some kinds", tandem.Channel{IsActive: true, Kinds: []tandem.AlertKind{tandem.AlertConflicts}}, [3]bool{true, false, true}},
		{"critical", tandem.Channel{IsActive: true, MinSeverity: tandem.Critical}, [3]bool{false, true, false}},
		{"from warning on", tandem.Channel{IsActive: true, MinSeverity: tandem.Warning}, [3]bool{true, true, true}},
		{"escalations", tandem.Channel{IsActive: true, EscalationOnly: true}, [3]bool{false, false, true}},
	} {
		for i, a := range []tandem.Alert{warning, critical, escalated} {
			if got := wants(&test.channel, &a); got != test.want[i] {
				t.Errorf("%s, alert %d: %v", test.name, i, got)
			}
		}
	}
}
