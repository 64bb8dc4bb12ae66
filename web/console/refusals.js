/* What went wrong, in the reader's language, and at what was clicked.
 *
 * Rule: English readers are told the server's own words, which say most. Others are told the sentence of
 * the code, and the server's words beside it where there is no sentence, or where only they say what it
 * is about.
 */

import { Away, Refused } from "./api.js";
import { h } from "./dom.js";
import { knows, languageNow, t } from "./texts.js";

/* Codes of which the server's words say more: which scope, whom, what. */
const SAYING_WHICH = new Set(["bad_request", "forbidden"]);

/** What is told of an error. */
export function worded(error) {
  if (error instanceof Away) return t("away");
  if (!(error instanceof Refused)) return error.message;
  const fields = error.problems.map(({ path, message }) => (path ? `${path}: ${message}` : message));
  const said = fields.length ? fields.join("; ") : error.message;
  if (languageNow() === "en") return said;
  if (!knows(`error.${error.code}`)) return t("refused_with", { said });
  const sentence = t(`error.${error.code}`);
  return SAYING_WHICH.has(error.code) ? t("sentence_with", { sentence, said }) : sentence;
}

/** Do what a click asks for, one at a time; what comes of it, where it is no good, stands beside what was
 *  clicked until that is clicked again. */
export async function pressed(clicked, work) {
  if (clicked.getAttribute("aria-busy")) return;
  unsaid(clicked);
  clicked.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (!clicked.isConnected) throw error;
    beside(clicked, error);
  } finally {
    clicked.removeAttribute("aria-busy");
  }
}

/** Say an error beside an element. */
export function beside(element, error) {
  element.after(h("p", { class: "problem refusal", role: "alert" }, worded(error)));
}

/** It is not said any more. */
export function unsaid(element) {
  if (element.nextElementSibling?.classList.contains("refusal")) element.nextElementSibling.remove();
}
