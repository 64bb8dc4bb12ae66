/* The rooms by size, as they change. */

import { Table, h, once } from "./dom.js";
import { button, field, form, input, withScope } from "./forms.js";
import { spark, told } from "./series.js";
import { t } from "./texts.js";
import { MOST, roomsOf, watching } from "./watch.js";

const LARGEST = 4;

export function rooms(context) {
  const { may, evening, toasts } = context;
  const table = new Table({
    label: t("rooms"),
    empty: t("rooms_none"),
    key: ({ room }) => room,
    columns: [
      { title: t("room"), class: "name-cell", cell: ({ room }, td) => {
        const link = once(td, () => h("a", { dir: "auto" }));
        link.textContent = room;
        link.href = `#rooms/${encodeURIComponent(room)}`;
      } },
      { title: t("online"), class: "count-cell", cell: ({ online }) => told(online) },
      { title: t("lines_s"), class: "count-cell", cell: ({ room }) => told(evening.lines(room)) },
      { title: t("trend"), class: "wide", cell: ({ room }, td) => {
        once(td, spark).draw(evening.online.of(room));
      } },
      { title: t("peak"), class: "count-cell", cell: ({ peak }) => told(peak) },
      { title: t("unique"), class: "count-cell", cell: ({ unique }) => told(unique) },
    ],
  });
  const update = () => evening.rooms && table.update(evening.rooms);
  const open = form({
    kind: "inline", label: t("room_go"), button: t("go"), toasts,
    rows: [field(t("room_go"), input("room"))],
    submit: ({ room }) => {
      const named = roomsOf(room);
      if (named.length) location.hash = named.length > 1 ? watching(named) : `#rooms/${encodeURIComponent(named[0])}`;
    },
  });
  const largest = () => (evening.rooms ?? []).slice(0, LARGEST).map(({ room }) => room);
  const several = h("div", { class: "buttons" }, button(t("watch_largest", { count: LARGEST }), () => {
    location.hash = watching(largest());
  }), h("span", { class: "note" }, t("room_go_hint", { most: MOST })));
  const element = h("div", { class: "view" }, h("h1", {}, t("rooms")),
    withScope(may, "read", () => [open, several, h("section", { class: "panel" }, table.element)]));
  update();
  return { element, heard: { rooms: update } };
}
