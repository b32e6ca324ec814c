// What is looked at: a stretch of time, a chosen task, what was searched. Whoever shows any of it listens.

/** Nanoseconds; nothing is shown larger than that. */
const NARROWEST = 50;

class View {
  constructor(run) {
    this.run = run;
    this.from = run.low;
    this.to = run.high;
    this.chosen = -1;
    this.found = null;
    this.place = -1;
    this.listeners = { range: [], chosen: [], found: [] };
  }

  on(what, listener) {
    this.listeners[what].push(listener);
  }

  _tell(what) {
    for (const listener of this.listeners[what]) listener();
  }

  get length() {
    return this.to - this.from;
  }

  show(from, to) {
    const whole = this.run.high - this.run.low;
    const length = Math.min(whole, Math.max(NARROWEST, to - from));
    const start = Math.min(this.run.high - length, Math.max(this.run.low, (from + to - length) / 2));
    if (start === this.from && start + length === this.to) return;
    this.from = start;
    this.to = start + length;
    this._tell("range");
  }

  all() {
    this.show(this.run.low, this.run.high);
  }

  /** Larger (factor above 1) around a moment. */
  zoom(factor, at = (this.from + this.to) / 2) {
    const length = Math.min(this.run.high - this.run.low, Math.max(NARROWEST, this.length / factor));
    const from = at - ((at - this.from) / this.length) * length;
    this.show(from, from + length);
  }

  /** By a share of what is shown. */
  move(share) {
    const step = this.length * share;
    const from = Math.min(this.run.high - this.length, Math.max(this.run.low, this.from + step));
    this.show(from, from + this.length);
  }

  choose(row) {
    if (row === this.chosen) return;
    this.chosen = row;
    this._tell("chosen");
  }

  /** Choose a row and make sure that one sees it. */
  goto(row) {
    const { begin, over } = this.run;
    const time = over[row] - begin[row];
    const seen = begin[row] >= this.from && over[row] <= this.to && time > this.length / 200;
    if (!seen) {
      const middle = (begin[row] + over[row]) / 2;
      const context = Math.max(time * 60, (this.run.high - this.run.low) / 5000);
      const length = Math.max(time * 8, Math.min(this.length, context));
      this.show(middle - length / 2, middle + length / 2);
    }
    this.choose(row);
  }

  find(query) {
    this.found = search(this.run, query);
    this.place = -1;
    this._tell("found");
  }

  /** Go to the next (1) or previous (-1) row that was found. */
  step(by) {
    const rows = this.found?.rows;
    if (!rows?.length) return;
    this.place = this.place < 0 ? (by > 0 ? 0 : rows.length - 1) : (this.place + by + rows.length) % rows.length;
    this.goto(rows[this.place]);
    this._tell("found");
  }

  /** Go to the next (1) or previous (-1) failure after the chosen task, or from where one looks. */
  failure(by) {
    const { begin, failed } = this.run;
    if (!failed.length) return;
    this.failures ??= Uint32Array.from(failed).sort((a, b) => begin[a] - begin[b] || a - b);
    const place = this.failures.indexOf(this.chosen);
    let next;
    if (place >= 0) next = (place + by + this.failures.length) % this.failures.length;
    else {
      next = this.failures.findIndex((row) => begin[row] >= this.from);
      if (by < 0) next = (next < 0 ? this.failures.length : next) - 1;
      next = (next + this.failures.length) % this.failures.length;
    }
    this.goto(this.failures[next]);
  }

  /** Choose the task before (-1) or after (1) on the same worker. */
  neighbour(by) {
    const { run } = this;
    if (this.chosen < 0) {
      const worker = run.tracks.flatMap((track) => track.workers).find((each) => run.rowsOf[each] > 0);
      if (worker !== undefined) this.goto(Math.min(firstSeen(run, worker, this.from), run.first[worker] + run.rowsOf[worker] - 1));
      return;
    }
    const worker = run.worker[this.chosen];
    const next = this.chosen + by;
    if (worker >= 0 && next >= 0 && next < run.rows && run.worker[next] === worker) this.goto(next);
  }
}
