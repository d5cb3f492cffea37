"use strict";
// The demo's short tour: what to look at, and where. It begins with ?tour=1 and stays until it is ended.
(() => {
  const steps = [
    ["", "What you see", "A fleet of simulated devices that live: figures and plots move by themselves. On the right is what needs somebody. Everything here also goes by keyboard: Tab and Enter."],
    ["/devices?sync=error", "A device that fails", "These could not be synced. Open one: its page says why, and shows it here, as last agreed, and on Golioth, side by side."],
    ["/conflicts", "A conflict", "These names were changed on both sides, so neither was overwritten. Press j to go to one, then l to keep ours or g to take Golioth's; or mark several and settle them at once."],
    ["/sync", "A sync, previewed", "Preview shows what a sync would do, on both sides, before anything happens. Apply does exactly that."],
    ["/history", "Undo", "Every run is here, with all that it changed. Open one and undo it: what was edited since is left alone."],
    ["/integrations", "Settings", "One service does not answer, and one waits until somebody lets its deletions through. Open a service to change its interval, fields or strategy."],
  ];
  const key = "tandem-tour";
  const org = location.pathname.match(/^\/o\/[^/]+/)?.[0];
  if (!org) return;
  const at = new URL(location.href);
  let step = Number(sessionStorage.getItem(key) ?? NaN);
  if (at.searchParams.get("tour") === "1") {
    step = 0;
    at.searchParams.delete("tour");
    history.replaceState(null, "", at);
  }
  if (!(step >= 0 && step < steps.length)) return;

  const box = document.createElement("aside");
  box.className = "tour card";
  box.setAttribute("aria-label", "Tour");
  document.body.append(box);

  function button(text, kind, act) {
    const b = document.createElement("button");
    b.type = "button";
    b.className = `btn btn-sm ${kind}`;
    b.textContent = text;
    b.addEventListener("click", act);
    return b;
  }
  function end() { sessionStorage.removeItem(key); box.remove(); }
  function go(n) {
    sessionStorage.setItem(key, n);
    if (n >= steps.length) { end(); return; }
    location.assign(org + steps[n][0]);
  }
  sessionStorage.setItem(key, step);
  const [, title, text] = steps[step];
  const head = document.createElement("h2");
  head.className = "card-title";
  head.textContent = `${step + 1} of ${steps.length}: ${title}`;
  const body = document.createElement("p");
  body.textContent = text;
  const row = document.createElement("div");
  row.className = "d-flex gap-2";
  if (step > 0) row.append(button("Back", "", () => go(step - 1)));
  row.append(button(step + 1 < steps.length ? "Next" : "Done", "btn-primary", () => (step + 1 < steps.length ? go(step + 1) : end())));
  const close = button("End the tour", "btn-ghost-secondary ms-auto", end);
  row.append(close);
  box.append(head, body, row);
})();
