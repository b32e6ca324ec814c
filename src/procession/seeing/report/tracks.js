// The rows of the timeline on a canvas.
//
// What is narrower than WIDE pixels is not drawn bar by bar: per pixel it is added up how much of it is taken by which colour, and
// that is painted as a column, as high as the worker was busy. A failure has its mark at any zoom.

const WIDE = 2;
const AXIS = 22;
const LANE = 16;
const HEADER = 18;
const MARK = 6;
const DIM = OTHER + 1;
const CLASSES = DIM + 1;

/** The colours of the theme that is on. */
class Theme {
  constructor() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    for (const name of ["paper", "ink", "muted", "line", "track", "bad", "accent", "dim", "soft"]) this[name] = colour(`--${name}`);
    this.classes = [...Array(COLOURS).keys()].map((each) => colour(`--c${each}`));
    this.classes.push(colour("--other"), this.dim);
    this.inks = this.classes.map((each) => (luminance(each) > 0.19 ? "#101418" : "#ffffff"));
    this.words = this.classes.map(word);
  }
}

const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

/** As a word of ImageData. */
function word(colour) {
  const [red, green, blue] = channels(colour);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function luminance(colour) {
  const [red, green, blue] = channels(colour).map((each) => (each / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Moments for the ruler: their distance is 1, 2 or 5 times a power of ten. */
function ticks(from, to, most) {
  const least = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = Math.max(1, [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least * 0.999));
  const made = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) made.push(at);
  return { step, at: made };
}

class Tracks {
  constructor(run, view) {
    this.run = run;
    this.view = view;
    this.scroller = byId("rows");
    this.canvas = byId("bars");
    this.context = this.canvas.getContext("2d");
    this.fitted = false;
    this.lanes = null;
    this.theme = new Theme();
  }

  /** Take the place that there is, and say where each row goes. */
  layout() {
    const { run } = this;
    const several = run.pools.length > 1;
    const width = Math.max(240, this.scroller.clientWidth);
    this.gutter = width < 640 ? 58 : 156;
    this.width = width;
    this.plot = width - this.gutter;
    const room = Math.max(220, Math.min(560, Math.round(window.innerHeight * 0.62)));
    const headers = several ? run.pools.length * HEADER : 0;
    const rows = Math.max(1, run.tracks.length);
    const free = room - AXIS - 2 * LANE - headers;
    const lowest = 11;
    this.crowded = rows * lowest > free;
    this.row = Math.min(26, Math.max(lowest, Math.floor(free / rows)));
    if (this.crowded && this.fitted) this.row = Math.max(1, Math.floor(free / rows));
    this.places = [];
    let [y, pool] = [0, -1];
    for (const track of run.tracks) {
      if (several && track.pool !== pool) {
        this.places.push({ y, height: HEADER, pool: track.pool });
        y += HEADER;
      }
      pool = track.pool;
      this.places.push({ y, height: this.row, track });
      y += this.row;
    }
    this.whole = Math.max(y, 24);
    this.region = Math.min(this.whole, Math.max(room - AXIS - 2 * LANE, 24));
    this.height = AXIS + LANE + this.region + LANE;
    this.scroller.style.height = `${this.height}px`;
    byId("space").style.height = `${this.height + this.whole - this.region}px`;
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.top = AXIS + LANE;
  }

  x(time) {
    return this.gutter + ((time - this.view.from) / this.view.length) * this.plot;
  }

  time(x) {
    return this.view.from + ((x - this.gutter) / this.plot) * this.view.length;
  }

  /** Rows that are not scrolled away. */
  seen() {
    const scrolled = this.scroller.scrollTop;
    return this.places.filter(({ y, height }) => y + height > scrolled && y < scrolled + this.region);
  }

  paint() {
    const { context, theme } = this;
    const began = performance.now();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const seen = this.seen();
    const wide = this.paintColumns(seen);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.paintGrid();
    context.save();
    context.beginPath();
    context.rect(this.gutter, this.top, this.plot, this.region);
    context.clip();
    this.paintBars(wide);
    this.paintEnds(seen);
    context.restore();
    this.paintNames(seen);
    this.paintLanes();
    this.paintChosen();
    this.took = performance.now() - began;
    const { dataset } = this.scroller;
    [dataset.from, dataset.to, dataset.took] = [this.view.from, this.view.to, this.took.toFixed(1)];
  }

  /** The narrow tasks, pixel by pixel; returns the wide ones and the marks of failures, per place. */
  paintColumns(seen) {
    const width = Math.max(1, Math.round(this.plot * this.ratio));
    const height = Math.max(1, Math.round(this.region * this.ratio));
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.bins = new Float32Array(width * CLASSES);
      this.fails = new Uint8Array(width);
      this.lives = new Uint8Array(width);
    }
    this.pixels.fill(word(this.theme.paper));
    const found = [];
    const scrolled = this.scroller.scrollTop;
    for (const place of seen) {
      if (!place.track) continue;
      const gap = this.row >= 8 ? 1 : 0;
      const top = Math.round((place.y - scrolled + gap) * this.ratio);
      const bottom = Math.max(top + 1, Math.round((place.y - scrolled + place.height - gap) * this.ratio));
      this.bins.fill(0);
      this.fails.fill(0);
      this.lives.fill(0);
      const wide = [];
      for (const worker of place.track.workers) {
        this.noteLife(worker, width);
        this.gather(worker, width, wide);
      }
      this.paintLives(top, bottom, width, height);
      this.paintBins(top, bottom, width, height);
      const fails = [];
      for (let x = 0; x < width; x++) if (this.fails[x]) fails.push(x / this.ratio + this.gutter);
      found.push({ place, wide, fails });
    }
    this.context.putImageData(this.image, Math.round(this.gutter * this.ratio), Math.round(this.top * this.ratio));
    return found;
  }

  /** Note in which pixels this worker lives. */
  noteLife(worker, width) {
    const { from, length } = this.view;
    const [, , , started, ended] = this.run.workers[worker];
    const scale = width / length;
    const left = Math.max(0, Math.round(((started ?? this.run.low) - from) * scale));
    const right = Math.min(width, Math.round(((ended ?? this.run.high) - from) * scale));
    if (right > left) this.lives.fill(1, left, right);
  }

  /** Where a worker lives its row has a ground. */
  paintLives(top, bottom, width, height) {
    const ground = word(this.theme.track);
    for (let left = 0; left < width; left++) {
      if (!this.lives[left]) continue;
      let right = left;
      while (right < width && this.lives[right]) right++;
      for (let y = Math.max(0, top); y < Math.min(height, bottom); y++) this.pixels.fill(ground, y * width + left, y * width + right);
      left = right;
    }
  }

  /** Add a worker's narrow tasks to the bins and fails; put the others into `wide`. */
  gather(worker, width, wide) {
    const { run, view, bins, fails } = this;
    const { begin, over, outcome, started, classOf } = run;
    const mask = view.found?.mask;
    const functions = run.function;
    const { from, to } = view;
    const scale = width / view.length;
    const least = WIDE * this.ratio;
    const end = run.first[worker] + run.rowsOf[worker];
    for (let row = firstSeen(run, worker, from); row < end && begin[row] < to; row++) {
      if (Number.isNaN(started[row])) continue;
      const left = (begin[row] - from) * scale;
      const right = (over[row] - from) * scale;
      if (right - left >= least) {
        wide.push(row);
        continue;
      }
      const pixel = left < 0 ? 0 : left | 0;
      const kind = mask && !mask[row] ? DIM : classOf[functions[row]];
      const inside = Math.max(0.02, Math.min(right, pixel + 1) - Math.max(left, 0));
      bins[pixel * CLASSES + kind] += inside;
      for (let next = pixel + 1; next < right && next < width; next++) {
        bins[next * CLASSES + kind] += Math.min(1, right - next);
      }
      if (kind !== DIM && isFailure(outcome[row])) fails[pixel] = 1;
    }
  }

  paintBins(top, bottom, width, height) {
    const { bins, pixels } = this;
    const { words } = this.theme;
    const room = bottom - top;
    for (let x = 0; x < width; x++) {
      const at = x * CLASSES;
      let sum = 0;
      for (let kind = 0; kind < CLASSES; kind++) sum += bins[at + kind];
      if (sum === 0) continue;
      const high = Math.max(Math.min(room, 2), Math.round(Math.min(1, sum) * room));
      let y = bottom;
      let part = 0;
      for (let kind = 0; kind < CLASSES; kind++) {
        if (bins[at + kind] === 0) continue;
        part += bins[at + kind];
        const until = Math.max(top, Math.round(bottom - (part / sum) * high));
        for (; y > until; y--) if (y - 1 >= 0 && y - 1 < height) pixels[(y - 1) * width + x] = words[kind];
      }
    }
  }

  paintGrid() {
    const { context, theme, view } = this;
    const { step, at } = ticks(view.from, view.to, this.plot / 90);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "center";
    for (const time of at) {
      const x = Math.round(this.x(time)) + 0.5;
      context.fillStyle = theme.line;
      context.globalAlpha = 0.55;
      context.fillRect(x - 0.5, AXIS - 4, 1, this.height - AXIS);
      context.globalAlpha = 1;
      context.fillStyle = theme.muted;
      const text = moment(time, step, view.to);
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.min(this.width - half - 2, Math.max(this.gutter + half, x)), AXIS / 2 - 1);
    }
  }

  paintBars(found) {
    const { context, theme, run } = this;
    const mask = this.view.found?.mask;
    const scrolled = this.scroller.scrollTop;
    for (const { place, wide, fails } of found) {
      const gap = this.row >= 8 ? 1 : 0;
      const y = this.top + place.y - scrolled + gap;
      const height = Math.max(1, place.height - 2 * gap);
      for (const row of wide) {
        const left = Math.max(this.gutter - 4, this.x(run.begin[row]));
        const right = Math.min(this.width + 4, this.x(run.over[row]));
        const dim = mask && !mask[row];
        this.paintBar(row, dim ? DIM : run.classOf[run.function[row]], left, y, Math.max(1, right - left - 0.5), height);
        if (!dim && isFailure(run.outcome[row])) fails.push(Math.max(this.gutter + MARK, (left + Math.min(right, left + 12)) / 2));
      }
      const size = Math.min(fails.length > this.plot / 25 ? MARK / 2 : MARK, Math.max(2, height / 2));
      this.paintMarks(fails, y, size);
    }
  }

  paintBar(row, kind, x, y, width, height) {
    const { context, theme, run } = this;
    context.fillStyle = theme.classes[kind];
    context.fillRect(x, y, width, height);
    if (kind !== DIM && width > 24) this.paintCoding(row, y, height);
    if (kind !== DIM && isFailure(run.outcome[row]) && width > 3) {
      context.fillStyle = this.hatch();
      context.fillRect(x, y, width, height);
      context.strokeStyle = theme.bad;
      context.lineWidth = 1.5;
      context.strokeRect(x + 0.75, y + 0.75, width - 1.5, Math.max(0, height - 1.5));
    }
    if (kind !== DIM && width > 44 && height >= 11) {
      const again = run.attempt[row] > 1 ? `, run ${run.attempt[row]}` : "";
      const number = run.index[row] >= 0 ? ` #${run.index[row]}` : "";
      const still = run.outcome[row] === RUNNING ? ", still running" : "";
      const indent = isFailure(run.outcome[row]) ? 16 : 5;
      context.fillStyle = theme.inks[kind];
      context.textAlign = "left";
      context.font = `${Math.min(11, height - 2)}px system-ui, sans-serif`;
      this.paintText(`${shortened(run.name(row))}${number}${again}${still}`, x + indent, y + height / 2, width - indent - 3);
    }
  }

  /** Decoding before a run and encoding after it are darker. */
  paintCoding(row, y, height) {
    const { context, run, view } = this;
    const scale = this.plot / view.length;
    context.fillStyle = "rgba(0,0,0,0.35)";
    for (const [at, time] of [[run.begin[row], run.load[row]], [run.over[row] - run.dump[row], run.dump[row]]]) {
      if (time * scale >= 1) context.fillRect(this.x(at), y, time * scale, height);
    }
  }

  paintText(text, x, y, room) {
    const wide = this.context.measureText(text).width;
    const most = wide <= room ? text.length : Math.floor((text.length * room) / wide) - 2;
    if (most < 3) return;
    this.context.fillText(most < text.length ? `${text.slice(0, most)}…` : text, x, y + 0.5);
  }

  /** Small flags: a failure is told by form, not by colour alone. */
  paintMarks(places, y, size) {
    const { context, theme } = this;
    context.beginPath();
    let last = -MARK;
    for (const x of places.sort((a, b) => a - b)) {
      if (x - last < size) continue;
      last = x;
      context.moveTo(x - size, y);
      context.lineTo(x + size, y);
      context.lineTo(x, y + size * 1.4);
      context.closePath();
    }
    context.strokeStyle = theme.paper;
    context.lineWidth = 1;
    context.stroke();
    context.fillStyle = theme.bad;
    context.fill();
  }

  hatch() {
    if (this.hatched) return this.hatched;
    const tile = make("canvas", { width: 6, height: 6 });
    const brush = tile.getContext("2d");
    brush.strokeStyle = this.theme.bad;
    brush.lineWidth = 1.6;
    for (const shift of [-6, 0, 6]) {
      brush.moveTo(shift, 6);
      brush.lineTo(shift + 6, 0);
    }
    brush.stroke();
    return (this.hatched = this.context.createPattern(tile, "repeat"));
  }

  /** A worker that did not end in order. */
  paintEnds(seen) {
    const { context, theme, run } = this;
    const scrolled = this.scroller.scrollTop;
    context.textAlign = "left";
    for (const { track, y, height } of seen) {
      let last = -1;
      for (const worker of track?.workers ?? []) {
        const [, , , , ended, end] = run.workers[worker];
        if (!end || ended === null || ended < this.view.from || ended > this.view.to) continue;
        const x = this.x(ended);
        if (x - last < 1 && x >= last) continue;
        last = x;
        context.fillStyle = theme.bad;
        context.fillRect(x - 1, this.top + y - scrolled, 2, height);
        if (height >= 11 && track.workers.length === 1) {
          context.font = "10px system-ui, sans-serif";
          this.paintEnd(end, x, this.top + y - scrolled, height);
        }
      }
    }
  }

  /** How it ended, beside the mark where there is room; it may lie over bars. */
  paintEnd(text, x, y, height) {
    const { context, theme } = this;
    const wide = context.measureText(text).width;
    const left = x + 4 + wide > this.width ? x - 4 - wide : x + 4;
    context.fillStyle = theme.paper;
    context.fillRect(left - 2, y + 1, wide + 4, height - 2);
    context.fillStyle = theme.bad;
    context.fillText(text, left, y + height / 2 + 0.5);
  }

  paintNames(seen) {
    const { context, theme, run } = this;
    const scrolled = this.scroller.scrollTop;
    context.save();
    context.beginPath();
    context.rect(0, this.top, this.width, this.region);
    context.clip();
    context.fillStyle = theme.paper;
    context.fillRect(0, this.top, this.gutter - 1, this.region);
    context.textBaseline = "middle";
    let last = -100;
    for (const { track, pool, y, height } of seen) {
      const middle = this.top + y - scrolled + height / 2;
      if (track === undefined) {
        context.fillStyle = theme.soft;
        context.fillRect(0, middle - height / 2 + 1, this.width, height - 2);
        context.fillStyle = theme.ink;
        context.font = "600 11px system-ui, sans-serif";
        context.textAlign = "left";
        context.fillText(`${run.poolName(pool)}, ${plural(run.pools[pool][2], "worker")}`, 4, middle);
        last = middle + 4;
      } else if (middle - last >= 10.5) {
        context.fillStyle = theme.muted;
        context.font = "11px system-ui, sans-serif";
        context.textAlign = "right";
        context.fillText(this.label(track), this.gutter - 8, middle + 0.5);
        last = middle;
      }
    }
    context.restore();
  }

  label(track) {
    const [, wid, pid] = this.run.workers[track.workers[0]];
    const more = track.workers.length - 1;
    if (this.gutter < 100) return more ? `${wid}, +${count(more)}` : `${wid}`;
    return more ? `worker ${wid} and ${count(more)} more` : `worker ${wid} (pid ${pid})`;
  }

  /** Above and below the rows: where tasks were handed over, and where their results were known. */
  paintLanes() {
    const { context, theme } = this;
    const names = this.gutter < 100 ? ["in", "out"] : ["handed over", "results"];
    [AXIS, this.top + this.region].forEach((y, lane) => {
      context.fillStyle = theme.paper;
      context.fillRect(0, y, this.width, LANE);
      context.fillStyle = theme.line;
      context.fillRect(0, lane ? y : y + LANE - 1, this.width, 1);
      context.fillStyle = theme.muted;
      context.font = "11px system-ui, sans-serif";
      context.textAlign = "right";
      context.textBaseline = "middle";
      context.fillText(names[lane], this.gutter - 8, y + LANE / 2);
      const found = this.lanes;
      if (!found || found.from !== this.view.from || found.to !== this.view.to) return;
      const numbers = lane ? found.results : found.handed;
      const most = Math.max(1, ...numbers);
      const step = this.plot / numbers.length;
      context.fillStyle = theme.accent;
      numbers.forEach((number, bin) => {
        if (!number) return;
        const high = 2 + (LANE - 5) * Math.sqrt(number / most);
        context.fillRect(this.gutter + bin * step, lane ? y + 2 : y + LANE - 2 - high, Math.max(1, step - 0.5), high);
      });
    });
  }

  /** Where in the canvas a row's bar is: [y, height], or null if it is scrolled away. */
  barOf(row) {
    const worker = this.run.worker[row];
    const place = this.places.find(({ track }) => track?.workers.includes(worker));
    if (!place) return null;
    return [this.top + place.y - this.scroller.scrollTop, place.height];
  }

  /** From where it was handed over through its run to its result. */
  paintChosen() {
    const { context, theme, run, view } = this;
    const row = view.chosen;
    if (row < 0) return;
    const [y, height] = this.barOf(row) ?? [this.top, 0];
    const upper = AXIS + LANE / 2;
    const lower = this.top + this.region + LANE / 2;
    const limited = (time) => Math.max(this.gutter - 50, Math.min(this.width + 50, this.x(time)));
    context.save();
    context.beginPath();
    context.rect(this.gutter, AXIS, this.plot, this.height - AXIS);
    context.clip();
    context.strokeStyle = context.fillStyle = theme.ink;
    context.lineWidth = 1.5;
    const never = !run.started_(row);
    if (!never) {
      const [left, right] = [limited(run.begin[row]), limited(run.over[row])];
      context.lineWidth = 2;
      context.strokeRect(left - 1, y, Math.max(3, right - left + 2), height);
    }
    context.lineWidth = 1.5;
    const points = [];
    if (!Number.isNaN(run.queued[row])) points.push([limited(run.queued[row]), upper]);
    if (!Number.isNaN(run.sent[row])) points.push([limited(run.sent[row]), upper]);
    if (!never) points.push([limited(run.begin[row]), y + height / 2], [limited(run.over[row]), y + height / 2]);
    if (!Number.isNaN(run.done[row])) points.push([limited(run.done[row]), lower]);
    points.forEach(([x, at], place) => {
      const [before, from] = points[place - 1] ?? [x, at];
      const waiting = at === upper || (place === 1 && from === upper);
      context.setLineDash(waiting ? [4, 3] : []);
      context.beginPath();
      context.moveTo(before, from);
      if (at !== from) context.bezierCurveTo(before, (at + from) / 2, x, (at + from) / 2, x, at);
      else if (at === upper) context.lineTo(x, at);
      context.stroke();
      context.setLineDash([]);
      if (at !== upper && at !== lower) return;
      context.beginPath();
      context.arc(x, at, 3.5, 0, 7);
      context.fill();
    });
    context.restore();
  }

  /** What is under a point: { row, more }; row -1 where there is nothing, more: how many others share the place. */
  at(x, y) {
    const { run, view } = this;
    const inside = y - this.top;
    const none = { row: -1, more: 0 };
    if (x < this.gutter || inside < 0 || inside >= this.region) return none;
    const where = inside + this.scroller.scrollTop;
    const place = this.places.find((each) => each.track && where >= each.y && where < each.y + each.height);
    if (!place) return none;
    const [time, near] = [this.time(x), (view.length / this.plot) * 2.5];
    let [best, score, seen] = [-1, -1, 0];
    for (const worker of place.track.workers) {
      const end = run.first[worker] + run.rowsOf[worker];
      for (let row = firstSeen(run, worker, time - near); row < end && run.begin[row] <= time + near; row++) {
        if (!run.started_(row) || run.over[row] < time - near) continue;
        seen += 1;
        const length = run.over[row] - run.begin[row];
        const hit = run.begin[row] <= time && run.over[row] >= time && length >= near;
        const points = (hit ? 1e18 : 0) + (isFailure(run.outcome[row]) && length < near ? 1e17 : 0) + length;
        if (points > score) [best, score] = [row, points];
      }
    }
    return { row: best, more: Math.max(0, seen - 1) };
  }

  /** Scroll so that the chosen task's row is seen. */
  reveal(row) {
    const place = this.places.find(({ track }) => track?.workers.includes(this.run.worker[row]));
    if (!place) return;
    const { scrollTop } = this.scroller;
    if (place.y < scrollTop) this.scroller.scrollTop = place.y;
    else if (place.y + place.height > scrollTop + this.region) this.scroller.scrollTop = place.y + place.height - this.region;
  }
}
