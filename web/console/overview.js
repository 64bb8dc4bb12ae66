/* How the evening goes: viewers and messages, what was not delivered and why, nodes and shards. */

import { Table, h, once, say } from "./dom.js";
import { withScope } from "./forms.js";
import { spark, told, toldBytes } from "./series.js";
import { clock, named, t } from "./texts.js";

const CARDS = [
  ["connections", "viewers"], ["published", "published"], ["delivered", "delivered"],
  ["joins", "joins"], ["sent_bytes", "sent_bytes"],
  ["dropped", "dropped"], ["shed", "shed"], ["refused", "refused_s"],
];
const BAD = new Set(["dropped", "shed", "refused"]);

export function overview(context) {
  const { may, evening } = context;
  const cards = CARDS.map(([name, title]) => card(name, title));
  const reasons = reasonsTable(evening);
  const nodes = h("div", { class: "nodes" });
  const gone = h("div", { class: "gone", role: "status" });
  const tables = new Map();
  const waiting = h("p", { class: "note" }, t("nothing_yet"));

  function update() {
    if (!evening.nodes) return;
    waiting.hidden = true;
    for (const one of cards) one.update(evening);
    const names = Object.keys(evening.sum.reasons);
    const seen = names.filter((name) => evening.series.of(`reasons ${name}`).some(Boolean));
    reasons.update(seen.map((name) => ({ name, value: evening.sum.reasons[name] })));
    showNodes(nodes, tables, evening.nodes);
    showGone(gone, evening.gone());
  }

  const element = h("div", { class: "view" }, h("h1", {}, t("overview")),
    withScope(may, "metrics", () => [
      waiting,
      h("div", { class: "cards" }, cards.map((one) => one.element)),
      h("section", { class: "panel" }, h("h2", {}, t("reasons")), reasons.element),
      h("section", { class: "panel" }, h("h2", {}, t("nodes")), nodes, gone),
    ]));
  update();
  return { element, heard: { nodes: update } };
}

function card(name, title) {
  const number = h("dd", { class: "number" }, "–");
  const line = spark();
  const element = h("dl", { class: `card${BAD.has(name) ? " card-bad" : ""}`, "data-figure": name },
    h("dt", {}, t(title)), number, h("dd", { class: "card-line" }, line));
  const write = name === "sent_bytes" ? toldBytes : told;
  return {
    element,
    update({ sum, series }) {
      const value = sum[name] ?? 0;
      say(number, write(value));
      element.classList.toggle("some", value > 0);
      line.draw(series.of(name));
    },
  };
}

function reasonsTable(evening) {
  return new Table({
    label: t("reasons"),
    empty: t("reasons_none"),
    key: ({ name }) => name,
    columns: [
      { title: t("reason"), cell: ({ name }) => {
        const [kind, reason] = name.split(".");
        return `${t(`r.${kind}`)}: ${named("cause", reason)}`;
      } },
      { title: t("a_second"), class: "count-cell", cell: ({ value }) => told(value ?? 0) },
      { title: t("trend"), class: "wide", cell: ({ name }, td) => {
        once(td, spark).draw(evening.series.of(`reasons ${name}`));
      } },
    ],
  });
}

function showNodes(box, tables, nodes) {
  const gone = new Set(tables.keys());
  for (const node of nodes) {
    gone.delete(node.node);
    if (!tables.has(node.node)) {
      const about = h("span", { class: "note" });
      const table = shardsTable(node.node);
      const element = h("section", { class: "node" },
        h("h3", {}, node.node, " ", about), table.element);
      tables.set(node.node, { element, about, table });
      box.append(element);
    }
    const { about, table } = tables.get(node.node);
    const streams = t("streams_open", { count: node.streams, most: node.most_streams });
    say(about, `${node.version} · ${streams}`);
    table.update(node.shards);
  }
  for (const name of gone) {
    tables.get(name).element.remove();
    tables.delete(name);
  }
}

function showGone(list, gone) {
  const told = gone.map(({ node, last }) => t("node_gone", { node, time: clock(Date.now() - performance.now() + last) }));
  if (JSON.stringify(told) === list.dataset.told) return;
  list.dataset.told = JSON.stringify(told);
  list.replaceChildren(...told.map((one) => h("p", {}, one)));
}

function shardsTable(node) {
  const number = (title, value) => ({ title: t(title), class: "count-cell", cell: value });
  return new Table({
    label: `${t("nodes")}: ${node}`,
    empty: t("nothing_yet"),
    key: ({ shard }) => shard,
    columns: [
      number("shard", ({ shard }) => shard),
      { title: t("state"), cell: (shard, td) => {
        const good = shard.serving && shard.bus_connected;
        td.className = good ? "good" : "bad";
        return t(good ? "serving" : shard.serving ? "bus_cut" : "not_serving");
      } },
      number("connections", ({ connections }) => told(connections)),
      number("rooms", ({ rooms }) => told(rooms)),
      number("slow", ({ slow_readers: slow }) => told(slow)),
      number("backlog", ({ backlog_bytes: bytes }) => toldBytes(bytes)),
      number("lag", ({ loop_lag_ms: lag }) => `${lag} ms`),
      number("lives", ({ starts }) => starts),
    ],
  });
}
