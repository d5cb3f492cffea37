package webtest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed page.js
var script string

// evaluate runs an expression in the page and reads its JSON value. A promise is awaited.
func (p *Page) evaluate(expression string, into any) error {
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("(async () => JSON.stringify(await ("+expression+") ?? null))()", chromedp.EvalAwaitPromise,
		func(e *runtime.EvaluateParams) { yes := true; e.UserGesture = &yes }))
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal([]byte(text), into)
}

// ask calls one of the questions of page.js.
func (p *Page) ask(into any, question string, args ...any) error {
	text, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		return err
	}
	return p.evaluate("(() => { "+script+"\nreturn asked."+question+"(..."+string(text)+"); })()", into)
}

// fatal ends the test with what the page shows.
func (p *Page) fatal(format string, args ...any) {
	p.t.Helper()
	var shows string
	if err := p.ask(&shows, "page"); err != nil {
		shows = "(the page does not answer: " + err.Error() + ")"
	}
	p.Shot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
	p.t.Fatalf("%s\nat %s (%s), which shows: %s", fmt.Sprintf(format, args...), p.Path(), p.options.String(), shows)
}

// until asks again and again until the answer has no reason against it. A page that is being replaced is asked again.
func (p *Page) until(what string, why func() (string, error)) {
	p.t.Helper()
	last := ""
	err := waitFor(Patience, func() (bool, error) {
		reason, err := why()
		if err != nil {
			reason = err.Error()
		}
		last = reason
		return reason == "", p.ctx.Err()
	})
	if err != nil {
		p.fatal("%s: %s (%v)", what, last, err)
	}
}

// place is where something can be done, or why not yet.
type place struct {
	X, Y float64
	Why  string
	Set  bool
}

// Click clicks the first visible element that matches, once it is enabled and nothing lies over it.
func (p *Page) Click(selector string) {
	p.t.Helper()
	var at place
	p.until("click "+selector, func() (string, error) {
		at = place{}
		err := p.ask(&at, "spot", selector)
		return at.Why, err
	})
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.MouseClickXY(at.X, at.Y)); err != nil {
		p.fatal("click %s: %v", selector, err)
	}
}

// Fill types a text into a field in the place of what is there. The selector may name the field or its label.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	var at place
	p.until("fill "+selector, func() (string, error) {
		at = place{}
		err := p.ask(&at, "enter", selector, text)
		return at.Why, err
	})
	if at.Set {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	do := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
	if text == "" {
		do = chromedp.KeyEvent(kb.Delete)
	}
	if err := chromedp.Do(ctx, do); err != nil {
		p.fatal("fill %s: %v", selector, err)
	}
}

// Choose chooses an option of a <select>, by its value or its text. The selector may name the field or its label.
func (p *Page) Choose(selector, option string) {
	p.t.Helper()
	p.until("choose "+option+" in "+selector, func() (string, error) {
		var at place
		err := p.ask(&at, "choose", selector, option)
		return at.Why, err
	})
}

// keys are those with a name.
var keys = map[string]string{"Enter": kb.Enter, "Escape": kb.Escape, "Tab": kb.Tab, "Space": " ", "Backspace": kb.Backspace, "Delete": kb.Delete,
	"ArrowDown": kb.ArrowDown, "ArrowUp": kb.ArrowUp, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight, "Home": kb.Home, "End": kb.End,
	"PageDown": kb.PageDown, "PageUp": kb.PageUp}

var modifiers = map[string]chromedp.Modifier{"Shift": chromedp.ModifierShift, "Control": chromedp.ModifierCtrl, "Alt": chromedp.ModifierAlt}

// Press presses keys where the focus is: a name such as "Enter" or "Shift+Tab", or letters such as "j".
func (p *Page) Press(key string) {
	p.t.Helper()
	parts := strings.Split(key, "+")
	var held []chromedp.Modifier
	for len(parts) > 1 {
		m, ok := modifiers[parts[0]]
		if !ok {
			break
		}
		held, parts = append(held, m), parts[1:]
	}
	text := strings.Join(parts, "+")
	if named, ok := keys[text]; ok {
		text = named
	}
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.KeyEvent(text, chromedp.KeyModifiers(held...))); err != nil {
		p.fatal("press %s: %v", key, err)
	}
}

// WaitFor waits until something visible matches.
func (p *Page) WaitFor(selector string) {
	p.t.Helper()
	p.WaitCount(selector, func(n int) bool { return n > 0 })
}

// WaitGone waits until nothing visible matches.
func (p *Page) WaitGone(selector string) {
	p.t.Helper()
	p.WaitCount(selector, func(n int) bool { return n == 0 })
}

// WaitCount waits until as many visible elements match as are wanted.
func (p *Page) WaitCount(selector string, wanted func(n int) bool) {
	p.t.Helper()
	p.until("wait for "+selector, func() (string, error) {
		var n int
		err := p.ask(&n, "count", selector)
		if err == nil && wanted(n) {
			return "", nil
		}
		return fmt.Sprintf("%d visible elements match", n), err
	})
}

// Count counts the visible elements that match now.
func (p *Page) Count(selector string) int {
	p.t.Helper()
	var n int
	if err := p.ask(&n, "count", selector); err != nil {
		p.fatal("count %s: %v", selector, err)
	}
	return n
}

// Text gives the text of the first visible element that matches, once there is one, with single spaces.
func (p *Page) Text(selector string) string { p.t.Helper(); return p.read("text", selector) }

// Value gives what a field holds; of a checkbox "true" or "false".
func (p *Page) Value(selector string) string { p.t.Helper(); return p.read("value", selector) }

// Attribute gives an attribute of the first visible element that matches, "" where it has none.
func (p *Page) Attribute(selector, name string) string {
	p.t.Helper()
	return p.read("attribute", selector, name)
}

func (p *Page) read(question, selector string, more ...any) string {
	p.t.Helper()
	var text *string
	p.until("read "+selector, func() (string, error) {
		err := p.ask(&text, question, append([]any{selector}, more...)...)
		if err == nil && text == nil {
			return "nothing visible matches", nil
		}
		return "", err
	})
	return *text
}

// See waits until the page shows a text, in upper or lower case.
func (p *Page) See(text string) { p.t.Helper(); p.sees(text, "", true) }

// SeeIn waits until an element that matches shows a text.
func (p *Page) SeeIn(selector, text string) { p.t.Helper(); p.sees(text, selector, true) }

// NotSee waits until the page does not show a text.
func (p *Page) NotSee(text string) { p.t.Helper(); p.sees(text, "", false) }

// NotSeeIn waits until no element that matches shows a text.
func (p *Page) NotSeeIn(selector, text string) { p.t.Helper(); p.sees(text, selector, false) }

func (p *Page) sees(text, selector string, wanted bool) {
	p.t.Helper()
	p.until(fmt.Sprintf("see %q in %q: %t", text, selector, wanted), func() (string, error) {
		var there bool
		err := p.ask(&there, "sees", text, selector)
		if err == nil && there == wanted {
			return "", nil
		}
		return "it is not so", err
	})
}

// Told waits for a message about an action.
func (p *Page) Told(text string) { p.t.Helper(); p.SeeIn(".toast-line", text) }

// Confirm answers the page's question, once it is asked: with yes, or with no.
func (p *Page) Confirm(yes bool) {
	p.t.Helper()
	p.WaitFor("dialog#confirm[open]")
	answer := "no"
	if yes {
		answer = "yes"
	}
	p.Click("dialog#confirm button[value=" + answer + "]")
	p.WaitGone("dialog#confirm[open]")
}

// Eval runs a JavaScript expression and reads its value into a pointer; nil ignores it. A promise is awaited.
func (p *Page) Eval(expression string, into any) {
	p.t.Helper()
	if err := p.evaluate(expression, into); err != nil {
		p.fatal("evaluate %s: %v", expression, err)
	}
}

// Path gives the address that is open, without the server.
func (p *Page) Path() string {
	p.t.Helper()
	var at string
	if err := p.evaluate("location.pathname + location.search", &at); err != nil {
		return p.opened
	}
	return at
}

// WaitPath waits until the address begins with one of the texts.
func (p *Page) WaitPath(prefixes ...string) {
	p.t.Helper()
	p.until("wait for "+strings.Join(prefixes, " or "), func() (string, error) {
		at := p.Path()
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(at, prefix) }) {
			return "", nil
		}
		return "it is " + at, nil
	})
}
