// What tests ask of a page, evaluated through DevTools. A selector is CSS, with ">>" and a text where several match.
const flat = (text) => (text ?? "").replace(/\s+/g, " ").trim();
const words = (el) => flat(el.innerText || el.value || el.getAttribute("aria-label") || el.title);
const shown = (el) => el.checkVisibility({ visibilityProperty: true, opacityProperty: false, contentVisibilityAuto: true }) && el.getClientRects().length > 0;
function all(selector) {
  const [css, ...rest] = selector.split(">>");
  const text = flat(rest.join(">>")).toLowerCase();
  const found = [...document.querySelectorAll(css.trim())].filter(shown);
  if (!text) return found;
  const exact = found.filter((el) => words(el).toLowerCase() === text || flat(el.getAttribute("aria-label")).toLowerCase() === text);
  return exact.length ? exact : found.filter((el) => words(el).toLowerCase().includes(text));
}
const one = (selector) => all(selector)[0];
function control(selector) {
  const el = one(selector);
  return el?.matches("label") ? el.control : el;
}
const tag = (el) => el ? `<${el.localName}${el.id ? "#" + el.id : ""}${typeof el.className === "string" && el.className ? "." + el.className.trim().split(/\s+/).join(".") : ""}>` : "nothing";

// Where to click, once nothing lies over it.
const spot = (selector) => {
  const el = one(selector);
  if (!el) return { why: "nothing visible matches" };
  if (el.disabled || el.getAttribute("aria-disabled") === "true") return { why: "it is disabled" };
  el.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
  const box = [...el.getClientRects()].find((r) => r.width > 0 && r.height > 0);
  if (!box) return { why: "it has no size" };
  const x = box.left + box.width / 2, y = box.top + box.height / 2;
  const hit = document.elementFromPoint(x, y);
  if (!hit) return { why: "it is outside of the window" };
  if (el !== hit && !el.contains(hit) && !hit.contains(el) && hit.closest("label")?.control !== el) return { why: `${tag(hit)} lies over it` };
  return { x, y };
};
const asked = {
  count: (selector) => all(selector).length,
  text: (selector) => { const el = one(selector); return el ? words(el) : null; },
  value: (selector) => { const el = control(selector); return el ? (el.type === "checkbox" || el.type === "radio" ? String(el.checked) : el.value ?? el.textContent) : null; },
  attribute: (selector, name) => { const el = one(selector); return el ? el.getAttribute(name) ?? "" : null; },
  sees: (text, selector) => {
    const within = selector ? all(selector) : [document.body];
    return within.some((el) => el && flat(el.innerText).toLowerCase().includes(flat(text).toLowerCase()));
  },
  page: () => `${document.title}: ${flat(document.body?.innerText).slice(0, 1500)}`,
  // Where an element can be clicked, once it stands still: what has just come may bring itself into view.
  spot: async (selector) => {
    const was = spot(selector);
    if (was.why) return was;
    await Promise.race([new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))), new Promise((done) => setTimeout(done, 50))]);
    const is = spot(selector);
    return is.why || is.x === was.x && is.y === was.y ? is : { why: "it moves" };
  },
  // Puts the cursor into a field with all of its text selected. Fields that are not typed into are set.
  enter: (selector, text) => {
    const el = control(selector);
    if (!el) return { why: "nothing visible matches" };
    if (el.disabled || el.readOnly) return { why: "it cannot be changed" };
    el.scrollIntoView({ block: "center", behavior: "instant" });
    el.focus();
    if (document.activeElement !== el) return { why: "it does not take the focus" };
    if (/^(date|time|datetime-local|month|week|color|range)$/.test(el.type)) {
      el.value = text;
      for (const kind of ["input", "change"]) el.dispatchEvent(new Event(kind, { bubbles: true }));
      return { set: true };
    }
    if (el.select) el.select(); else getSelection().selectAllChildren(el);
    return {};
  },
  choose: (selector, wanted) => {
    const el = control(selector);
    if (!el) return { why: "nothing visible matches" };
    if (el.localName !== "select") return { why: `${tag(el)} is no <select>` };
    const option = [...el.options].find((o) => o.value === wanted) ?? [...el.options].find((o) => flat(o.textContent) === flat(wanted));
    if (!option) return { why: `there is no ${JSON.stringify(wanted)} among ${JSON.stringify([...el.options].map((o) => flat(o.textContent)))}` };
    el.focus();
    if (el.multiple) option.selected = true; else el.value = option.value;
    for (const kind of ["input", "change"]) el.dispatchEvent(new Event(kind, { bubbles: true }));
    return {};
  },
  // Whether the page is wider than its window, and what sticks out.
  wide: (width) => {
    const root = document.documentElement;
    const reach = Math.max(root.scrollWidth, document.body.scrollWidth);
    if (reach <= width + 1) return null;
    const out = [...document.body.querySelectorAll("*")].filter((el) => shown(el) && el.getBoundingClientRect().right > width + 1 && !clipped(el, width));
    return `${reach} pixels wide in a window of ${width}: ${out.slice(0, 5).map(tag).join(" ")}`;
  },
  // Controls that say nothing to somebody who does not see them.
  mute: () => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button], [role=tab], [role=menuitem], [role=checkbox], [role=switch]")]
    .filter((el) => shown(el) && !named(el)).map((el) => el.outerHTML.slice(0, 200)),
  ready: () => document.readyState === "complete",
};
// Whether something scrolls or cuts the element off, so that it widens nothing.
function clipped(el, width) {
  for (let up = el.parentElement; up && up !== document.body; up = up.parentElement) {
    if (getComputedStyle(up).overflowX !== "visible" && up.getBoundingClientRect().right <= width + 1) return true;
  }
  return false;
}
function named(el) {
  const by = (el.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean).map((id) => document.getElementById(id)?.textContent).join("");
  const labels = [...(el.labels ?? [])].map((l) => l.textContent).join("");
  const inside = el.matches("input, select, textarea") ? "" : el.textContent + [...el.querySelectorAll("img[alt], svg[aria-label], svg title")].map((i) => i.getAttribute("alt") ?? i.getAttribute("aria-label") ?? i.textContent).join("");
  const own = /^(submit|button|reset)$/.test(el.type) ? el.value : "";
  return Boolean(flat(by + labels + (el.getAttribute("aria-label") ?? "") + (el.title ?? "") + inside + own));
}
