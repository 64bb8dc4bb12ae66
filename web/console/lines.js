/* A room's lines, as they come: the newest at the end, and what is taken back gone.
 *
 * Rule: at most MOST are kept. The list follows its end until the reader scrolls up.
 */

import { h, say } from "./dom.js";
import { pressed } from "./refusals.js";
import { clock, t } from "./texts.js";

const MOST = 300;
const NEAR = 60;

export class Lines {
  /** `pick(line)` is called for whoever is clicked, `remove(line)` for a line; null where neither may be. */
  constructor({ pick, remove, label = t("lines") }) {
    this._pick = pick;
    this._remove = remove;
    this._seq = 0;
    this._list = h("ol");
    this._log = h("div", { class: "lines", role: "log", "aria-label": label, tabindex: "0", hidden: true },
      this._list);
    this._empty = h("p", { class: "note" }, t("lines_none"));
    this.element = h("div", {}, this._log, this._empty);
  }

  /** An event `lines`. */
  tell({ anew, lines, seq }) {
    const { _list: list, _log: log } = this;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
    if (anew) {
      list.replaceChildren();
      this._seq = 0;
    }
    for (const line of lines) {
      if (line.seq <= this._seq) continue;
      this._seq = line.seq;
      this._take(line);
    }
    if (anew) this._seq = Math.max(this._seq, seq);
    while (list.children.length > MOST) list.firstChild.remove();
    log.hidden = list.children.length === 0;
    this._empty.hidden = !log.hidden;
    if (atEnd || anew) log.scrollTop = log.scrollHeight;
  }

  _take(line) {
    switch (line.t) {
      case "msg": this._list.append(this._line(line)); break;
      case "delete": this._strike((one) => one.dataset.seq === String(line.target)); break;
      case "clear":
        this._strike((one) => line.uid === undefined || one.dataset.uid === line.uid);
        this._note(line.uid === undefined ? t("cleared") : t("cleared_of", { uid: line.uid }));
        break;
      case "state": this._note(t("rules_changed")); break;
      default: // a place that was taken back before
    }
  }

  _note(text) {
    this._list.append(h("li", { class: "line line-note" }, text));
  }

  _strike(which) {
    for (const one of this._list.querySelectorAll(".line-said")) {
      if (!which(one)) continue;
      one.className = "line line-gone";
      one.querySelector(".line-text").textContent = t("removed");
      one.querySelector(".line-remove")?.remove();
    }
  }

  _line(line) {
    const { seq, uid, name, text, ts, kind } = line;
    const who = this._pick && uid !== "system"
      ? h("button", { type: "button", class: "line-who", dir: "auto", "aria-haspopup": "dialog",
        on: { click: () => this._pick(line) } }, name)
      : h("span", { class: "line-who", dir: "auto" }, name);
    return h("li", { class: "line line-said", "data-seq": seq, "data-uid": uid, "data-kind": kind },
      h("time", { datetime: new Date(ts).toISOString() }, clock(ts)), who,
      h("span", { class: "line-text", dir: "auto" }, text),
      this._remove && h("button", { type: "button", class: "line-remove",
        "aria-label": t("remove_of", { text: text.slice(0, 40), name }), title: t("remove"),
        on: { click: ({ currentTarget }) => pressed(currentTarget, () => this._remove(line)) } }, "✕"));
  }
}

/** Fill a line of figures. */
export function figure(title) {
  const number = h("dd", {}, "–");
  return { element: h("div", { class: "figure" }, h("dt", {}, title), number), tell: (value) => say(number, value) };
}
