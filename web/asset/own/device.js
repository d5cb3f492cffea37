"use strict";
// A device's page: parts of it are read again when the stream tells of this device, and its sides when it or a link moved.
(() => {
  const card = () => document.querySelector("#device[data-device]");
  const tell = (name) => document.body.dispatchEvent(new CustomEvent(name));

  function about(event) {
    const at = card();
    if (!at) return;
    let told = {};
    try { told = JSON.parse(event.detail?.data ?? "{}"); } catch { /* told without saying of what */ }
    if (!told.ids || told.many || told.ids.includes(at.dataset.device)) tell("device-here");
  }
  for (const kind of ["devices", "device.online", "device.offline"]) document.body.addEventListener(kind, about);

  // A request that waited for another one asks for what the card shows by now.
  document.body.addEventListener("htmx:before:request", (event) => {
    const ctx = event.detail?.ctx;
    if (ctx?.sourceElement?.id === "plots") ctx.request.action = ctx.sourceElement.getAttribute("hx-get");
  });

  let state = card()?.dataset.state;
  document.body.addEventListener("htmx:after:settle", () => {
    const now = card()?.dataset.state;
    if (now && state && now !== state) { state = now; tell("sides"); }
  });

  // An export is a download: the page stays, and so would the dialog.
  document.addEventListener("submit", (event) => {
    if (event.target.querySelector?.("[data-export]")) setTimeout(() => event.target.closest("dialog")?.close(), 0);
  });
})();
