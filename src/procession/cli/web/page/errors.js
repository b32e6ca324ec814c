// The latest errors; each is opened to read its stack.

import { arrange } from "./table.js";
import { ago, byId, firstLine, make, plural, said, write } from "./words.js";

/** So many are shown. */
const SHOWN = 50;

class Line {
  constructor(error) {
    this.error = error;
    this.when = make("span", { class: "faint when" });
    const where = make("span", { class: "faint" }, `${error.pool}, `, make("bdi", {}, firstLine(error.function, 120)));
    const text = make("bdi", { class: "clip" }, firstLine(error.text));
    const kind = make("strong", { class: "failed" }, firstLine(error.kind, 80));
    const summary = make("summary", { class: "stop" }, this.when, where, kind, text);
    this.element = make("details", { "data-error": "" }, summary);
    // What is inside is made when somebody opens it: of a hundred errors few are read.
    this.element.addEventListener("toggle", () => this.element.children[1] ?? this.element.append(...inside(error)), {
      once: true,
    });
  }
}

function inside(error) {
  const worker = error.worker >= 0 ? `worker ${error.worker} of ${error.pool}` : error.pool;
  const text = `${said(error.kind)}: ${said(error.text)}`;
  const stack = said(error.stack) || "No stack is known.";
  return [
    make("p", {}, "In ", make("bdi", {}, said(error.function)), `, ${worker}`),
    make("pre", { tabindex: "0", "aria-label": "Message and stack" }, `${text}\n\n${stack}`),
  ];
}

export class Errors {
  constructor() {
    this.lines = new Map();
    this.list = byId("error-list");
  }

  show(model) {
    const latest = model.latest();
    const shown = latest.slice(0, SHOWN);
    const among = new Set(shown);
    // One that is being read stays, however many come.
    const read = [...this.lines.values()].filter((line) => line.element.open && !among.has(line.error));
    shown.push(...read.map((line) => line.error));
    for (const error of shown) if (!this.lines.has(error.key)) this.lines.set(error.key, new Line(error));
    const keys = new Set(shown.map((error) => error.key));
    for (const key of [...this.lines.keys()]) if (!keys.has(key)) this.lines.delete(key);
    for (const error of shown) write(this.lines.get(error.key).when, ago(model.look.at - error.at));
    arrange(this.list, shown.map((error) => this.lines.get(error.key).element));
    byId("errors").hidden = !shown.length;
    const rest = latest.length > shown.length ? ` of the latest ${plural(latest.length, "error")}` : "";
    write(byId("errors-title"), `Errors (${shown.length}${rest})`);
  }
}
