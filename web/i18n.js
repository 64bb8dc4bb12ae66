/* The page's languages: which one, its words, and how numbers, times and lists are written in it.
 *
 * Rule: whatever the page says by itself goes through here; what people say does not. An element
 * remembers what it says (`data-say…`), so a change of language is one walk through the page.
 * Values: a number is written as in the language; {seconds} as a duration in its largest whole unit,
 * `long` spelled out; {key, …} by another key; an array as a list; a string as it is. Texts go in by
 * textContent or as an attribute, never as HTML.
 */

import { WORDS as EN } from "./words.en.js";
import { WORDS as ZH } from "./words.zh.js";

export const LANGUAGES = {
  en: { tag: "en", name: "English", short: "EN", words: EN },
  zh: { tag: "zh-CN", name: "中文", short: "中", words: ZH },
};
const FALLBACK = "en";
const UNITS = [["hour", 3600], ["minute", 60], ["second", 1]];
const HELD = /\{(\w+)\}/gu;
/* Attribute of an element -> where the element remembers its key. */
const ATTRIBUTES = { title: "sayTitle", "aria-label": "sayLabel", placeholder: "sayHint", "data-empty": "sayEmpty", content: "sayContent" };
const SAYING = ["[data-say]", ...["title", "label", "hint", "empty", "content"].map((one) => `[data-say-${one}]`)].join();

let language = LANGUAGES[FALLBACK];

/** Of what the address, an earlier choice and the browser ask for, the first that there is. */
export function languageFor(...asked) {
  const codes = asked.flat().map((tag) => `${tag ?? ""}`.toLowerCase().split(/[-_]/u, 1)[0]);
  return codes.find((code) => Object.hasOwn(LANGUAGES, code)) ?? FALLBACK;
}

export function setLanguage(code) {
  language = LANGUAGES[code];
}

export function number(value, options) {
  return new Intl.NumberFormat(language.tag, options).format(value);
}

export function timeOf(ts) {
  return new Intl.DateTimeFormat(language.tag, { dateStyle: "medium", timeStyle: "medium" }).format(ts);
}

/** Whether there are words for it. */
export function knows(key) {
  return Object.hasOwn(language.words, key);
}

/** What a key says, with its values. */
export function words(key, values = {}) {
  const found = language.words[key];
  const text = typeof found === "object" ? plural(found, values.count) : found;
  return text.replace(HELD, (_, name) => written(values[name]));
}

/** Have an element say something, now and in whatever language is chosen later. */
export function say(element, key, values) {
  if (element.dataset.say === key && element.dataset.with === held(values)) return;
  element.dataset.say = key;
  remember(element, values);
  element.textContent = words(key, values);
}

/** The same of an attribute: title, aria-label, placeholder, data-empty. */
export function sayAs(attribute, element, key, values) {
  element.dataset[ATTRIBUTES[attribute]] = key;
  remember(element, values);
  element.setAttribute(attribute, words(key, values));
}

/** It says nothing, or what is not ours to say. */
export function unsay(element, text = "") {
  delete element.dataset.say;
  delete element.dataset.with;
  element.textContent = text;
}

/** Write all that a part of the page says in the language. */
export function translate(root) {
  for (const element of root.querySelectorAll(SAYING)) {
    const { say: key, with: json } = element.dataset;
    const values = json && JSON.parse(json);
    if (key !== undefined) element.textContent = words(key, values);
    for (const [attribute, place] of Object.entries(ATTRIBUTES)) {
      if (element.dataset[place]) element.setAttribute(attribute, words(element.dataset[place], values));
    }
  }
}

function held(values) {
  return values && JSON.stringify(values);
}

function remember(element, values) {
  if (values) element.dataset.with = held(values);
  else delete element.dataset.with;
}

function plural(forms, count) {
  return forms[new Intl.PluralRules(language.tag).select(count)] ?? forms.other;
}

function written(value) {
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) return listed(value.map(written));
  if (value?.key) return words(value.key, value);
  if (value?.seconds !== undefined) return duration(value);
  return `${value ?? ""}`;
}

function listed(texts) {
  return new Intl.ListFormat(language.tag, { type: "conjunction" }).format(texts);
}

function duration({ seconds, long = false }) {
  const [unit, length] = UNITS.find(([, size]) => seconds >= size && seconds % size === 0) ?? UNITS.at(-1);
  return number(seconds / length, { style: "unit", unit, unitDisplay: long ? "long" : "short" });
}
