// What the recording says: rows with their bars, tracks, and all sums.

const OK = 0;
const ERROR = 1;
const CANCELLED = 5;
const RUNNING = 6;
const COLOURS = 8;
/** The class of a bar whose function has no colour of its own. */
const OTHER = COLOURS;
const isFailure = (outcome) => outcome > OK && outcome < CANCELLED;

/** Rows are sorted by worker, on a worker by `begin`; rows of one worker lie together. */
class Run {
  constructor(about, columns, series) {
    Object.assign(this, about, columns);
    this.series = series;
    this._bars();
    this._ranges();
    this._failures();
    this._classes();
    this.tracks = tracksOf(this);
  }

  /** `begin` and `over` of each bar: a task that never started has none, and stands where it was handed over. */
  _bars() {
    const { rows, started, ended, sent, queued, done } = this;
    this.begin = new Float64Array(rows);
    this.over = new Float64Array(rows);
    let [low, high] = [0, Math.max(this.until, 1)];
    for (let row = 0; row < rows; row++) {
      const never = Number.isNaN(started[row]);
      const begin = !never ? started[row] : !Number.isNaN(sent[row]) ? sent[row] : queued[row];
      let over = begin;
      if (!never) over = !Number.isNaN(ended[row]) ? ended[row] : !Number.isNaN(done[row]) ? done[row] : this.until;
      this.begin[row] = begin;
      this.over[row] = Math.max(begin, over);
      if (begin < low) low = begin;
      if (over > high) high = over;
    }
    this.low = low;
    this.high = high;
  }

  /** Which rows are of a worker: from first[worker] up to, without, first[worker] + rowsOf[worker]. */
  _ranges() {
    this.first = new Int32Array(this.workers.length);
    this.rowsOf = new Int32Array(this.workers.length);
    for (let row = 0; row < this.rows; row++) {
      const worker = this.worker[row];
      if (worker >= 0 && this.rowsOf[worker]++ === 0) this.first[worker] = row;
    }
  }

  _failures() {
    this.texts_of = new Map();
    for (const [row, kind, message, trace] of this.failures) {
      this.texts_of.set(row, { kind: this.texts[kind], message: this.texts[message], trace: this.texts[trace] });
    }
    const found = [];
    for (let row = 0; row < this.rows; row++) if (isFailure(this.outcome[row])) found.push(row);
    this.failed = found;
  }

  /** The functions that take most of the time have a colour each. */
  _classes() {
    const totals = new Float64Array(this.functions.length);
    for (let row = 0; row < this.rows; row++) totals[this.function[row]] += this.over[row] - this.begin[row] + 1;
    this.byTime = [...totals.keys()].filter((each) => totals[each] > 0).sort((a, b) => totals[b] - totals[a]);
    this.classOf = new Uint8Array(this.functions.length).fill(OTHER);
    const most = this.byTime.length <= COLOURS ? COLOURS : COLOURS - 1;
    this.byTime.slice(0, most).forEach((each, place) => (this.classOf[each] = place));
    this.coloured = this.byTime.slice(0, most);
  }

  ran(row) {
    return Math.max(0, this.over[row] - this.begin[row] - this.load[row] - this.dump[row]);
  }

  started_(row) {
    return !Number.isNaN(this.started[row]);
  }

  name(row) {
    return this.functions[this.function[row]] ?? "?";
  }

  /** Which item it is, in words. */
  item(row) {
    const stream = this.streams[this.stream[row]];
    if (!stream || this.index[row] < 0) return "a call";
    const name = stream[1] ? ` ${stream[1]}` : "";
    return `item ${count(this.index[row])} of ${stream[0]}${name}`;
  }

  workerName(worker) {
    if (worker < 0) return "no worker";
    const [, wid, pid] = this.workers[worker];
    return `worker ${wid} (pid ${pid})`;
  }

  poolName(pool) {
    const found = this.pools[pool];
    if (!found) return "the program";
    const [number, backend, , name] = found;
    return name ? `${name} (${backend})` : `pool ${number} (${backend})`;
  }
}

/**
 * One track a worker. Where workers came and went by the hundred (a quota of one task each), those that did not live
 * at the same time share one.
 */
function tracksOf(run) {
  const width = run.pools.reduce((sum, pool) => sum + pool[2], 0);
  const shared = run.workers.length > Math.max(64, 3 * width);
  const tracks = [];
  const pools = [...run.pools.keys()].sort((a, b) => run.pools[a][0] - run.pools[b][0]);
  pools.forEach((pool) => {
    const mine = [...run.workers.keys()].filter((worker) => run.workers[worker][0] === pool);
    const since = (worker) => run.workers[worker][3] ?? run.begin[run.first[worker]] ?? 0;
    const until = (worker) => run.workers[worker][4] ?? run.high;
    mine.sort(shared ? (a, b) => since(a) - since(b) : (a, b) => run.workers[a][1] - run.workers[b][1]);
    const own = [];
    for (const worker of mine) {
      const free = shared && own.find((track) => track.until <= since(worker));
      if (free) {
        free.workers.push(worker);
        free.until = until(worker);
      } else own.push({ pool, workers: [worker], until: until(worker) });
    }
    tracks.push(...own);
  });
  return tracks;
}

/** The first row of a worker that may be seen from `from` on. */
function firstSeen(run, worker, from) {
  const first = run.first[worker];
  let [low, high] = [first, first + run.rowsOf[worker]];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (run.begin[middle] < from) low = middle + 1;
    else high = middle;
  }
  while (low > first && (run.over[low - 1] > from || !run.started_(low - 1))) low--;
  return low;
}

/** Rows in the order of their beginning: a radix sort, since comparing a million rows takes a second. */
function rowsByBegin(run) {
  const { rows, begin, low, high } = run;
  const scale = 0xffffffff / Math.max(1, high - low);
  const keys = new Uint32Array(rows);
  let order = new Uint32Array(rows);
  for (let row = 0; row < rows; row++) {
    keys[row] = Number.isNaN(begin[row]) ? 0 : Math.max(0, begin[row] - low) * scale;
    order[row] = row;
  }
  let other = new Uint32Array(rows);
  for (let shift = 0; shift < 32; shift += 11) {
    const places = new Uint32Array(2049);
    for (let at = 0; at < rows; at++) places[((keys[at] >>> shift) & 2047) + 1]++;
    for (let digit = 0; digit < 2048; digit++) places[digit + 1] += places[digit];
    for (let at = 0; at < rows; at++) {
      const row = order[at];
      other[places[(keys[row] >>> shift) & 2047]++] = row;
    }
    [order, other] = [other, order];
  }
  return order;
}

/** Of each function that ran: how many, how long, how it ended. */
function figuresByFunction(run) {
  const { functions, rows, outcome } = run;
  const made = functions.map((name, index) => ({
    ...{ name, index, count: 0, total: 0, max: 0, failures: 0, bytesIn: 0, bytesOut: 0, coding: 0, waited: 0, times: null },
  }));
  const ran = new Uint32Array(functions.length);
  for (let row = 0; row < rows; row++) {
    const figure = made[run.function[row]];
    if (!figure) continue;
    figure.count += 1;
    figure.failures += isFailure(outcome[row]);
    figure.bytesIn += run.bytes_in[row];
    figure.bytesOut += run.bytes_out[row];
    if (!run.started_(row)) continue;
    const time = run.ran(row);
    ran[figure.index] += 1;
    figure.total += time;
    if (time > figure.max) figure.max = time;
    figure.coding += run.pickle[row] + run.load[row] + run.dump[row];
    if (!Number.isNaN(run.queued[row])) figure.waited += run.begin[row] - run.queued[row];
  }
  made.forEach((figure) => (figure.times = new Float64Array(ran[figure.index])));
  ran.fill(0);
  for (let row = 0; row < rows; row++) {
    const figure = made[run.function[row]];
    if (figure && run.started_(row)) figure.times[ran[figure.index]++] = run.ran(row);
  }
  for (const figure of made) {
    figure.times.sort();
    const runs = figure.times.length;
    const rank = (share) => (runs ? figure.times[Math.min(runs - 1, Math.floor(share * runs))] : NaN);
    Object.assign(figure, { runs, mean: runs ? figure.total / runs : NaN, p50: rank(0.5), p99: rank(0.99) });
  }
  return made.filter((figure) => figure.count > 0).sort((a, b) => b.total - a.total);
}

/** How long a task waits for its start, on average, and what the program took to encode arguments, in nanoseconds. */
function waitsOf(run) {
  let [waited, waits, pickled] = [0, 0, 0];
  for (let row = 0; row < run.rows; row++) {
    pickled += run.pickle[row];
    if (!run.started_(row) || Number.isNaN(run.queued[row])) continue;
    waited += run.begin[row] - run.queued[row];
    waits += 1;
  }
  return [waits ? waited / waits : NaN, pickled];
}

/** Failures that have the same kind and function, most first; each with its rows in the order of time. */
function groupsOfFailures(run) {
  const groups = new Map();
  for (const row of run.failed) {
    const kind = run.texts_of.get(row)?.kind ?? run.outcomes[run.outcome[row]];
    const key = JSON.stringify([kind, run.function[row]]);
    if (!groups.has(key)) groups.set(key, { kind, name: run.name(row), rows: [] });
    groups.get(key).rows.push(row);
  }
  const made = [...groups.values()];
  for (const group of made) group.rows.sort((a, b) => run.begin[a] - run.begin[b]);
  return made.sort((a, b) => b.rows.length - a.rows.length);
}

/** The rows that ran longest, longest first. */
function slowestRows(run, most) {
  const kept = [];
  let least = -1;
  for (let row = 0; row < run.rows; row++) {
    if (!run.started_(row)) continue;
    const time = run.over[row] - run.begin[row];
    if (kept.length === most && time <= least) continue;
    kept.push(row);
    kept.sort((a, b) => run.over[b] - run.begin[b] - (run.over[a] - run.begin[a]));
    if (kept.length > most) kept.pop();
    least = run.over[kept[kept.length - 1]] - run.begin[kept[kept.length - 1]];
  }
  return kept;
}

/** All attempts of the item of this row, in order; of a call by itself only this one is known. */
function attemptsOf(run, row) {
  if (run.index[row] < 0) return [row];
  const found = [];
  for (let other = 0; other < run.rows; other++) {
    if (run.index[other] === run.index[row] && run.stream[other] === run.stream[row]) found.push(other);
  }
  return found.sort((a, b) => run.attempt[a] - run.attempt[b] || run.begin[a] - run.begin[b]);
}

/** attempts[n] of an item: how many rows were the n-th, and how each came out. */
function attemptFigures(run) {
  const made = [];
  for (let row = 0; row < run.rows; row++) {
    const figure = (made[run.attempt[row]] ??= { count: 0, ok: 0, failures: 0, cancelled: 0 });
    figure.count += 1;
    if (isFailure(run.outcome[row])) figure.failures += 1;
    else if (run.outcome[row] === CANCELLED) figure.cancelled += 1;
    else if (run.outcome[row] === OK) figure.ok += 1;
  }
  return made;
}
