"use strict";
// Settings of the session: what the API replied is told, recovery codes are shown, and a new password is typed twice.
(() => {
  const told = sessionStorage.getItem("tandem-told");
  sessionStorage.removeItem("tandem-told");
  if (told) toast("success", told);

  document.addEventListener("api:done", (event) => {
    const form = event.target, codes = event.detail?.recovery_codes;
    if (form.dataset.after === "reload") {
      sessionStorage.setItem("tandem-told", form.dataset.told);
      location.assign(location.pathname);
      return;
    }
    form.reset();
    toast("success", form.dataset.told);
    if (codes) reveal(form.closest("[data-factor]"), codes);
  });

  // reveal shows recovery codes in the place of the forms.
  function reveal(place, codes) {
    const shown = place.querySelector("[data-recovery]");
    for (const other of [...place.children]) if (other !== shown) other.remove();
    shown.querySelector("[data-codes]").replaceChildren(...codes.map((code) => {
      const line = document.createElement("li");
      line.textContent = code;
      return line;
    }));
    shown.querySelector("textarea").value = codes.join("\n");
    shown.hidden = false;
    shown.scrollIntoView({ block: "nearest" });
  }

  for (const form of document.querySelectorAll("form[data-same]")) {
    const again = form.querySelector("[data-again]"), once = form.elements.password;
    const look = () => again.setCustomValidity(once.value === again.value ? "" : "The two passwords differ.");
    once.addEventListener("input", look);
    again.addEventListener("input", look);
  }

  // What is offered goes by what was chosen: data-shown-when="name=value".
  function choose() {
    for (const place of document.querySelectorAll("[data-shown-when]")) {
      const [name, value] = place.dataset.shownWhen.split("=");
      const field = place.closest("form")?.elements[name];
      if (field) place.hidden = field.value !== value;
    }
  }
  choose();
  document.addEventListener("change", choose);
})();
