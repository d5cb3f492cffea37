"use strict";
// A device's page: parts of it are read again when the stream tells of this device, and its sides when it or a link moved.
(() => {
  const card = () => document.querySelector("#device[data-device]");
  const tell = (name) => document.body.dispatchEvent(new CustomEvent(name));

  // about tells the page's parts of an event, where it is about this device.
  function about(event, name) {
    const at = card()?.dataset.device ?? document.querySelector("[data-about]")?.dataset.about;
    if (!at) return;
    let told = {};
    try { told = JSON.parse(event.detail?.data ?? "{}"); } catch { /* told without saying of what */ }
    if (!told.ids || told.many || told.ids.includes(at)) tell(name);
  }
  for (const kind of ["devices", "device.online", "device.offline"]) document.body.addEventListener(kind, (event) => about(event, "device-here"));
  for (const kind of ["commands", "credentials"]) document.body.addEventListener(kind, (event) => about(event, kind + "-here"));

  // What has to be JSON says so before it is sent.
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("[data-json]")) return;
    let wrong = "";
    try { if (event.target.value.trim()) JSON.parse(event.target.value); } catch { wrong = "This is not JSON: a text stands in double quotes, names too."; }
    event.target.setCustomValidity(wrong);
  });

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
