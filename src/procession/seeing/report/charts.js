// What goes on over time, below the rows and on their scale: workers that run, tasks that wait, memory, CPUs.

/**
 * How much of each bin of a stretch is run, by class (sum over workers), and how many tasks were handed over and had their
 * results in it. `classes` says the class of a row.
 */
function tally(run, from, to, bins, classes) {
  const { rows, begin, over, started, queued, done } = run;
  const made = Array.from({ length: classes.length }, () => new Float64Array(bins + 1));
  const steps = Array.from({ length: classes.length }, () => new Float64Array(bins + 2));
  const handed = new Float64Array(bins);
  const results = new Float64Array(bins);
  const scale = bins / (to - from);
  const { of } = classes;
  for (let row = 0; row < rows; row++) {
    const given = (queued[row] - from) * scale;
    if (given >= 0 && given < bins) handed[given | 0] += 1;
    const known = (done[row] - from) * scale;
    if (known >= 0 && known < bins) results[known | 0] += 1;
    let left = (begin[row] - from) * scale;
    let right = (over[row] - from) * scale;
    if (!(right > 0 && left < bins) || started[row] !== started[row]) continue;
    if (left < 0) left = 0;
    if (right > bins) right = bins;
    const kind = of(row);
    const [first, last] = [left | 0, right | 0];
    if (first === last) made[kind][first] += right - left;
    else {
      made[kind][first] += first + 1 - left;
      made[kind][last] += right - last;
      steps[kind][first + 1] += 1;
      steps[kind][last] -= 1;
    }
  }
  made.forEach((values, kind) => {
    let level = 0;
    for (let bin = 0; bin < bins; bin++) {
      level += steps[kind][bin];
      values[bin] += level;
    }
  });
  return { from, to, bins, layers: made.map((values) => values.subarray(0, bins)), handed, results };
}

/** The largest value of a series in each bin; it keeps a value until the next sample. NaN before the first. */
function sampled({ times, values }, from, to, bins) {
  const made = new Float64Array(bins).fill(NaN);
  const scale = bins / (to - from);
  let held = NaN;
  let at = 0;
  while (at < times.length && times[at] <= from) held = values[at++];
  for (let bin = 0; bin < bins; bin++) {
    let most = held;
    while (at < times.length && (times[at] - from) * scale < bin + 1) {
      held = values[at++];
      if (!(held <= most)) most = held;
    }
    made[bin] = most;
  }
  return made;
}

/** How fast a growing quantity grows, per second, as a series. */
function rates({ times, values }) {
  const [moments, made] = [[], []];
  for (let at = 1; at < times.length; at++) {
    const passed = (times[at] - times[at - 1]) / 1e9;
    if (passed <= 0) continue;
    moments.push(times[at - 1]);
    made.push(Math.max(0, values[at] - values[at - 1]) / passed);
  }
  if (times.length > 1) {
    moments.push(times[times.length - 1]);
    made.push(0);
  }
  return { times: moments, values: made };
}

/** The sum of a quantity over all pools (program: of the program), in bins; null if nobody has sampled it. */
function quantity(run, name, view, bins, { program = false, rate = false } = {}) {
  const wanted = run.series.filter((each) => each.name === name && each.pool < 0 === program);
  if (!wanted.length) return null;
  const sum = new Float64Array(bins);
  for (const each of wanted) {
    const values = sampled(rate ? rates(each) : each, view.from, view.to, bins);
    for (let bin = 0; bin < bins; bin++) if (!Number.isNaN(values[bin])) sum[bin] += values[bin];
  }
  return sum;
}

/** One small chart: layers are stacked areas, lines lie over them; both have `name`, `colour` and `values`. */
class Chart {
  constructor(title, height, words) {
    this.title = title;
    this.words = words;
    this.height = height;
    this.canvas = make("canvas", { role: "img" });
    this.readout = make("span", { class: "readout" });
    this.head = make("figcaption", {}, make("strong", {}, title), " ", this.readout);
    this.element = make("figure", { class: "chart" }, this.head, this.canvas);
  }

  show(tracks, layers, lines, most) {
    Object.assign(this, { layers, lines, tracks });
    const bins = (layers[0] ?? lines[0]).values.length;
    const sums = new Float64Array(bins);
    for (const { values } of layers) for (let bin = 0; bin < bins; bin++) sums[bin] += values[bin];
    let peak = most ?? 0;
    for (const values of [sums, ...lines.map((line) => line.values)]) {
      for (let bin = 0; bin < bins; bin++) if (values[bin] > peak) peak = values[bin];
    }
    this.sums = sums;
    this.peak = peak;
    this.paint();
    this.say(-1);
  }

  paint() {
    const { canvas, tracks, peak, height } = this;
    const { theme, gutter, plot, width, ratio } = tracks;
    const context = sized(canvas, width, height, ratio);
    const bins = this.sums.length;
    const step = plot / bins;
    const level = (value) => height - 1 - (value / (peak || 1)) * (height - 8);
    context.fillStyle = theme.track;
    context.fillRect(gutter, 0, plot, height);
    const base = new Float64Array(bins);
    for (const { colour, values } of this.layers) {
      context.fillStyle = colour(theme);
      context.beginPath();
      for (let bin = bins - 1; bin >= 0; bin--) {
        const y = level(base[bin]);
        context.lineTo(gutter + (bin + 1) * step, y);
        context.lineTo(gutter + bin * step, y);
        base[bin] += values[bin];
      }
      for (let bin = 0; bin < bins; bin++) {
        const y = level(base[bin]);
        context.lineTo(gutter + bin * step, y);
        context.lineTo(gutter + (bin + 1) * step, y);
      }
      context.fill();
    }
    for (const { colour, values, dashed } of this.lines) {
      context.strokeStyle = colour(theme);
      context.lineWidth = 1.4;
      context.setLineDash(dashed ? [5, 4] : []);
      context.beginPath();
      for (let bin = 0; bin < bins; bin++) {
        const y = level(values[bin]);
        context.lineTo(gutter + bin * step, y);
        context.lineTo(gutter + (bin + 1) * step, y);
      }
      context.stroke();
    }
    context.setLineDash([]);
    context.fillStyle = theme.muted;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(this.words(peak), gutter - 8, 13);
    context.fillText("0", gutter - 8, height - 3);
  }

  /** What the values are in the bin under the pointer; without one, what the mean is. */
  say(bin) {
    const parts = [];
    const bins = this.sums.length;
    const value = (values) => (bin >= 0 ? values[bin] : values.reduce((sum, each) => sum + each, 0) / bins);
    for (const each of [...this.layers, ...this.lines].filter((one) => !one.silent)) {
      const swatch = make("i", { class: each.dashed ? "swatch line dashed" : this.lines.includes(each) ? "swatch line" : "swatch" });
      swatch.style.setProperty("--swatch", each.colour(this.tracks.theme));
      parts.push(make("span", {}, swatch, `${each.name} ${this.words(value(each.values))}`));
    }
    replaceAll(this.readout, ...parts, bin < 0 ? make("span", { class: "faint" }, "(mean)") : null);
    if (bin < 0) this.canvas.setAttribute("aria-label", `${this.title}: ${this.readout.textContent}`);
  }
}

/** The charts, below the rows and in step with them. */
class Charts {
  constructor(run, view, tracks) {
    Object.assign(this, { run, view, tracks });
    this.byOutcome = false;
    const has = (name) => run.series.some((each) => each.name === name);
    this.busy = new Chart("Running workers", 92, amount);
    this.waiting = has("queued") || has("ready") ? new Chart("Tasks that wait", 52, amount) : null;
    this.memory = has("memory") ? new Chart("Memory", 52, bytes) : null;
    this.cpu = has("cpu") ? new Chart(`CPUs in use, of ${run.cpus}`, 52, amount) : null;
    this.switch = make("button", { type: "button", "aria-pressed": "false", click: () => this.turn() }, "By outcome");
    this.busy.head.append(this.switch);
    this.all = [this.busy, this.waiting, this.memory, this.cpu].filter(Boolean);
    byId("charts").append(...this.all.map((chart) => chart.element));
  }

  turn() {
    this.byOutcome = !this.byOutcome;
    this.switch.setAttribute("aria-pressed", String(this.byOutcome));
    this.update();
  }

  classes() {
    const { run } = this;
    if (!this.byOutcome) return { length: CLASSES - 1, of: (row) => run.classOf[run.function[row]] };
    return { length: 2, of: (row) => (isFailure(run.outcome[row]) ? 1 : 0) };
  }

  update() {
    const { run, view, tracks } = this;
    const began = performance.now();
    const bins = Math.max(40, Math.round(tracks.plot / 2));
    const found = tally(run, view.from, view.to, bins, this.classes());
    tracks.lanes = found;
    tracks.context.setTransform(tracks.ratio, 0, 0, tracks.ratio, 0, 0);
    tracks.paintLanes();
    tracks.paintChosen();
    this.showBusy(found, bins);
    const paint = (name, options) => quantity(run, name, view, bins, options);
    const layer = (name, place, values) => values && { name, values, colour: (theme) => theme.classes[place] };
    const line = (name, values, dashed, place) =>
      values && { name, values, dashed, colour: (theme) => (place === undefined ? theme.ink : theme.classes[place]) };
    const some = (list) => list.filter(Boolean);
    this.waiting?.show(tracks, some([layer("handed over, not started", 4, paint("queued"))]), some([line("finished, not taken yet", paint("ready"))]));
    const memory = [layer("workers", 2, paint("memory")), layer("program", 3, paint("memory", { program: true }))];
    this.memory?.show(tracks, some(memory), []);
    const cpu = [layer("workers", 2, paint("cpu", { rate: true })), layer("program", 3, paint("cpu", { rate: true, program: true }))];
    const stalled = paint("stalled", { rate: true });
    const main = paint("main cpu", { rate: true, program: true });
    this.cpu?.show(tracks, some(cpu), some([line("main thread", main), line("workers that wait for one", stalled, true)]));
    byId("charts").dataset.took = (performance.now() - began).toFixed(1);
  }

  showBusy(found, bins) {
    const { tracks } = this;
    const named = this.byOutcome
      ? [{ colour: (theme) => theme.classes[OTHER] }, { colour: (theme) => theme.bad }]
      : found.layers.map((_, place) => ({ colour: (theme) => theme.classes[place] }));
    const layers = named.map((each, place) => ({ ...each, values: found.layers[place] }));
    const sum = new Float64Array(bins);
    for (const { values } of layers) for (let bin = 0; bin < bins; bin++) sum[bin] += values[bin];
    const alive = this.alive(bins);
    this.busy.say = (bin) => this.sayBusy(bin, sum, alive);
    this.busy.show(tracks, layers, [{ name: "workers", values: alive, colour: (theme) => theme.ink }], 1);
  }

  /** How many workers there are, from when they began and ended. */
  alive(bins) {
    const { run, view } = this;
    const made = new Float64Array(bins);
    const scale = bins / view.length;
    for (const [, , , started, ended] of run.workers) {
      const first = Math.max(0, ((started ?? run.low) - view.from) * scale);
      const last = Math.min(bins, ((ended ?? run.high) - view.from) * scale);
      for (let bin = Math.floor(first); bin < last; bin++) made[bin] += Math.min(bin + 1, last) - Math.max(bin, first);
    }
    return made;
  }

  sayBusy(bin, sum, alive) {
    const mean = (values) => values.reduce((total, each) => total + each, 0) / values.length;
    const [busy, of] = bin >= 0 ? [sum[bin], alive[bin]] : [mean(sum), mean(alive)];
    const share = of > 0 ? `, ${percent(Math.min(1, busy / of))}` : "";
    const text = `${amount(busy)} of ${amount(of)} workers${share}${bin < 0 ? " (mean of what is shown)" : ""}`;
    const colours = this.byOutcome ? [["fine", "other"], ["failed", "red"]] : [];
    const told = colours.map(([name, kind]) => make("span", {}, make("i", { class: `swatch ${kind}` }), name));
    replaceAll(this.busy.readout, make("span", {}, text), ...told);
    if (bin < 0) this.busy.canvas.setAttribute("aria-label", `${this.busy.title}: ${text}`);
  }

  /** The pointer is at this moment; NaN: nowhere. */
  point(time) {
    const bins = this.busy.sums?.length;
    if (!bins) return;
    const bin = Number.isNaN(time) ? -1 : Math.floor(((time - this.view.from) / this.view.length) * bins);
    for (const chart of this.all) chart.say(bin >= 0 && bin < bins ? bin : -1);
  }
}

/** The whole recording in one strip, with a window where one looks. */
class Overview {
  constructor(run, view, tracks) {
    Object.assign(this, { run, view, tracks });
    this.canvas = byId("overview");
  }

  layout() {
    const { width, ratio } = this.tracks;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(34 * ratio);
    this.canvas.style.width = `${width}px`;
    const bins = Math.max(40, Math.round(this.tracks.plot / 2));
    const { run } = this;
    const [found] = tally(run, run.low, run.high, bins, { length: 1, of: () => 0 }).layers;
    this.busy = found;
    this.bad = new Uint8Array(bins);
    const scale = bins / (run.high - run.low);
    for (const row of run.failed) this.bad[Math.min(bins - 1, Math.floor((run.over[row] - run.low) * scale))] = 1;
  }

  x(time) {
    const { run, tracks } = this;
    return tracks.gutter + ((time - run.low) / (run.high - run.low)) * tracks.plot;
  }

  time(x) {
    const { run, tracks } = this;
    return run.low + ((x - tracks.gutter) / tracks.plot) * (run.high - run.low);
  }

  paint() {
    const { theme, gutter, plot, ratio } = this.tracks;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, gutter + plot, 34);
    context.fillStyle = theme.track;
    context.fillRect(gutter, 0, plot, 34);
    const most = this.busy.reduce((high, each) => Math.max(high, each), 0);
    const step = plot / this.busy.length;
    context.fillStyle = theme.muted;
    this.busy.forEach((value, bin) => {
      const high = (value / (most || 1)) * 27;
      context.fillRect(gutter + bin * step, 34 - high, step + 0.3, high);
    });
    context.fillStyle = theme.bad;
    this.bad.forEach((any, bin) => any && context.fillRect(gutter + bin * step, 0, Math.max(2, step), 5));
    const [left, right] = [this.x(this.view.from), Math.max(this.x(this.view.to), this.x(this.view.from) + 2)];
    context.fillStyle = theme.paper;
    context.globalAlpha = 0.7;
    context.fillRect(gutter, 0, left - gutter, 34);
    context.fillRect(right, 0, gutter + plot - right, 34);
    context.globalAlpha = 1;
    context.strokeStyle = theme.accent;
    context.lineWidth = 2;
    context.strokeRect(left + 1, 1, right - left - 2, 32);
    context.fillStyle = theme.muted;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(gutter < 100 ? "all" : "all of it", gutter - 8, 17);
  }
}
