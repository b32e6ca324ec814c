// Numbers as people read them, and elements that hold nothing but text: what a program says is never taken as HTML.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** What is said where nothing is known. */
export const UNKNOWN = "–";

/** 1,234 */
export const count = (value) => (isNumber(value) ? WHOLE.format(value) : UNKNOWN);

/** Three digits, as many of them behind the point as there is room for. */
function digits(value) {
  const size = Math.abs(value);
  if (size >= 99.95 || value === 0) return WHOLE.format(value);
  return value.toFixed(size >= 9.995 ? 1 : 2);
}

/** How many a second: 0, 0.25, 8.0, 11, 1,234 */
export function rate(value) {
  if (!isNumber(value)) return UNKNOWN;
  if (value === 0 || value >= 9.95) return WHOLE.format(value);
  return value.toFixed(value < 0.995 ? 2 : 1);
}

const two = (value) => String(Math.floor(value)).padStart(2, "0");

/** Seconds in words: "12 ms", "1.2 s", "2 min 03 s", "1 h 02 min", "3 d 4 h". */
export function duration(seconds) {
  if (!isNumber(seconds)) return UNKNOWN;
  if (seconds <= 0) return "0 s";
  if (seconds < 0.9995e-3) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${digits(seconds * 1e3)} ms`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} min`;
  return `${WHOLE.format(Math.floor(seconds / 86400))} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** The same in whole seconds, for what is told anew each second. */
export const lasting = (seconds) =>
  isNumber(seconds) && seconds < 99.95 ? `${Math.max(0, Math.floor(seconds))} s` : duration(seconds);

export const ago = (seconds) => (isNumber(seconds) ? `${lasting(seconds)} ago` : UNKNOWN);

export function bytes(value) {
  if (!isNumber(value)) return UNKNOWN;
  const names = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (Math.abs(value) >= 999.5 && step < names.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${step ? digits(value) : WHOLE.format(value)} ${names[step]}`;
}

export const percent = (share) => (isNumber(share) ? `${WHOLE.format(share * 100)} %` : UNKNOWN);

export const plural = (number, one, more = one + "s") => `${count(number)} ${number === 1 ? one : more}`;

/** A text from the program; what is no text is said as one, and what is not there is nothing. */
export const said = (value) => (value === null || value === undefined ? "" : String(value));

/** Its first line, of which no more than `most` characters. */
export function firstLine(value, most = 500) {
  const line = said(value).trim().split("\n", 1)[0];
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

/** As a sentence, with a capital and a full stop. */
export function sentence(value) {
  const text = said(value).trim();
  return text && text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

export const byId = (id) => document.getElementById(id);

/** An element with attributes (a function is a listener) and children, of which a string is text. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

/** Let an element have this text. Where it has it already, nothing is touched: a selection in it stays. */
export function write(element, text) {
  const node = element.firstChild;
  if (node?.nodeType === Node.TEXT_NODE && !node.nextSibling) {
    if (node.data !== text) node.data = text;
  } else element.textContent = text;
}

/** Let an element have this attribute; null: have it not. */
export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}
