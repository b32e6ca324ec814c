// What has been seen so far: the latest look at the program, and how the numbers of each pool went. It draws nothing.
//
// Laws
// 1. Time is the program's (`at` of a look, in seconds). The browser's clock says only how old a look is.
// 2. What is kept is bounded: MOST samples and LONGEST seconds of a pool, ERRORS errors, GONE pools that have ended.
// 3. A look of another process, or from before the last one, begins anew.

export const LONGEST = 600;
const MOST = 700;
const ERRORS = 100;
const GONE = 10;
/** Seconds between two looks of which a rate is not told, since it would hide what was between. */
export const GAP = 15;

const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** How one pool's numbers went. A sample: at, rate, queued, busy, workers, width, memory, cpu; null: not known. */
class History {
  constructor(at) {
    this.samples = [];
    this.shares = new Map(); // of one CPU, by worker, between the last two looks
    this.ended = null; // items that have come to an end, then
    this.since = at; // when that last grew, or was first seen
    this.grown = false;
    this.before = new Map();
  }

  take(pool, at) {
    const last = this.samples[this.samples.length - 1];
    const passed = last ? at - last.at : 0;
    const ended = number(pool.done) === null ? null : pool.done + (number(pool.failed) ?? 0);
    const known = this.ended !== null && ended !== null && passed > 0 && passed < GAP;
    const rate = known ? Math.max(0, ended - this.ended) / passed : null;
    if (ended !== null && this.ended !== null && ended > this.ended) [this.since, this.grown] = [at, true];
    this.ended = ended ?? this.ended;
    const rows = pool.rows ?? [];
    this.measure(rows, passed);
    const memory = rows.map((row) => number(row.memory)).filter((each) => each !== null);
    const shares = [...this.shares.values()];
    this.samples.push({
      at,
      rate,
      queued: number(pool.queued),
      busy: number(pool.busy),
      workers: number(pool.workers),
      width: number(pool.width),
      memory: memory.length ? sum(memory) : null,
      cpu: shares.length ? sum(shares) : null,
    });
    while (this.samples.length > MOST || this.samples[0].at < at - LONGEST) this.samples.shift();
  }

  /** Shares of CPUs, from what each worker had taken at the look before. */
  measure(rows, passed) {
    const now = new Map();
    this.shares = new Map();
    for (const row of rows) {
      if (number(row.cpu) === null) continue;
      const key = `${row.wid}/${row.pid}`;
      const before = this.before.get(key);
      if (before !== undefined && passed > 0) this.shares.set(row.wid, Math.max(0, row.cpu - before) / passed);
      now.set(key, row.cpu);
    }
    this.before = now;
  }
}

export const titleOf = (pool) => `${pool.kind ?? "Pool"} ${pool.number}`;

export class Model {
  constructor() {
    this.clear();
  }

  clear() {
    this.look = null;
    this.histories = new Map();
    this.errors = new Map();
    this.gone = [];
    this.share = null; // the program's own, of one CPU
    this.first = null;
  }

  /** A look has come. */
  take(look) {
    const before = this.look;
    if (before && (before.program?.pid !== look.program?.pid || before.at > look.at)) this.clear();
    const passed = this.look ? look.at - this.look.at : 0;
    const took = number(look.program?.cpu) === null ? null : look.program.cpu - (this.look?.program?.cpu ?? NaN);
    this.share = passed > 0 && Number.isFinite(took) ? Math.max(0, took) / passed : passed > 0 ? null : this.share;
    const ended = (this.look?.pools ?? []).filter((old) => !look.pools.some((pool) => pool.number === old.number));
    for (const pool of ended) {
      this.histories.delete(pool.number);
      this.gone.unshift({ ...pool, at: look.at });
    }
    this.gone.length = Math.min(this.gone.length, GONE);
    this.first ??= look.at;
    for (const pool of look.pools) {
      if (!this.histories.has(pool.number)) this.histories.set(pool.number, new History(look.at));
      this.histories.get(pool.number).take(pool, look.at);
      this.remember(pool);
    }
    this.look = look;
  }

  /** Errors, by what makes each one known again; of several told at once that are alike in all, by their place. */
  remember(pool) {
    const seen = new Map();
    for (const error of [...(pool.errors ?? [])].reverse()) {
      const alike = JSON.stringify([pool.number, error.at, error.worker, error.function, error.kind, error.text]);
      const place = seen.get(alike) ?? 0;
      seen.set(alike, place + 1);
      const key = `${place} ${alike}`;
      if (!this.errors.has(key)) this.errors.set(key, { ...error, key, pool: titleOf(pool) });
    }
    if (this.errors.size <= ERRORS) return;
    const kept = this.latest().slice(0, ERRORS);
    this.errors = new Map(kept.map((error) => [error.key, error]));
  }

  /** All errors that are known, the latest first. */
  latest() {
    return [...this.errors.values()].sort((one, other) => (number(other.at) ?? 0) - (number(one.at) ?? 0));
  }

  history(pool) {
    return this.histories.get(pool.number);
  }

  streamsOf(pool) {
    return (this.look.streams ?? []).filter((stream) => stream.engine === pool.number);
  }

  /** The streams that are of no single pool that is shown. */
  others() {
    const numbers = new Set(this.look.pools.map((pool) => pool.number));
    return (this.look.streams ?? []).filter((stream) => !numbers.has(stream.engine));
  }
}
