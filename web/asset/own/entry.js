"use strict";
// Signing in and joining with an account that is there: the API's replies set and end the session's cookie.
(() => {
  const form = document.querySelector("form[data-enter]");
  if (form) enter(form);
  for (const twice of document.querySelectorAll("form[data-twice]")) same(twice);

  function enter(form) {
    const said = form.querySelector("[data-said]");
    const button = form.querySelector("button:not([type=button])");
    const tell = (text) => { said.textContent = text; said.hidden = !text; };

    async function ask(method, path, body) {
      const reply = await fetch("/api/v1/session" + path, { method, headers: { "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
      const told = reply.status === 204 ? {} : await reply.json();
      if (!reply.ok) throw new Refused(told);
      return told;
    }

    // step shows one part of the form.
    function step(name) {
      form.dataset.enter = name;
      for (const part of form.querySelectorAll("[data-step]")) {
        part.hidden = part.dataset.step !== name;
        for (const input of part.querySelectorAll("input")) { input.disabled = part.hidden; input.required = !part.hidden; }
      }
      focus();
    }

    function focus() {
      const inputs = [...form.querySelectorAll("[data-step]:not([hidden]) input:not([readonly])")];
      (inputs.find((i) => !i.value) ?? inputs[0])?.focus();
    }

    // go accepts the invitation, where there is one, and leads on.
    async function go() {
      if (form.dataset.secret) await ask("POST", "/invitation/join", { secret: form.dataset.secret });
      location.assign(form.dataset.next);
    }

    const act = {
      password: async (values) => {
        const told = await ask("POST", "", values);
        if (told.second_factor_required) step("code"); else await go();
      },
      code: async (values) => { await ask("POST", "/second-step", values); await go(); },
      join: go,
      leave: async () => { await ask("DELETE", ""); location.reload(); },
    };

    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      tell("");
      try {
        await act[form.dataset.enter](Object.fromEntries(new FormData(form)));
      } catch (failure) {
        tell(failure instanceof Refused ? failure.text : "The server does not answer. Try again.");
        if (failure instanceof Refused) form.querySelector("[data-step]:not([hidden]) input[type=password], [data-step]:not([hidden]) input[name=code]")?.select();
      } finally {
        button.disabled = false;
      }
    });

    if (form.querySelector("[data-step]")) step(form.dataset.enter);
  }

  // same has a password typed twice before it is sent, so that neither has to be typed anew.
  function same(form) {
    const [once, again] = [form.elements.password, form.elements.again];
    const look = () => again.setCustomValidity(once.value === again.value ? "" : "The two passwords differ.");
    once.addEventListener("input", look);
    again.addEventListener("input", look);
    (form.querySelector("[aria-invalid]") ?? [...form.querySelectorAll("input:not([type=hidden]):not([readonly])")].find((i) => !i.value))?.focus();
  }

  function Refused(told) {
    const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "");
    this.text = [sentence(told.detail), sentence(told.hint)].filter(Boolean).join(" ");
  }
})();
