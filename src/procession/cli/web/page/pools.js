// One section for each pool: what it is at, its numbers, how they went, its streams and its workers.

import { Charts } from "./charts.js";
import { glance } from "./glance.js";
import { titleOf } from "./model.js";
import { streamsTable, withKeys, workersTable } from "./tables.js";
import { bytes, count, duration, firstLine, make, mark, percent, plural, rate, said, write } from "./words.js";

/** Pools beyond that many have their workers folded in at first. */
const UNFOLDED = 4;

const slowest = (pool) => `99 %: ${duration(pool.p99)}`;
const ofWidth = (pool) => `${count(pool.workers)} of ${count(pool.width)}`;
const below = (pool) => (pool.failures > 0 ? "listed below" : "");

/** Name, words, and what is below them; those at the end are shown only when they are not nothing. `own`: of a
 * pool that has workers. */
const TILES = [
  { name: "Ended a second", id: "rate", text: (pool) => rate(pool.rate), more: () => "in the last 10 s" },
  { name: "Done", id: "done" },
  { name: "Waiting", id: "queued", own: true },
  { name: "In hand", id: "running", more: () => "of workers" },
  { name: "Workers", id: "workers", text: ofWidth, more: others, own: true },
  { name: "Median time", id: "p50", text: (pool) => duration(pool.p50), more: slowest },
  { name: "Memory", id: "memory", text: (_, last) => bytes(last.memory), more: () => "of workers" },
  { name: "CPU", id: "cpu", text: (_, last) => percent(last.cpu), more: () => "of one CPU" },
  { name: "Errors seen", id: "failures", more: below, bad: (pool) => pool.failures > 0 },
  { name: "Failed unrun", id: "failed", bad: (pool) => pool.failed > 0, rare: true },
  { name: "Workers died", id: "died", bad: (pool) => pool.died > 0, rare: true },
  { name: "Timeouts", id: "timeouts", bad: (pool) => pool.timeouts > 0, rare: true },
  { name: "Retries", id: "retries", rare: true },
  { name: "Threads given up", id: "abandoned", bad: (pool) => pool.abandoned > 0, rare: true },
];

/** Workers that do not work. */
function others(pool) {
  const parts = [];
  if (pool.starting > 0) parts.push(`${count(pool.starting)} start`);
  if (pool.idle > 0) parts.push(`${count(pool.idle)} idle`);
  return parts.join(", ") || (pool.busy > 0 ? "all run" : "");
}

class Tiles {
  constructor() {
    this.tiles = TILES.map((tile) => {
      const [value, more] = [make("span", {}), make("small", {})];
      const words = [make("dt", {}, tile.name), make("dd", {}, value, more)];
      return { ...tile, value, below: more, element: make("div", { "data-tile": tile.id }, ...words) };
    });
    this.element = make("dl", { class: "tiles" }, ...this.tiles.map((tile) => tile.element));
  }

  show(pool, last) {
    for (const { id, text, more, bad, rare, own, value, below, element } of this.tiles) {
      element.hidden = rare ? !(pool[id] > 0) : last[id] === null && (id === "memory" || id === "cpu");
      element.hidden ||= own && pool.backend === "inline";
      if (element.hidden) continue;
      write(value, text ? text(pool, last) : count(pool[id]));
      write(below, more?.(pool, last) ?? "");
      mark(element, "class", bad?.(pool) ? "bad" : null);
    }
  }
}

/** `act(what, pool, wid)` has something done; see actions.js. */
export class PoolSection {
  constructor(pool, place, act) {
    const title = titleOf(pool);
    this.pool = pool;
    const id = `pool-${pool.number}`;
    const perform = (what, wid = -1) => act(what, this.pool, wid);
    const button = (what, name) =>
      make("button", { type: "button", "data-act": what, click: () => perform(what) }, name);
    this.name = make("bdi", { class: "name" });
    this.kind = make("span", { class: "faint" });
    this.resize = button("resize", "Resize…");
    this.word = make("strong", {});
    this.text = make("bdi", {});
    this.state = make("p", { class: "state" }, this.word, make("span", {}, ": "), this.text);
    const heading = make("h2", { id }, title, " ", this.name, " ", this.kind);
    const buttons = make("div", { class: "buttons" }, button("dump", "Stacks"), this.resize);
    this.head = make("div", { class: "head stop", tabindex: "-1", "data-pool-head": "" }, heading, buttons, this.state);
    this.note = make("p", { class: "faint", hidden: true });
    this.tiles = new Tiles();
    this.charts = new Charts(title);
    this.streams = streamsTable(`Streams of ${title}`);
    this.shares = new Map();
    const own = { pool: () => this.pool, shares: () => this.shares, act: perform };
    this.workers = workersTable(title, own);
    this.summary = make("summary", {}, "Workers");
    this.fold = make("details", { open: place < UNFOLDED }, this.summary, this.workers.element);
    this.element = make(
      "section",
      { class: "pool", "data-pool": pool.number, "aria-labelledby": id },
      ...[this.head, this.note, this.tiles.element, this.charts.element, this.streams.element, this.fold],
    );
  }

  show(pool, model) {
    this.pool = pool;
    const history = model.history(pool);
    const streams = model.streamsOf(pool);
    this.shares = history.shares;
    write(this.name, firstLine(pool.name, 120));
    write(this.kind, [said(pool.backend), said(pool.resources)].filter(Boolean).join(", "));
    const { kind, word, text } = glance(pool, history, streams, model.look.at);
    mark(this.state, "data-kind", kind);
    write(this.word, word);
    write(this.text, text);
    this.glance = { kind, word };
    this.note.hidden = !said(pool.auto);
    write(this.note, `The pool sets its number of workers itself. Its latest reason: ${firstLine(pool.auto)}`);
    this.tiles.show(pool, history.samples[history.samples.length - 1]);
    this.charts.show(history);
    this.streams.element.hidden = !streams.length;
    this.streams.show(withKeys(streams));
    this.showWorkers(pool);
    this.resize.hidden = pool.kind !== "Pool" || pool.backend === "inline" || Boolean(pool.auto);
  }

  showWorkers(pool) {
    const rows = pool.rows ?? [];
    this.fold.hidden = !rows.length;
    write(this.summary, plural(rows.length, "worker"));
    this.workers.show(rows);
    mark(this.workers.table, "data-threads", pool.backend === "threads" || pool.backend === "inline" ? "" : null);
  }

  row(wid) {
    return (this.pool.rows ?? []).find((row) => row.wid === wid);
  }

  close() {
    this.charts.close();
    this.element.remove();
  }
}
