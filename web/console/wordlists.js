/* The words of everywhere, or of a room, and a box to try a text in. */

import { path } from "./api.js";
import { h, say } from "./dom.js";
import { area, field, form, input, lines } from "./forms.js";
import { beside } from "./refusals.js";
import { t } from "./texts.js";

const KINDS = ["refuse", "mask", "shadow"];

export function wordsPanel(context, room) {
  const { api, toasts } = context;
  const at = room ? `${path("rooms", room)}/words` : "words";
  const areas = Object.fromEntries(KINDS.map((kind) => [kind, area(kind, { rows: 5 })]));
  const lists = form({
    label: t("words"), button: t("save"), toasts,
    rows: KINDS.map((kind) => field(t(kind), areas[kind], t("words_hint"))),
    async submit(given) {
      const wanted = Object.fromEntries(KINDS.map((kind) => [kind, lines(given[kind])]));
      const now = await api.get(at);
      known = await api.call("PUT", at, merged(known, wanted, now));
      show(known);
      return t("saved");
    },
  });
  const show = (words) => KINDS.forEach((kind) => (areas[kind].value = words[kind].join("\n")));
  let known; // the lists as they were loaded, or saved here
  // What is not loaded is neither saved over nor typed into.
  const wait = (waits) => {
    for (const control of lists.elements) control.disabled = waits;
  };
  wait(true);
  api.get(at).then((words) => {
    known = words;
    show(words);
    wait(false);
  }, (error) => beside(lists, error));
  return h("div", { class: "halves" }, lists, tryOut(context, room));
}

/** The lists as they are `now` with what was changed here, so that what others have changed holds, too. */
export function merged(known, wanted, now) {
  return Object.fromEntries(KINDS.map((kind) => {
    const [before, after] = [new Set(known[kind]), new Set(wanted[kind])];
    const kept = now[kind].filter((word) => after.has(word) || !before.has(word));
    return [kind, [...new Set([...kept, ...wanted[kind].filter((word) => !before.has(word))])]];
  }));
}

function tryOut({ api, toasts }, room) {
  const outcome = h("p", { class: "outcome", role: "status" });
  const hits = h("p", { class: "note" });
  const made = form({
    label: t("try_title"), button: t("try"), toasts,
    rows: [field(t("text"), input("text"))],
    async submit({ text }) {
      const body = room ? { text, room } : { text };
      const found = await api.call("POST", "words/check", body);
      outcome.dataset.outcome = found.outcome;
      say(outcome, t(`outcome.${found.outcome}`, found));
      const words = found.hits.map(({ word, list }) => `${word} (${list === "room" ? t("room") : t("everywhere")})`);
      say(hits, words.length ? t("hits", { words: words.join(", ") }) : "");
    },
  });
  return h("div", { class: "try" }, h("h3", {}, t("try_title")), made, outcome, hits);
}
