/* Several rooms at once, each with its lines as they come; by one stream, which is as long as a browser's
 * connections to a server are few.
 *
 * Rule: the rooms stand in the address (#watch/a,b), so it can be kept and sent.
 */

import { path } from "./api.js";
import { h, say } from "./dom.js";
import { button, field, form, input, withScope } from "./forms.js";
import { Lines, figure } from "./lines.js";
import { Live } from "./live.js";
import { worded } from "./refusals.js";
import { acting } from "./room.js";
import { told } from "./series.js";
import { t } from "./texts.js";

/** As many as a stream takes. */
export const MOST = 8;

export const roomsOf = (name) => [...new Set(name.split(",").map((one) => one.trim()).filter(Boolean))];

/** The address of some rooms' view. */
export const watching = (rooms) => `#watch/${rooms.map(encodeURIComponent).join(",")}`;

export function watch(context, name) {
  const { api, may, toasts } = context;
  const rooms = roomsOf(name);
  const tiles = new Map(rooms.map((room) => [room, tile(context, room, rooms)]));
  const state = h("span", { class: "note", role: "status" });
  const live = may("read") && rooms.length > 0 && new Live(api, `${path("rooms", rooms.join(","))}/live`, {
    heard(event, data) {
      const one = tiles.get(data.room);
      if (event === "lines") one?.lines.tell(data);
      else if (event === "room") one?.online.tell(told(data.online));
    },
    changed: ({ state: now, error }) =>
      say(state, now === "open" ? "" : `${t(now)}${error ? `: ${worded(error)}` : ""}`),
  });
  const add = form({
    kind: "inline", label: t("watch_add"), button: t("watch_add"), toasts,
    rows: [field(t("room"), input("room", { maxlength: 400 }))],
    submit: ({ room }) => {
      if (roomsOf(room).length) location.hash = watching([...rooms, ...roomsOf(room)]);
    },
  });
  const element = h("div", { class: "view" },
    h("p", { class: "crumb" }, h("a", { href: "#rooms" }, `← ${t("rooms")}`)),
    h("h1", {}, t("watch"), " ", state),
    withScope(may, "read", () => [
      rooms.length < MOST ? add : h("p", { class: "note" }, t("watch_most", { most: MOST })),
      h("div", { class: "tiles" }, [...tiles.values()].map((one) => one.element))]));
  return { element, heard: {}, close: () => live && live.close() };
}

function tile(context, room, rooms) {
  const lines = new Lines({ ...acting(context, room), label: `${t("lines")}: ${room}` });
  const online = figure(t("online"));
  const without = () => {
    location.hash = watching(rooms.filter((one) => one !== room));
  };
  const element = h("section", { class: "panel tile", "data-room": room },
    h("div", { class: "tile-head" },
      h("h2", {}, h("a", { href: `#rooms/${encodeURIComponent(room)}`, dir: "auto" }, room)),
      h("dl", { class: "figures" }, online.element),
      button("✕", without, { "aria-label": t("watch_less", { room }), title: t("watch_less", { room }) })),
    lines.element);
  return { element, lines, online };
}
