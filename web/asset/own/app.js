"use strict";
// What every page does by itself: messages, dialogs, times that stay true, copying, selecting, the live stream's lamp.

const toasts = () => document.querySelector("#toasts");

// toast tells something; problems stay until they are closed.
function toast(kind, text) {
  const line = document.createElement("div");
  line.className = `toast-line toast-${kind}`;
  line.dataset.toast = kind;
  line.append(document.createTextNode(text));
  toasts().append(line);
  keep(line);
}

function keep(line) {
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn-close";
  close.setAttribute("aria-label", "Close this message");
  close.addEventListener("click", () => line.remove());
  line.append(close);
  if (line.dataset.toast !== "danger") setTimeout(() => line.remove(), 8000);
}

for (const line of document.querySelectorAll(".toast-line")) keep(line);
document.body.addEventListener("toasts", (event) => {
  for (const t of event.detail.list ?? []) toast(t.kind, t.text);
});
const away = "The server does not answer. What you typed is still here; try again.";
const lines = (text) => [...toasts().children].filter((line) => line.firstChild?.textContent === text);
document.body.addEventListener("htmx:error", (event) => {
  const ctx = event.detail?.ctx;
  if (!ctx || ctx.response || ctx.sourceElement?.id === "stream") return;
  if (!lines(away).length) toast("danger", away); // once, however many parts of the page ask
});

// Dialogs: data-open="#id", data-close. One that a reply brings opens by itself.
document.addEventListener("click", (event) => {
  const open = event.target.closest("[data-open]");
  if (open) document.querySelector(open.dataset.open)?.showModal();
  if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
  const toggle = event.target.closest("[data-toggle]");
  if (toggle) {
    const shown = document.querySelector(toggle.dataset.toggle).classList.toggle("show");
    toggle.setAttribute("aria-expanded", String(shown));
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) copyText(copy);
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
});

async function copyText(button) {
  const from = document.querySelector(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(from.value ?? from.textContent);
    toast("success", "Copied.");
  } catch {
    from.select?.();
    toast("warning", "This browser does not let pages copy. The text is selected: press Ctrl-C.");
  }
}

// hx-confirm asks in a dialog of the page.
document.body.addEventListener("htmx:confirm", (event) => {
  const source = event.detail.ctx?.sourceElement ?? event.target;
  const question = source.getAttribute?.("hx-confirm");
  if (!question) return;
  event.preventDefault();
  const dialog = document.querySelector("#confirm");
  dialog.querySelector("#confirm-text").textContent = question;
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "yes") event.detail.issueRequest();
    else event.detail.dropRequest?.();
  }, { once: true });
  dialog.showModal();
});

// Times.
const units = [[86400 * 2, 86400, "days"], [3600, 3600, "h"], [60, 60, "min"], [0, 1, "s"]];
function ago(at) {
  const seconds = (Date.now() - at) / 1000;
  const past = seconds >= 0;
  if (past && seconds < 5) return "just now";
  const length = Math.abs(seconds);
  const [, size, unit] = units.find(([from]) => length >= from);
  const text = `${Math.floor(length / size)} ${unit}`;
  return past ? `${text} ago` : `in ${text}`;
}
function tick() {
  for (const t of document.querySelectorAll("time[data-ago]")) {
    const at = Date.parse(t.dateTime);
    const text = ago(at);
    if (t.textContent !== text) t.textContent = text;
    if (!t.dataset.local) {
      t.dataset.local = "yes";
      t.title = new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    }
  }
}
// clocks writes times of day as they are where the person is, with the day where it is not today.
function clocks() {
  for (const t of document.querySelectorAll("time[data-clock]:not([data-local])")) {
    const at = new Date(t.dateTime), today = at.toDateString() === new Date().toDateString();
    t.dataset.local = "yes";
    t.title = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    t.textContent = at.toLocaleString("en-GB", { ...(today ? {} : { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit" });
  }
}
tick();
clocks();
setInterval(tick, 5000);

// A table or value that is larger than its place can be scrolled by keyboard too.
function reach() {
  for (const box of document.querySelectorAll(":is(.table-responsive, pre.value):not([tabindex])")) {
    if ((box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight) || box.querySelector("a[href], button, input, select, summary")) continue;
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", box.localName === "pre" ? "Value" : "Table");
  }
}
reach();
addEventListener("resize", reach);

// What a person unfolded stays so when its part is read again.
window.htmx?.registerExtension("unfolded", {
  htmx_before_morph_attr: (element, { attrName, newValue }) => !(attrName === "open" && newValue === null && element.matches("details")),
});

// What a reply brought.
document.body.addEventListener("htmx:after:settle", () => {
  tick();
  clocks();
  reach();
  for (const dialog of document.querySelectorAll("dialog[data-show]:not([open])")) dialog.showModal();
  // What is wrong with a form, or what somebody else changed meanwhile, is brought to the person's eyes: once, since other parts settle too.
  for (const form of document.querySelectorAll("form[data-focus-invalid]:not([data-looked])")) {
    form.dataset.looked = "yes";
    const wrong = form.querySelector("[aria-invalid]");
    if (wrong) wrong.focus(); else form.querySelector(".alert[role=alert]")?.scrollIntoView({ block: "start" });
  }
  for (const table of document.querySelectorAll("[data-select]")) counted(table);
});
document.addEventListener("close", (event) => {
  if (event.target.matches?.("dialog[data-show]")) event.target.remove();
}, true);
// An action that is done says so with this event, and its dialog has served.
document.body.addEventListener("close-dialogs", () => {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
});

// Selecting rows: a container with data-select, one checkbox with data-select-all, the others named "id".
// What needs a selection has data-needs-selection; [data-selected] shows how many.
function boxes(container) { return [...container.querySelectorAll('input[type=checkbox][name="id"]')]; }
function counted(container) {
  const all = boxes(container), on = all.filter((b) => b.checked).length;
  const whole = container.querySelector('[name="all"]');
  const every = whole?.value === "on" && (whole.type !== "checkbox" || whole.checked);
  for (const b of container.querySelectorAll("[data-needs-selection]")) b.disabled = on === 0 && !every;
  for (const s of container.querySelectorAll("[data-selected]")) s.textContent = every ? s.dataset.every ?? on : on;
  for (const s of container.querySelectorAll("[data-shown-with-selection]")) s.hidden = on === 0 && !every;
  for (const s of container.querySelectorAll("[data-hidden-with-selection]")) s.hidden = on > 0 || every;
  if (every && whole.type === "checkbox") for (const b of all) b.checked = true; // also those that came since
  const head = container.querySelector("[data-select-all]");
  if (head) { head.checked = on > 0 && on === all.length; head.indeterminate = on > 0 && on < all.length; }
}
document.addEventListener("change", (event) => {
  const container = event.target.closest?.("[data-select]");
  if (!container) return;
  // A box for all that there is marks those on the page too, and holds no longer once one of them is taken out.
  const whole = container.querySelector('input[type=checkbox][name="all"]');
  if (event.target === whole || event.target.matches("[data-select-all]")) for (const b of boxes(container)) b.checked = event.target.checked;
  if (whole && event.target.name === "id" && !event.target.checked || event.target.matches("[data-select-all]:not(:checked)")) whole.checked = false;
  counted(container);
});
for (const table of document.querySelectorAll("[data-select]")) counted(table);

// The stream's lamp.
const lamp = document.querySelector("#live");
const say = (state, text) => { if (lamp && lamp.dataset.live !== state) { lamp.dataset.live = state; lamp.textContent = text; } };
document.body.addEventListener("htmx:sse:after:connection", (event) => {
  if ((event.detail?.connection?.status ?? 200) >= 400) return;
  say("on", "Live");
  for (const line of lines(away)) line.remove();
});
if (document.querySelector("#stream")?._htmx?.sse?.status < 400) say("on", "Live"); // it was connected before this was read
document.body.addEventListener("htmx:sse:error", () => say("off", "Not live: trying again"));
document.body.addEventListener("htmx:sse:close", () => say("off", "Not live"));
// htmx tries again where a connection ends, and not where the first one did not come about.
let pause = 5;
function reconnect() {
  const stream = document.querySelector("#stream");
  if (!stream) return;
  if (stream._htmx?.sse) {
    pause = 5;
  } else {
    say("off", "Not live: trying again");
    pause = Math.min(pause * 2, 60);
    stream.dispatchEvent(new Event("again"));
  }
  setTimeout(reconnect, pause * 1000);
}
setTimeout(reconnect, pause * 1000);

// Signing out.
document.addEventListener("click", async (event) => {
  if (!event.target.closest("[data-sign-out]")) return;
  try {
    await fetch("/api/v1/session", { method: "DELETE" });
    location.assign("/sign-in");
  } catch {
    toast("danger", "The server does not answer. You are still signed in.");
  }
});

// Forms that talk to the API, since it keeps the session: data-api="METHOD /path", data-then="reload", "event:name" or an address.
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-api]");
  if (!form) return;
  event.preventDefault();
  const [method, path] = form.dataset.api.split(" ");
  const button = form.querySelector("button:not([type=button])");
  const said = form.querySelector("[data-said]");
  if (button) button.disabled = true;
  if (said) said.textContent = "";
  try {
    const body = JSON.stringify(Object.fromEntries(new FormData(form)));
    const reply = await fetch(path, { method, headers: { "Content-Type": "application/json" }, body });
    const told = reply.status === 204 ? {} : await reply.json();
    if (!reply.ok) {
      const text = told.detail + (told.hint ? ". " + told.hint : "");
      if (said) said.textContent = text; else toast("danger", text);
    } else if (form.dataset.then === "event") {
      form.dispatchEvent(new CustomEvent("api:done", { bubbles: true, detail: told }));
    } else if (form.dataset.then && form.dataset.then !== "reload") {
      location.assign(form.dataset.then);
    } else {
      location.reload();
    }
  } catch {
    if (said) said.textContent = "The server does not answer. Try again.";
  } finally {
    if (button) button.disabled = false;
  }
});

// A link back to a list leads to where the person came from, with its filters.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-back]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !document.referrer) return;
  const from = new URL(document.referrer);
  if (from.origin !== location.origin || from.pathname !== link.pathname || !from.search) return;
  event.preventDefault();
  location.assign(from);
});
