/* Mutes, bans and what else is done to somebody: the one place that names their paths. */

import { path } from "./api.js";
import { h } from "./dom.js";
import { button, choice, dialog, field, input, sure } from "./forms.js";
import { clock, day, t } from "./texts.js";

export const SPANS = ["60", "600", "3600", "86400", "604800", "0"];

/** How long: "0" is for good. */
export const spanField = () =>
  field(t("seconds"), choice("seconds", SPANS.map((span) => [span, t(`for.${span}`)]), "600"));

export const whyField = () => field(t("why"), input("reason", { maxlength: 200 }));

/** The body of a mute or ban. */
export function sanction({ seconds, reason }) {
  const body = seconds === "0" ? {} : { seconds: Number(seconds) };
  return reason ? { ...body, reason } : body;
}

/** Where mutes or bans are: of a room, or of everywhere. */
export const placeOf = (kind, room) => (room ? `${path("rooms", room)}/${kind}` : kind);

export const why = (reason) => (reason ? `?reason=${encodeURIComponent(reason)}` : "");

/** A dialog of what may be done to somebody in a room, or everywhere. */
export function actOn(context, { uid, name, room, seq }) {
  const { act, api } = context;
  const span = spanField();
  const reason = whyField();
  const value = (row) => row.querySelector("select, input").value;
  const given = () => sanction({ seconds: value(span), reason: value(reason) });
  const one = (text, done, work, kind = "") =>
    button(t(text), async () => {
      await act(work, () => t(done, { name }));
      made.close();
    }, { class: kind });
  const put = (kind) => () => api.call("PUT", `${placeOf(kind, room)}/${path(uid)}`, given());
  const lift = (kind) => () =>
    api.call("DELETE", `${placeOf(kind, room)}/${path(uid)}${why(value(reason))}`);
  const kick = () =>
    api.call("POST", `${path("rooms", room)}/kicks`, { uid, reason: value(reason) || null });
  const clear = async () => {
    if (!(await sure(t("clear_theirs_sure", { name }), t("clear_theirs")))) return;
    const whose = `?uid=${encodeURIComponent(uid)}`;
    await act(() => api.call("DELETE", `${path("rooms", room)}/messages${whose}`),
      () => t("removed_done"));
    made.close();
  };
  const more = () => {
    made.close();
    location.hash = `#users/${encodeURIComponent(uid)}`;
  };
  const actions = h("div", { class: "buttons" },
    one("mute", "muted_done", put("mutes"), "strong"), one("unmute", "unmuted_done", lift("mutes")),
    room && one("kick", "kicked_done", kick),
    one("ban", "banned_done", put("bans"), "danger"), one("unban", "unbanned_done", lift("bans")),
    seq && one("pin", "pinned_done", () =>
      api.call("PATCH", `${path("rooms", room)}/settings`, { pinned: seq })),
    room && button(t("clear_theirs"), clear, { class: "danger" }));
  const made = dialog(t("act_on", { name }),
    [h("p", { class: "note" }, `${uid} · ${room ? room : t("everywhere")}`), span, reason, actions],
    [button(t("more_of"), more), button(t("close"), () => made.close())]);
}

/** A dialog to ban an address, everywhere. */
export function banAddress({ act, api }, address) {
  const span = spanField();
  const reason = whyField();
  const value = (row) => row.querySelector("select, input").value;
  const ban = async () => {
    const body = sanction({ seconds: value(span), reason: value(reason) });
    await act(() => api.call("PUT", `bans/addresses/${path(address)}`, body),
      () => t("banned_done", { name: address }));
    made.close();
  };
  const made = dialog(t("act_on", { name: address }), [h("p", { class: "note" }, t("everywhere")), span, reason],
    [button(t("ban_address"), ban, { class: "danger" }), button(t("close"), () => made.close())]);
}

/** When something ends, for people. */
export function untilText(until) {
  return until ? `${day(until)} ${clock(until)}` : t("for_good");
}
