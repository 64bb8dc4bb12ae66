/* Elements, made and kept up to date.
 *
 * Rule: text goes in as text, never as markup: whatever viewers wrote stays what it is. A table that
 * changes under the reader keeps its rows, and with them focus and selection.
 */

/** An element. Of `props`, `on` has listeners, `class` is its class, a function is no prop; the rest are
 *  attributes, true for one without a value, and left out where false or null. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (value !== false && value != null) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Put text into an element, if that is not what it has. */
export function say(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** A table that tells itself: `columns` are {title, cell(row, td), class?}; `key` names a row. `cell`
 *  is called with a cell to fill, anew for each change; what it returns is its text. Before the first
 *  rows have come it does not say that there are none. */
export class Table {
  constructor({ columns, key, label, empty }) {
    this._columns = columns;
    this._key = key;
    this._rows = new Map();
    this._body = h("tbody");
    const titles = columns.map(({ title, class: kind }) =>
      h("th", { scope: "col", class: kind }, title || h("span", { class: "unseen" }, "–")));
    this._none = empty;
    this._empty = h("p", { class: "note" }, "…");
    this._table = h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, titles)), this._body);
    this.element = h("div", { class: "table" }, this._empty, this._table);
    this._table.hidden = true;
  }

  /** The rows did not come: say why, above those of before. */
  fail(why) {
    say(this._empty, why);
    this._empty.className = "problem";
    this._empty.hidden = false;
  }

  update(rows) {
    const before = this._rows;
    this._rows = new Map();
    let last = null;
    for (const row of rows) {
      const name = this._key(row);
      if (this._rows.has(name)) continue;
      const kept = before.get(name) ?? this._line();
      before.delete(name);
      this._columns.forEach(({ cell }, i) => {
        const text = cell(row, kept.cells[i]);
        if (text !== undefined) say(kept.cells[i], text);
      });
      const next = last ? last.nextSibling : this._body.firstChild;
      if (kept !== next) this._body.insertBefore(kept, next);
      this._rows.set(name, kept);
      last = kept;
    }
    for (const gone of before.values()) gone.remove();
    say(this._empty, this._none);
    this._empty.className = "note";
    this._empty.hidden = this._rows.size > 0;
    this._table.hidden = this._rows.size === 0;
  }

  _line() {
    // The title beside a cell is what a narrow screen shows in place of the head.
    const cells = this._columns.map(({ title, class: kind }) =>
      h("td", { class: kind, "data-title": title }));
    return h("tr", {}, cells);
  }
}

/** For a cell that is an element: made by `make` once, and told each row by `update`. */
export function once(td, make) {
  if (!td.firstChild) td.append(make());
  return td.firstChild;
}
