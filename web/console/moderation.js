/* What moderators look after: reports, mutes and bans everywhere, words, and the audit of it all. */

import { path } from "./api.js";
import { Table, h, once } from "./dom.js";
import { button, withScope } from "./forms.js";
import { listOf } from "./lists.js";
import { worded } from "./refusals.js";
import { actOn } from "./sanctions.js";
import { clock, day, knows, named, t } from "./texts.js";
import { wordsPanel } from "./wordlists.js";

const PARTS = ["reports", "mutes", "bans", "words", "audit"];
const MOST = 500;

export function moderation(context, part = "reports") {
  const { may } = context;
  const shown = PARTS.includes(part) ? part : "reports";
  const made = may("moderate") ? VIEWS[shown](context) : { heard: {} };
  const links = PARTS.map((one) => h("a", {
    href: `#moderation/${one}`, "aria-current": one === shown ? "page" : null }, t(one)));
  const element = h("div", { class: "view" }, h("h1", {}, t("moderation")),
    withScope(may, "moderate", () => [
      h("nav", { class: "parts", "aria-label": t("moderation") }, links), made.element]));
  return { element, heard: made.heard, again: made.again };
}

const panel = (title, ...content) => h("section", { class: "panel" }, h("h2", {}, title), content);

const VIEWS = {
  reports,
  mutes: (context) => still(panel(t("mutes"), listOf(context, "mutes").element)),
  bans: (context) => still(h("div", {}, panel(t("bans"), listOf(context, "bans").element),
    panel(t("address_bans"), listOf(context, "addresses").element))),
  words: (context) => still(panel(t("words"), wordsPanel(context))),
  audit,
};

const still = (element) => ({ element, heard: {} });

function reports(context) {
  const { api, act } = context;
  let waiting = -1;
  const table = new Table({
    label: t("reports"),
    empty: t("reports_none"),
    key: ({ id }) => id,
    columns: [
      { title: t("room"), class: "name-cell", cell: ({ room }, td) => {
        const link = once(td, () => h("a", { dir: "auto" }));
        link.textContent = room;
        link.href = `#rooms/${encodeURIComponent(room)}`;
      } },
      { title: t("text"), class: "text-cell", cell: ({ message }) => `${message.name}: ${message.text}` },
      { title: t("why"), cell: ({ reason = "", reporter }) => [reason, t("reported_by", { uid: reporter })].filter(Boolean).join(" – ") },
      { title: "", class: "act-cell", cell: (row, td) => {
        once(td, () => h("div", { class: "buttons" },
          button(t("remove"), () => remove(row), { class: "danger" }),
          button(`${t("mute")} …`, () => actOn(context, { uid: row.message.uid, name: row.message.name, room: row.room })),
          button(t("deal"), () => deal(row))));
      } },
    ],
  });

  async function load() {
    try {
      table.update((await api.get("reports?limit=100")).reports);
    } catch (error) {
      table.fail(worded(error));
    }
  }
  const remove = ({ room, seq }) =>
    act(() => api.call("DELETE", `${path("rooms", room)}/messages/${seq}`), () => t("removed_done"));
  const deal = async ({ id }) => {
    await act(() => api.call("DELETE", path("reports", id)), () => t("dealt_done"));
    await load();
  };

  load();
  return {
    element: panel(t("reports"), table.element),
    again: load,
    heard: {
      audit({ reports: now }) {
        if (now !== waiting) load();
        waiting = now;
      },
    },
  };
}

function audit({ api }) {
  let entries = [];
  let next = null;
  const table = new Table({
    label: t("audit"),
    empty: t("audit_none"),
    key: ({ id }) => id,
    columns: [
      { title: t("time"), class: "code-cell", cell: ({ ts }) => `${day(ts)} ${clock(ts)}` },
      { title: t("who"), cell: ({ name = "", actor = "", via = "" }) => `${name || actor} (${via})` },
      { title: t("what"), cell: ({ action }) => named("did", action) },
      { title: t("whom"), class: "text-cell", cell: whom },
      { title: t("why"), cell: ({ reason = "" }) => reason },
    ],
  });
  const more = button(t("next"), () => load(next));

  /** Newest first; what comes twice is one. */
  function take(found) {
    const all = new Map([...entries, ...found].map((one) => [one.id, one]));
    entries = [...all.values()].sort((a, b) => order(b.id, a.id)).slice(0, MOST);
    table.update(entries);
  }

  async function load(before = "end") {
    try {
      const page = await api.get(`audit?limit=100&before=${before}`);
      if (before !== "end" || next === null) next = page.next;
      take(page.entries);
      more.hidden = next === null || entries.length >= MOST;
    } catch (error) {
      table.fail(worded(error));
    }
  }

  more.hidden = true;
  load();
  return {
    element: panel(t("audit"), table.element, more),
    again: load,
    heard: { audit: (told) => told.entries.length && take(told.entries) },
  };
}

/** IDs of a stream by when they were made. */
export function order(a, b) {
  const [[ms, n], [otherMs, otherN]] = [a, b].map((id) => id.split("-").map(Number));
  return ms - otherMs || n - otherN;
}

const settingName = (key) => (knows(key) ? t(key) : named("setting", key));

/** To whom or what something was done, for people. */
export function whom({ uid, address, seq, seconds, settings, owners, words, room }) {
  const said = [
    uid ?? address, seq && `#${seq}`, seconds && `${seconds} s`,
    settings && Object.entries(settings).map(([key, value]) => `${settingName(key)}: ${JSON.stringify(value)}`).join(", "),
    owners && owners.join(", "),
    words && Object.entries(words).filter(([, { added, removed }]) => added || removed).map(([kind, { added, removed }]) => `${t(kind)} +${added} −${removed}`).join(" "),
    room && `@ ${room}`,
  ];
  return said.filter(Boolean).join(" ");
}
