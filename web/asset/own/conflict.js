"use strict";
// The keys of the conflicts' page. The current conflict is the one with the focus in it, else the one that had it last.
(() => {
  const rows = () => [...document.querySelectorAll("[data-conflict]")];
  const on = document.querySelector("#keys-on");
  let current = "", place = 0;

  const off = () => { try { return localStorage.getItem("tandem-keys") === "off"; } catch { return false; } };
  if (on) {
    on.checked = !off();
    on.addEventListener("change", () => { try { localStorage.setItem("tandem-keys", on.checked ? "on" : "off"); } catch { /* it lasts for this page then */ } });
  }

  function here() {
    const all = rows();
    return all.find((r) => r.id === current) ?? null;
  }

  function mark() {
    const all = rows(), row = here();
    for (const r of all) r.classList.toggle("current", r === row);
    if (row) place = all.indexOf(row);
  }

  function move(by) {
    const all = rows();
    if (!all.length) return;
    const row = here();
    // Where the current one was settled, the next has come to its place.
    const at = row ? all.indexOf(row) + by : current ? (by > 0 ? place : place - 1) : 0;
    const to = all[Math.max(0, Math.min(all.length - 1, at))];
    current = to.id;
    mark();
    to.focus({ preventScroll: true });
    to.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("[data-conflict]");
    if (row && row.id !== current) { current = row.id; mark(); }
  });
  document.addEventListener("click", (event) => {
    const row = event.target.closest("[data-conflict]");
    if (row && row.id !== current) { current = row.id; mark(); }
  });

  const typing = (el) => el.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || off() || typing(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const done = () => event.preventDefault();
    switch (event.key) {
      case "j": done(); return move(1);
      case "k": done(); return move(-1);
      case "?": done(); return document.querySelector("#keys")?.showModal();
      case "/": { const search = document.querySelector("#search"); if (search) { done(); search.focus(); search.select(); } return; }
    }
    const row = here() ?? (rows().length === 1 ? rows()[0] : null);
    if (event.key === "x") {
      const box = row?.querySelector('input[name="id"]');
      if (box) { done(); box.click(); }
      return;
    }
    const bar = document.querySelector("#many:not([hidden])");
    const many = bar?.querySelector(`[data-many="${CSS.escape(event.key)}"]`);
    if (many) { done(); return many.click(); }
    if (event.key === "o") { done(); return row?.querySelector("[data-open-row]")?.click(); }
    const button = row?.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (button) { done(); button.click(); }
  });

  // A list that was read again: the current one stays marked, and where it was settled the focus goes to what took its place.
  document.body.addEventListener("htmx:after:settle", () => {
    if (!current) return;
    if (!here()) {
      const all = rows();
      const lost = document.activeElement === document.body || !document.activeElement;
      if (all.length && lost && !document.querySelector("dialog[open]")) {
        const to = all[Math.min(place, all.length - 1)];
        current = to.id;
        to.focus({ preventScroll: true });
      }
    }
    mark();
  });
})();
