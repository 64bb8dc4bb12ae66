/* The rooms by size, as they change. */

import { Table, h, once } from "./dom.js";
import { field, form, input, withScope } from "./forms.js";
import { spark, told } from "./series.js";
import { t } from "./texts.js";

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
      if (room.trim()) location.hash = `#rooms/${encodeURIComponent(room.trim())}`;
    },
  });
  const element = h("div", { class: "view" }, h("h1", {}, t("rooms")),
    withScope(may, "read", () => [open, h("section", { class: "panel" }, table.element)]));
  update();
  return { element, heard: { rooms: update } };
}
