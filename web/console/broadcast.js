/* Something said to many: rooms as a message, everybody or users as a notice. */

import { h } from "./dom.js";
import { area, choice, field, form, input, lines, sure, withScope } from "./forms.js";
import { kindField } from "./room.js";
import { t } from "./texts.js";

const TARGETS = ["rooms", "all", "users"];
const MODES = ["scroll", "top", "bottom", "reverse"];

export function broadcast(context) {
  const { may } = context;
  const element = h("div", { class: "view" }, h("h1", {}, t("broadcast")),
    withScope(may, "publish", () => h("section", { class: "panel" }, sendForm(context))));
  return { element, heard: {} };
}

function sendForm({ api, toasts }) {
  const to = choice("to", TARGETS.map((one) => [one, t(`to_${one}`)]), "rooms");
  const names = area("names");
  const namesRow = field(t("names"), names);
  const only = [field(t("mode"), choice("mode", MODES.map((one) => [one, t(`mode.${one}`)])))];
  to.addEventListener("change", () => {
    namesRow.hidden = to.value === "all";
    for (const row of only) row.hidden = to.value !== "rooms";
  });
  const made = form({
    label: t("broadcast"), button: t("send"), toasts, fields: { rooms: "names", users: "names" },
    rows: [field(t("to"), to), namesRow, field(t("text"), area("text", { rows: 2 })),
      field(t("name"), input("name", { value: "system", maxlength: 32 })),
      field(t("color"), input("color", { type: "color", value: "#ffffff" })), ...only, kindField()],
    async submit(given) {
      if (given.to === "all" && !(await sure(t("broadcast_sure", { text: given.text }), t("send")))) return "";
      const done = await api.call("POST", "broadcast", bodyOf(given));
      made.elements.text.value = "";
      if (given.to === "all") return t("broadcast_done");
      return t("broadcast_rooms", { count: done.accepted ?? done.notices.length });
    },
  });
  return made;
}

/** What the API takes. Mode is a message's only. */
export function bodyOf({ to, names, text, name, color, mode, kind }) {
  const message = { text, name, color: parseInt(color.slice(1), 16) };
  if (to === "rooms") message.mode = mode;
  if (kind) message.kind = kind;
  return { [to]: to === "all" ? true : lines(names), message };
}
