"use strict";
// Settings that count only with a choice are shown only with it: data-shown-when="name=value", or one of some: "name=value,other".
(() => {
  function all() {
    for (const place of document.querySelectorAll("[data-shown-when]")) {
      const [name, value] = place.dataset.shownWhen.split("=");
      const field = place.closest("form")?.elements[name];
      if (!field) continue;
      place.hidden = !value.split(",").includes(field.value);
      // What nobody sees must not keep the form from being sent: of what is read-only nothing is asked.
      for (const input of place.querySelectorAll("input, textarea")) input.readOnly = place.hidden;
    }
  }
  all();
  document.addEventListener("change", all);
  document.body.addEventListener("htmx:after:settle", all);
})();
