/* Forms, buttons and questions, and how each says what came of it.
 *
 * Rule: whatever is done says so, and what the server refuses is said at the field it is about, or at the
 * button. What cannot be undone is asked first. What a key may not do is a sentence, not a button.
 */

import { h, say } from "./dom.js";
import { beside, pressed, unsaid, worded } from "./refusals.js";
import { t } from "./texts.js";

const TOLD_MS = 6000;
let numbers = 0;

/** Says what happened, at the foot of the page; so is a failure that has no better place. */
export class Toasts {
  constructor(told, failed) {
    this._boxes = { told, failed };
    this._timers = {};
  }

  told(text) {
    this._show("told", text);
  }

  failed(error) {
    this._show("failed", worded(error));
  }

  _show(box, text) {
    say(this._boxes[box], text);
    clearTimeout(this._timers[box]);
    this._timers[box] = setTimeout(() => say(this._boxes[box], ""), TOLD_MS);
    if (box === "told") say(this._boxes.failed, "");
  }
}

/** `press` may be awaited; what it throws is said beside the button. */
export function button(text, press, props = {}) {
  const { class: kind = "", ...rest } = props;
  const made = h("button", { type: "button", class: `button ${kind}`, ...rest }, text);
  made.addEventListener("click", () => pressed(made, press));
  return made;
}

/** In place of what did not load. */
export const failed = (error, again) => [
  h("p", { class: "problem", role: "alert" }, worded(error)), button(t("reload"), again)];

/** What is there with a scope, else the sentence that says which is missing. */
export function withScope(may, scope, make) {
  return may(scope) ? make() : h("p", { class: "note needs" }, t("needs", { scope }));
}

export function input(name, props = {}) {
  return h("input", { name, autocomplete: "off", spellcheck: "false", ...props });
}

export function area(name, props = {}) {
  return h("textarea", { name, rows: 3, spellcheck: "false", ...props });
}

/** A choice of [value, text] pairs. */
export function choice(name, options, value) {
  const made = h("select", { name }, options.map(([one, text]) => h("option", { value: one }, text)));
  if (value !== undefined) made.value = value;
  return made;
}

/** A control under its label, with a place for what is wrong with it. */
export function field(label, control, hint = "") {
  const number = ++numbers;
  control.id = `field-${number}`;
  const wrong = h("span", { class: "problem", id: `problem-${number}` });
  control.setAttribute("aria-describedby", wrong.id);
  const isCheck = control.type === "checkbox";
  return h("div", { class: isCheck ? "row row-check" : "row" },
    h("label", { for: control.id }, label), control, hint && h("span", { class: "note" }, hint), wrong);
}

/** A form of rows: `submit(values)` is awaited, what it returns is told; what is refused stands at its
 *  field, or at its button. `values` are strings by name, true or false for a check. `fields` are the names of
 *  controls that the server calls otherwise. */
export function form({ rows, button: text, submit, toasts, label, kind = "", fields = {} }) {
  const go = h("button", { type: "submit", class: "button strong" }, text);
  const made = h("form", { class: `form ${kind}`, "aria-label": label, novalidate: true }, rows, go);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    clear(made);
    unsaid(go);
    go.disabled = true;
    try {
      const told = await submit(values(made));
      if (told) toasts.told(told);
    } catch (error) {
      const first = place(made, error, fields);
      if (first) first.focus();
      else beside(go, error);
    } finally {
      go.disabled = false;
    }
  });
  return made;
}

function values(made) {
  const found = {};
  for (const control of made.elements) {
    if (!control.name) continue;
    found[control.name] = control.type === "checkbox" ? control.checked : control.value;
  }
  return found;
}

function clear(made) {
  for (const wrong of made.querySelectorAll(".problem")) say(wrong, "");
  for (const control of made.elements) control.removeAttribute("aria-invalid");
}

/** Put each problem at its field; the first of those fields. */
function place(made, error, fields) {
  let first;
  for (const { path = "", message } of error.problems ?? []) {
    const name = path.replace(/^messages?(\[\d+\])?\./u, "").replace(/[.[].*$/u, "");
    const control = name && made.elements.namedItem(fields[name] ?? name);
    if (!control || !control.id) continue;
    const wrong = document.getElementById(control.getAttribute("aria-describedby"));
    const told = t("field_wrong", { message });
    say(wrong, wrong.textContent ? `${wrong.textContent}; ${told}` : told);
    control.setAttribute("aria-invalid", "true");
    first ??= control;
  }
  return first;
}

/** A dialog over the page, out of the way when it is closed: Escape does that, too. */
export function dialog(title, content, buttons) {
  const name = h("h2", { id: `field-${++numbers}` }, title);
  const made = h("dialog", { class: "dialog", "aria-labelledby": name.id },
    name, content, h("div", { class: "buttons" }, buttons));
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

/** Whether somebody is sure of it. */
export function sure(text, yes) {
  return new Promise((resolve) => {
    const made = dialog(text, [], [
      button(t("cancel"), () => made.close()),
      button(yes, () => made.close("yes"), { class: "danger" }),
    ]);
    made.addEventListener("close", () => resolve(made.returnValue === "yes"));
  });
}

export const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
