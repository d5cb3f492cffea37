"use strict";
// Light or dark, before anything is drawn: as chosen here, else as the system has it.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("tandem-theme"); } catch { return null; } };
  const apply = () => {
    document.documentElement.dataset.bsTheme = chosen() ?? (system.matches ? "dark" : "light");
    dispatchEvent(new Event("themechange"));
  };
  apply();
  system.addEventListener("change", apply);
  addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-toggle]")) return;
    const next = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
    try { localStorage.setItem("tandem-theme", next); } catch { /* it lasts for this page then */ }
    document.documentElement.dataset.bsTheme = next;
    dispatchEvent(new Event("themechange"));
  });
})();
