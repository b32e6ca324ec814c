// The workers of a pool, the streams of the program, and the pools that have ended, as tables.

import { isLong } from "./glance.js";
import { titleOf } from "./model.js";
import { LiveTable } from "./table.js";
import { ago, bytes, count, duration, firstLine, make, mark, percent, said, write } from "./words.js";

const known = (value, words) => (value === null || value === undefined ? "" : words(value));
const more = (row) => (row.hand > 1 ? ` (and ${count(row.hand - 1)} more in hand)` : "");

/** Hostile texts are long, and may turn the direction of what is beside them: <bdi> keeps them to themselves. */
function textColumn(id, name, text, words = {}) {
  return {
    id,
    name,
    left: true,
    text,
    value: text,
    cell: () => [make("bdi", { class: "clip" })],
    renew: (cell, row) => write(cell.firstChild, text(row)),
    hint: (row) => said(text(row)).slice(0, 1000),
    ...words,
  };
}

/** A column of what a row has under that name. */
function number(id, name, words, title) {
  return { id, name, title, value: (row) => row[id], text: (row) => known(row[id], words) };
}

const counted = (id, name) => number(id, name, count);

/** What the row of a worker shows as its state; a sign and a word, not a colour alone. */
function stateCell(cell, row, pool) {
  const long = isLong(row, pool);
  mark(cell, "data-state", long ? "long" : said(row.state));
  write(cell, long ? `${said(row.state)}, long` : said(row.state));
}

/** `pool()` is the pool as it is now, `shares()` the CPU shares of workers, `act(what, row)` does something to one. */
export function workersTable(title, { pool, shares, act }) {
  const buttons = ({ wid }) => {
    const button = (what, name) => {
      const words = { type: "button", "data-act": what, "aria-label": `${name} worker ${wid}` };
      return make("button", { ...words, click: () => act(what, wid) }, name);
    };
    return [button("drain", "Drain"), button("kill", "Kill")];
  };
  const share = (row) => shares().get(row.wid) ?? null;
  const columns = [
    { id: "worker", name: "Worker", up: true, value: (row) => row.wid, text: (row) => said(row.wid) },
    textColumn("host", "Host", (row) => said(row.host), { title: "which machine it is on", rare: true }),
    { id: "pid", name: "pid", up: true, value: (row) => row.pid, text: (row) => (row.pid ? said(row.pid) : "") },
    {
      ...{ id: "state", name: "State", left: true, value: (row) => said(row.state), cell: () => [] },
      renew: (cell, row) => stateCell(cell, row, pool()),
    },
    number("for", "For", duration, "how long it has been at it"),
    textColumn("task", "Task", (row) => said(row.task) + more(row), { title: "what it runs" }),
    number("hand", "In hand", count, "items that it has been given"),
    number("done", "Done", count),
    { id: "cpu", name: "CPU", title: "of one CPU", value: share, text: (row) => known(share(row), percent) },
    number("memory", "Memory", bytes),
    textColumn("note", "Note", (row) => said(row.note), { rare: true }),
    { id: "acts", name: "", cell: buttons },
  ];
  const look = (line, row) => {
    mark(line, "data-worker", row.wid);
    mark(line, "data-long", isLong(row, pool()) || null);
  };
  return new LiveTable({ caption: `Workers of ${title}`, columns, key: (row) => `${row.wid}`, look, stops: true });
}

/** Streams have no number of their own: of those that are alike, the place tells. */
export function withKeys(streams) {
  const seen = new Map();
  return streams.map((stream) => {
    const alike = JSON.stringify([stream.kind, stream.name, stream.engine, stream.engines]);
    const place = seen.get(alike) ?? 0;
    seen.set(alike, place + 1);
    return { ...stream, key: `${place} ${alike}` };
  });
}

function headOf(stream) {
  if (said(stream.trouble)) return firstLine(stream.trouble);
  if (typeof stream.head !== "number") return "";
  const where = said(stream.head_at) ? ` at ${said(stream.head_at)}` : "";
  const since = stream.head_for > 0 ? `, for ${duration(stream.head_for)}` : "";
  return `item ${count(stream.head)}${where}${since}`;
}

export function streamsTable(caption) {
  const rare = (id, name, title) => ({ ...number(id, name, count, title), rare: true });
  const columns = [
    { id: "kind", name: "Stream", left: true, value: (row) => said(row.kind), text: (row) => said(row.kind) },
    textColumn("name", "Of", (row) => said(row.name)),
    rare("unfinished", "Under way", "items that have no outcome yet"),
    rare("finished", "Finished", "items that have an outcome"),
    rare("taken", "Taken", "results that were handed over"),
    rare("ready", "Not taken", "finished items whose results nobody has taken"),
    rare("dropped", "Dropped", "items that were given up"),
    textColumn("head", "Waits for", headOf, { title: "the item in front that finished ones wait for" }),
  ];
  return new LiveTable({ caption, columns, key: (row) => row.key });
}

/** `now()` is the time of the latest look. */
export function goneTable(now) {
  const columns = [
    { id: "when", name: "Ended", up: true, value: (row) => -row.at, text: (row) => ago(now() - row.at) },
    textColumn("pool", "Pool", (row) => [titleOf(row), said(row.name)].join(" ").trim()),
    { id: "backend", name: "Kind", left: true, value: (row) => said(row.backend), text: (row) => said(row.backend) },
    ...[counted("done", "Done"), counted("failures", "Errors seen"), counted("failed", "Failed unrun")],
    ...[counted("died", "Workers died"), counted("timeouts", "Timeouts"), counted("retries", "Retries")],
  ];
  return new LiveTable({ caption: "Pools that have ended", columns, key: (row) => `${row.number}`, sorted: "when" });
}
