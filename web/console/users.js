/* Who is connected: searched by a part of name or uid, and all about one of them. */

import { path } from "./api.js";
import { Table, h, once } from "./dom.js";
import { button, failed, field, form, input, sure, withScope } from "./forms.js";
import { actOn, banAddress, placeOf, untilText } from "./sanctions.js";
import { told } from "./series.js";
import { named, t } from "./texts.js";

export function users(context) {
  const { api, may, toasts } = context;
  const note = h("p", { class: "note", role: "status" }, t("search_hint"));
  const table = new Table({
    label: t("users"),
    empty: t("search_none"),
    key: ({ uid }) => uid,
    columns: [
      { title: t("name"), class: "name-cell", cell: ({ uid, name }, td) => link(td, uid, name) },
      { title: t("uid"), class: "code-cell", cell: ({ uid }) => uid },
      { title: t("role"), cell: ({ role }) => named("role", role) },
      { title: t("connections"), class: "count-cell", cell: ({ count }) => told(count) },
      { title: t("in_rooms"), cell: ({ rooms }) => rooms.join(", ") },
    ],
  });
  table.element.hidden = true;
  const search = form({
    kind: "inline", label: t("search"), button: t("search"), toasts,
    rows: [field(t("search_label"), input("q", { type: "search", maxlength: 64 }))],
    async submit({ q }) {
      const found = await api.get(`users?limit=100&q=${encodeURIComponent(q)}`);
      table.element.hidden = false;
      table.update(found.users);
      note.textContent = [found.more && t("search_more"), asked(found)].filter(Boolean).join(" ");
    },
  });
  const element = h("div", { class: "view" }, h("h1", {}, t("users")),
    withScope(may, "moderate", () => [search, note, h("section", { class: "panel" }, table.element)]));
  return { element, heard: {} };
}

const asked = ({ complete, answered, known }) => (complete ? "" : t("incomplete", { answered, known }));

function link(td, uid, name) {
  const made = once(td, () => h("a", { dir: "auto" }));
  made.textContent = name;
  made.href = `#users/${encodeURIComponent(uid)}`;
}

export function user(context, uid) {
  const { api, may, act } = context;
  const box = h("div", {}, h("p", { class: "note" }, "…"));

  async function load(addresses = false) {
    try {
      box.replaceChildren(...about(await api.get(`${path("users", uid)}${addresses ? "?addresses=true" : ""}`)));
    } catch (error) {
      box.replaceChildren(...failed(error, () => load()));
    }
  }

  const lift = async (kind, room) => {
    await act(() => api.call("DELETE", `${placeOf(kind, room)}/${path(uid)}`), () => t("lifted"));
    await load();
  };
  const disconnect = async () => {
    if (!(await sure(t("disconnect_sure", { uid }), t("disconnect")))) return;
    await act(() => api.call("DELETE", `${path("users", uid)}/connections`),
      ({ count }) => t("disconnected", { count }));
    await load();
  };
  const addresses = async () => {
    if (await sure(t("addresses_sure"), t("addresses"))) load(true);
  };

  function about(found) {
    const held = [...found.mutes.map((one) => ["mutes", one]), ...found.bans.map((one) => ["bans", one])];
    return [
      h("div", { class: "buttons" },
        button(`${t("mute")}, ${t("ban")} …`, () => actOn(context, { uid, name: uid }), { class: "strong" }),
        button(t("disconnect"), disconnect, { class: "danger" }),
        button(t("addresses"), addresses), button(t("reload"), () => load())),
      h("p", { class: "note", role: "status" }, asked(found)),
      h("section", { class: "panel" }, h("h2", {}, `${t("connections")}: ${found.count}`),
        connectionsOf(context, found)),
      h("section", { class: "panel" }, h("h2", {}, t("sanctions")), sanctionsOf(held, lift)),
    ];
  }

  if (may("moderate")) load();
  const element = h("div", { class: "view" },
    h("p", { class: "crumb" }, h("a", { href: "#users" }, `← ${t("users")}`)),
    h("h1", { dir: "auto" }, uid), withScope(may, "moderate", () => box));
  return { element, heard: {} };
}

function connectionsOf(context, { connections }) {
  const table = new Table({
    label: t("connections"),
    empty: t("nowhere"),
    key: ({ conn }) => conn,
    columns: [
      { title: t("in_rooms"), cell: ({ rooms }, td) => {
        td.replaceChildren(...rooms.flatMap((room, i) => [i ? ", " : "",
          h("a", { href: `#rooms/${encodeURIComponent(room)}`, dir: "auto" }, room)]));
        return rooms.length ? undefined : "–";
      } },
      { title: t("role"), cell: ({ role }) => named("role", role) },
      { title: t("shard"), class: "code-cell", cell: ({ shard }) => shard },
      { title: t("address"), class: "code-cell", cell: ({ address = "–" }) => address },
      { title: "", class: "act-cell", cell: ({ address }, td) => {
        if (address) once(td, () => button(t("ban_address"), () => banAddress(context, address), {
          class: "danger", "aria-label": t("ban_address_of", { address }) }));
      } },
    ],
  });
  table.update(connections);
  return table.element;
}

function sanctionsOf(held, lift) {
  const table = new Table({
    label: t("sanctions"),
    empty: t("sanctions_none"),
    key: ([kind, { room = "" }]) => `${kind} ${room}`,
    columns: [
      { title: t("what"), cell: ([kind]) => t(kind) },
      { title: t("where"), cell: ([, { room }]) => room ?? t("everywhere") },
      { title: t("until"), cell: ([, { until }]) => untilText(until) },
      { title: t("why"), cell: ([, { reason = "" }]) => reason },
      { title: t("who"), cell: ([, { by = "" }]) => by },
      { title: "", class: "act-cell", cell: ([kind, { room }], td) => {
        once(td, () => button(t("lift"), () => lift(kind, room)));
      } },
    ],
  });
  table.update(held);
  return table.element;
}
