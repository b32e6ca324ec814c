// Numbers as people read them, and elements that hold nothing but text.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

const count = (value) => WHOLE.format(value);

/** Three digits, as many of them behind the point as there is room for. */
function digits(value) {
  const size = Math.abs(value);
  if (size >= 100 || value === 0) return WHOLE.format(value);
  return value.toFixed(size >= 10 ? 1 : 2);
}

/** The same, but a whole number stays whole. */
const amount = (value) => (Number.isInteger(value) ? count(value) : digits(value));

/** Nanoseconds in words: "12.3 ms". */
function duration(ns) {
  if (ns === null || ns === undefined || Number.isNaN(ns)) return "?";
  const size = Math.abs(ns);
  if (size < 1e3) return `${WHOLE.format(ns)} ns`;
  if (size < 1e6) return `${digits(ns / 1e3)} µs`;
  if (size < 1e9) return `${digits(ns / 1e6)} ms`;
  if (size < 120e9) return `${digits(ns / 1e9)} s`;
  if (size < 7200e9) return `${Math.floor(ns / 60e9)} min ${String(Math.floor(ns / 1e9) % 60).padStart(2, "0")} s`;
  return `${Math.floor(ns / 3600e9)} h ${String(Math.floor(ns / 60e9) % 60).padStart(2, "0")} min`;
}

/** A moment, as the time since the beginning. `step` says how fine it is told, `most` how large its neighbours are. */
function moment(ns, step, most = Math.abs(ns)) {
  const [unit, name] = most >= 1e9 ? [1e9, "s"] : most >= 1e6 ? [1e6, "ms"] : most >= 1e3 ? [1e3, "µs"] : [1, "ns"];
  const places = Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  const [whole, rest] = (Math.abs(ns) / unit).toFixed(Math.min(9, places)).split(".");
  const grouped = (rest ?? "").replace(/(\d{3})(?=\d)/g, "$1 ");
  return `${ns < 0 ? "−" : ""}${count(Number(whole))}${rest ? "." + grouped : ""} ${name}`;
}

function bytes(value) {
  const names = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (Math.abs(value) >= 1000 && step < names.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${step ? digits(value) : WHOLE.format(value)} ${names[step]}`;
}

function percent(share) {
  if (!Number.isFinite(share)) return "?";
  const value = share * 100;
  if (value > 0 && value < 0.1) return "< 0.1\u00a0%";
  return `${value.toFixed(value < 10 ? 1 : 0)}\u00a0%`;
}

const plural = (number, one, more = one + "s") => `${count(number)} ${number === 1 ? one : more}`;

/** The last part of a dotted name; what stands in <> stays whole. */
function shortened(name) {
  const found = /([^.]+)$/.exec(name);
  return found ? found[1] : name;
}

const byId = (id) => document.getElementById(id);

/** An element with attributes (a function is a listener) and children, of which a string is text. */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

function replaceAll(element, ...children) {
  element.replaceChildren(...children.filter((each) => each !== null && each !== undefined));
}

/** What draws on a canvas of this size, in units of the page, clean and sharp on any screen. */
function sized(canvas, width, height, ratio) {
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}
