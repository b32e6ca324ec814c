// How the numbers of one pool went, since the page was opened: four small charts on one scale of time.

import { LONGEST } from "./model.js";
import { ago, bytes, count, duration, make, mark, rate, write } from "./words.js";

const HEIGHT = 84;
const FOOT = 16;
const HEAD = 17;
/** Seconds that are shown at first; later, all that there is, up to LONGEST. */
const LEAST = 60;
/** Seconds without a sample where the line is interrupted. */
const BREAK = 5;

/** A line is { of(sample), colour, words(value), name, area, dashed }. */
const KINDS = [
  {
    title: "Ended a second",
    lines: [{ of: (sample) => sample.rate, colour: "--c0", words: rate, name: "", area: true }],
    known: 1,
  },
  {
    title: "Waiting",
    lines: [{ of: (sample) => sample.queued, colour: "--c1", words: count, name: "", area: true }],
    known: 1,
  },
  {
    title: "Workers at work",
    lines: [
      { of: (sample) => sample.busy, colour: "--c2", words: count, name: "", area: true },
      { of: (sample) => sample.width, colour: "--muted", words: count, name: "of", dashed: true },
    ],
    known: 1,
  },
  {
    title: "Memory",
    lines: [{ of: (sample) => sample.memory, colour: "--c3", words: bytes, name: "", area: true }],
    known: 1e6,
  },
];

/** The smallest of 1, 2, 5, 10, 20 … that is not below. */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value * 0.9999) * power;
}

class Chart {
  constructor({ title, lines, known }) {
    Object.assign(this, { title, lines, known });
    this.readout = make("span", { class: "readout" });
    this.canvas = make("canvas", { height: HEIGHT, role: "img" });
    const caption = make("figcaption", {}, make("strong", {}, title), " ", this.readout);
    this.element = make("figure", {}, caption, this.canvas);
  }

  value(sample) {
    return this.lines
      .map((line) => `${line.name} ${line.words(sample ? line.of(sample) : null)}`.trim())
      .join(" ");
  }

  /** `shown`: { samples, from, until, ratio, width, colours, at }; `at`: the sample that the cursor is at, or null. */
  show(shown) {
    const [line] = this.lines;
    const values = shown.samples.map(line.of).filter((value) => value !== null);
    if (!values.length) return;
    const [least, most] = [Math.min(...values), Math.max(...values)];
    this.peak = round(Math.max(most, this.known, ...this.lines.flatMap((each) => shown.samples.map(each.of))));
    const last = shown.samples[shown.samples.length - 1];
    write(this.readout, shown.at ? `${this.value(shown.at)}, ${ago(last.at - shown.at.at)}` : this.value(last));
    const range = `least ${line.words(least)}, most ${line.words(most)}`;
    mark(this.canvas, "aria-label", `${this.title}: now ${this.value(last)}; in ${duration(shown.span)}: ${range}`);
    this.paint(shown);
  }

  paint({ samples, from, until, ratio, width, colours, at }) {
    const { canvas, peak } = this;
    const [wide, high] = [Math.round(width * ratio), Math.round(HEIGHT * ratio)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, HEIGHT);
    const floor = HEIGHT - FOOT;
    const x = (time) => ((time - from) / (until - from)) * width;
    const y = (value) => floor - (value / peak) * (floor - HEAD);
    pen.fillStyle = colours("--track");
    pen.fillRect(0, 0, width, floor);
    for (const line of this.lines) this.line(pen, line, samples, x, y, floor, colours);
    this.words(pen, { width, floor, from, until, colours });
    if (!at) return;
    pen.fillStyle = colours("--ink");
    pen.fillRect(Math.round(x(at.at)), 0, 1, floor);
    for (const line of this.lines) {
      const value = line.of(at);
      if (value !== null) pen.fillRect(x(at.at) - 2, y(value) - 2, 5, 5);
    }
  }

  line(pen, line, samples, x, y, floor, colours) {
    const colour = colours(line.colour);
    for (const run of runs(samples, line.of)) {
      pen.beginPath();
      for (const sample of run) pen.lineTo(x(sample.at), y(line.of(sample)));
      if (run.length === 1) pen.lineTo(x(run[0].at) + 1, y(line.of(run[0])));
      pen.strokeStyle = colour;
      pen.lineWidth = 1.5;
      pen.setLineDash(line.dashed ? [4, 3] : []);
      pen.stroke();
      pen.setLineDash([]);
      if (!line.area) continue;
      pen.lineTo(x(run[run.length - 1].at), floor);
      pen.lineTo(x(run[0].at), floor);
      pen.fillStyle = colour;
      pen.globalAlpha = 0.22;
      pen.fill();
      pen.globalAlpha = 1;
    }
  }

  words(pen, { width, floor, from, until, colours }) {
    pen.fillStyle = colours("--muted");
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "alphabetic";
    pen.textAlign = "left";
    const peak = this.lines[0].words(this.peak).replace(/\.0+(?= |$)/, "");
    pen.strokeStyle = colours("--track"); // where a line goes through it, it can still be read
    pen.lineWidth = 3;
    pen.strokeText(peak, 4, 13);
    pen.fillText(peak, 4, 13);
    const span = until - from;
    pen.fillText(span < 120 ? `${Math.round(span)} s ago` : `${Math.round(span / 60)} min ago`, 0, HEIGHT - 3);
    pen.textAlign = "right";
    pen.fillText("now", width, HEIGHT - 3);
    pen.strokeStyle = colours("--line");
    pen.lineWidth = 1;
    pen.strokeRect(0.5, 0.5, width - 1, floor - 1);
  }
}

/** The stretches in which the value is known. */
function runs(samples, of) {
  const found = [];
  let run = null;
  let before = null;
  for (const sample of samples) {
    const known = of(sample) !== null;
    if (known && run && sample.at - before.at < BREAK) run.push(sample);
    else if (known) found.push((run = [sample]));
    else run = null;
    before = sample;
  }
  return found;
}

/** Of one pool. The pointer, or the arrow keys while they have the focus, say what was at a moment. */
export class Charts {
  constructor(title) {
    this.charts = KINDS.map((kind) => new Chart(kind));
    this.status = make("p", { class: "unseen", role: "status" });
    this.at = null; // the time of the sample that the cursor is at
    this.element = make(
      "div",
      {
        class: "charts",
        tabindex: "0",
        role: "group",
        "aria-label": `Charts of ${title}. The arrow keys say the values of a moment.`,
        keydown: (event) => this.key(event),
        blur: () => this.point(null),
        pointerleave: () => this.point(null),
      },
      ...this.charts.map((chart) => chart.element),
      this.status,
    );
    for (const { canvas } of this.charts) {
      for (const kind of ["pointermove", "pointerdown"]) canvas.addEventListener(kind, (event) => this.hover(event));
    }
    this.resized = new ResizeObserver(() => this.paint());
    this.resized.observe(this.element);
  }

  show(history) {
    this.samples = history.samples;
    this.paint();
  }

  paint() {
    const { samples } = this;
    if (!samples?.length || !this.element.isConnected) return;
    const until = samples[samples.length - 1].at;
    const span = Math.min(LONGEST, Math.max(LEAST, until - samples[0].at));
    const style = getComputedStyle(document.documentElement);
    const colours = (name) => style.getPropertyValue(name);
    const at = this.at === null ? null : (samples.find((sample) => sample.at >= this.at) ?? null);
    if (at === null) this.at = null;
    const drawn = { samples, from: until - span, until, span, ratio: devicePixelRatio, colours, at };
    for (const { element, lines } of this.charts) element.hidden = samples.every((each) => lines[0].of(each) === null);
    for (const chart of this.charts) {
      const width = chart.element.clientWidth;
      if (width) chart.show({ ...drawn, width });
    }
    this.drawn = drawn;
  }

  point(time) {
    if (this.at === time) return;
    this.at = time;
    this.paint();
  }

  hover(event) {
    if (!this.drawn) return;
    const box = event.currentTarget.getBoundingClientRect();
    const { from, until } = this.drawn;
    const time = from + ((event.clientX - box.left) / box.width) * (until - from);
    this.point(this.near(time).at);
  }

  near(time) {
    const closer = (one, other) => (Math.abs(other.at - time) < Math.abs(one.at - time) ? other : one);
    return this.samples.reduce(closer);
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (event.key === "Escape") this.point(null);
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey || !this.samples?.length) return;
    event.preventDefault();
    const { samples } = this;
    const here = this.at === null ? samples.length - 1 : samples.findIndex((sample) => sample.at >= this.at);
    const place = Math.min(samples.length - 1, Math.max(0, here + step));
    this.point(samples[place].at);
    const told = this.charts.filter((chart) => !chart.element.hidden);
    const values = told.map((chart) => `${chart.title}: ${chart.value(samples[place])}`).join("; ");
    write(this.status, `${ago(samples[samples.length - 1].at - samples[place].at)}: ${values}`);
  }

  close() {
    this.resized.disconnect();
  }
}
