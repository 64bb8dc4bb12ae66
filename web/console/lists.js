/* Who is muted or banned, in a room or everywhere, and banned addresses: seen, added, lifted. */

import { path } from "./api.js";
import { Table, h, once } from "./dom.js";
import { button, field, form, input } from "./forms.js";
import { worded } from "./refusals.js";
import { placeOf, sanction, spanField, untilText, whyField } from "./sanctions.js";
import { t } from "./texts.js";

/** What differs between them: where they are, what the list is called, whose they are. */
function kindOf(kind, room) {
  if (kind === "addresses") {
    return { at: "bans/addresses", list: "bans", whose: "address", label: t("address_label"), add: t("ban"), done: "banned_done", none: t("bans_none") };
  }
  const muting = kind === "mutes";
  return {
    at: placeOf(kind, room), list: kind, whose: "uid", label: t("uid"),
    add: t(muting ? "mute" : "ban"), done: muting ? "muted_done" : "banned_done",
    none: t(muting ? "mutes_none" : "bans_none"),
  };
}

export function listOf(context, kind, room) {
  const { api, act, toasts } = context;
  const { at, list, whose, label, add, done, none } = kindOf(kind, room);
  let rows = [];
  let next = null;
  const table = new Table({
    label: `${add}, ${label}: ${room ?? t("everywhere")}`,
    empty: none,
    key: (row) => row[whose],
    columns: [
      { title: label, class: "name-cell", cell: (row, td) => named(row[whose], whose, td) },
      { title: t("until"), cell: ({ until }) => untilText(until) },
      { title: t("why"), cell: ({ reason = "" }) => reason },
      { title: t("who"), cell: ({ by = "" }) => by },
      { title: "", class: "act-cell", cell: (row, td) => {
        once(td, () => button(t("lift"), () => lift(row[whose]), { "aria-label": t("lift_of", { name: row[whose] }) }));
      } },
    ],
  });
  const more = button(t("next"), () => load(next));

  async function load(after = "") {
    try {
      const page = await api.get(`${at}?limit=100&after=${encodeURIComponent(after)}`);
      rows = after ? [...rows, ...page[list]] : page[list];
      next = page.next;
      table.update(rows);
      more.hidden = next === null;
    } catch (error) {
      table.fail(worded(error));
    }
  }

  async function lift(name) {
    await act(() => api.call("DELETE", `${at}/${path(name)}`), () => t("lifted"));
    await load();
  }

  const made = form({
    kind: "inline", label: `${add}: ${label}`, button: add, toasts,
    rows: [field(label, input(whose, { required: true })), spanField(), whyField()],
    async submit(given) {
      const name = given[whose].trim();
      if (!name) return made.elements[whose].focus();
      await api.call("PUT", `${at}/${path(name)}`, sanction(given));
      made.elements[whose].value = "";
      await load();
      return t(done, { name });
    },
  });
  more.hidden = true;
  load();
  return { element: h("div", { class: "list" }, made, table.element, more), load };
}

function named(name, whose, td) {
  if (whose === "address") return name;
  const link = once(td, () => h("a", { dir: "auto" }));
  link.textContent = name;
  link.href = `#users/${encodeURIComponent(name)}`;
  return undefined;
}
