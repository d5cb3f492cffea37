"use strict";
// Sends what the form holds to the API, whose reply sets the session's cookie.
const form = document.querySelector("form");
const said = document.querySelector("#said");
const parts = { password: document.querySelector("#password"), code: document.querySelector("#code") };

function ask(step) {
  for (const [name, part] of Object.entries(parts)) {
    part.hidden = name !== step;
    for (const input of part.querySelectorAll("input")) input.disabled = part.hidden;
  }
  form.dataset.step = step;
  parts[step].querySelector("input").focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const step = form.dataset.step;
  const button = form.querySelector("button");
  button.disabled = true;
  said.textContent = "";
  try {
    const reply = await fetch(step === "code" ? "/api/v1/session/second-step" : "/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    const told = await reply.json();
    if (!reply.ok) {
      said.textContent = told.detail + (told.hint ? "; " + told.hint : "");
    } else if (told.second_factor_required) {
      ask("code");
    } else {
      location.assign(form.dataset.next);
    }
  } catch {
    said.textContent = "The server does not answer. Try again.";
  } finally {
    button.disabled = false;
  }
});

ask(form.dataset.step);
