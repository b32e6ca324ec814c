// Puts the page together, and listens to pointer and keys.

/** What weighs most comes first. */
const SEVERITIES = { problem: "Problem", hint: "Hint", note: "Note", good: "Good" };
/** After a turn of the wheel elsewhere on the page it goes on scrolling the page so long, in milliseconds. */
const SCROLLS_ON = 400;

function head(run) {
  const { about } = run;
  const program = byId("program");
  const speed = { yes: "with the fast lane", no: "in pure Python" }[String(about.accelerated).toLowerCase()] ?? null;
  const began = about.began ? new Date(about.began) : null;
  const when = began && !Number.isNaN(began.getTime()) ? began.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "medium" }) : about.began;
  const rest = [
    when && `began ${when}`,
    about.host && `on ${about.host}`,
    about.python && `Python ${about.python}`,
    about.procession && `procession ${about.procession}${speed ? ` ${speed}` : ""}`,
  ];
  replaceAll(program, make("code", {}, about.command || "a program"), ` ${rest.filter(Boolean).join(", ")}`);
  byId("footer").textContent = "Made by procession. This page reaches no network, and holds all that it shows.";
  if (run.lost) {
    byId("lost").hidden = false;
    byId("lost").textContent =
      `${plural(run.lost, "task")} are missing from this recording: there was no room for them, or they were ` +
      "overwritten before they had been read. Sums are of what is here.";
  }
}

function verdict(run) {
  const { headline, limit, ending, findings } = run.verdict;
  byId("verdict").hidden = false;
  byId("headline").textContent = headline;
  byId("limit").textContent = limit;
  const weights = Object.keys(SEVERITIES);
  const said = ending ? [...findings, ["good", ending, "", ""]] : [...findings];
  said.sort((a, b) => weights.indexOf(a[0]) - weights.indexOf(b[0]));
  replaceAll(
    byId("findings"),
    ...said.map(([severity, name, text, advice]) =>
      make(
        "li",
        { class: Object.hasOwn(SEVERITIES, severity) ? severity : "note" },
        make("b", { class: "severity" }, SEVERITIES[severity] ?? severity),
        make("div", {}, make("h3", {}, name), text ? make("p", {}, text) : null, advice ? make("p", { class: "advice" }, advice) : null),
      ),
    ),
  );
}

function contents(run) {
  const parts = [
    ["verdict", "Verdict"],
    ["timeline", "Timeline"],
    ["times", "Task times"],
    ["functions", "Functions"],
    ["failures", `Failures (${count(run.failed.length)})`],
    ["slowest", "Slowest"],
    ["attempts", "Attempts"],
    ["pools", "Pools"],
    ["streams", "Streams"],
  ];
  replaceAll(byId("contents"), ...parts.map(([id, name]) => make("a", { href: `#${id}` }, name)));
}

function legend(run, view) {
  const find = (name) => () => {
    const query = byId("query");
    query.value = query.value === name ? "" : name;
    view.find(query.value);
  };
  const others = run.byTime.length - run.coloured.length;
  replaceAll(
    byId("legend"),
    ...run.coloured.map((index) =>
      make("button", { type: "button", click: find(run.functions[index]), title: "Find its tasks" }, swatchOf(run, index), run.functions[index]),
    ),
    others > 0 ? make("span", {}, make("i", { class: "swatch other" }), plural(others, "other function")) : null,
    run.rows ? make("span", {}, make("i", { class: "swatch coding" }), "darker ends: decoding, encoding") : null,
    run.failed.length
      ? make("button", { type: "button", click: find("failed"), title: "Find all failures" }, make("i", { class: "swatch flag" }), `failed (${count(run.failed.length)})`)
      : null,
  );
}

const usualTheme = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

/** Everything that is seen, and what it listens to. */
class Page {
  constructor(run) {
    this.run = run;
    this.view = new View(run);
    this.tracks = new Tracks(run, this.view);
    this.overview = new Overview(run, this.view, this.tracks);
    this.details = new Details(run, this.view);
    this.tip = new Tip(run);
    this.charts = new Charts(run, this.view, this.tracks);
    this.repaints = [];
    this.scrolled = -Infinity;
    this.layout();
    this.listen();
  }

  layout() {
    this.tracks.layout();
    byId("fit").hidden = !this.tracks.crowded;
    byId("fit").setAttribute("aria-pressed", String(this.tracks.fitted));
    this.overview.layout();
    this.paint();
    this.charts.update();
  }

  paint() {
    const { run, view, tracks } = this;
    tracks.paint();
    this.overview.paint();
    const step = 10 ** Math.floor(Math.log10(Math.max(1, view.length / 200)));
    const whole = run.high - run.low;
    byId("range").textContent =
      view.length >= whole ? `all ${duration(whole)}` : `${moment(view.from, step, view.to)} to ${moment(view.to, step)} (${duration(view.length)})`;
    const label = `Timeline of ${plural(run.tracks.length, "worker")} and ${plural(run.rows, "task")}, showing ${byId("range").textContent}`;
    tracks.scroller.setAttribute("aria-label", label);
  }

  /** Once a frame: the rows at once, the charts when nothing has moved for a moment. */
  soon() {
    if (!this.waiting) {
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        this.paint();
      });
    }
    clearTimeout(this.later);
    this.later = setTimeout(() => this.charts.update(), 90);
  }

  listen() {
    const { view } = this;
    view.on("range", () => this.soon());
    view.on("chosen", () => {
      this.tracks.reveal(view.chosen);
      this.soon();
    });
    view.on("found", () => {
      this.tellHits();
      this.soon();
    });
    this.listenToButtons();
    this.listenToPointer();
    this.listenToOverview();
    this.listenToKeys();
    this.tracks.scroller.addEventListener("scroll", () => this.soon());
    new ResizeObserver(() => {
      const width = this.tracks.scroller.clientWidth;
      if (Math.abs(width - this.tracks.width) < 1) return;
      this.layout();
      for (const repaint of this.repaints) repaint();
    }).observe(byId("plot"));
  }

  tellHits() {
    const { found, place } = this.view;
    const total = found?.rows.length ?? 0;
    byId("hits").textContent = !found ? "" : !total ? "nothing found" : place < 0 ? `${count(total)} found` : `${count(place + 1)} of ${count(total)}`;
    byId("next").disabled = byId("previous").disabled = !total;
  }

  listenToButtons() {
    const { view } = this;
    const on = (id, act) => byId(id).addEventListener("click", act);
    on("in", () => view.zoom(2));
    on("out", () => view.zoom(0.5));
    on("all", () => view.all());
    on("previous", () => view.step(-1));
    on("fit", () => {
      this.tracks.fitted = !this.tracks.fitted;
      this.layout();
    });
    this.tellHits();
    let typed;
    const query = byId("query");
    query.addEventListener("input", () => {
      clearTimeout(typed);
      typed = setTimeout(() => view.find(query.value), 150);
    });
    const search = (by) => {
      clearTimeout(typed);
      if (this.query !== query.value || !view.found) view.find(query.value);
      this.query = query.value;
      view.step(by);
    };
    query.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        query.value = "";
        view.find("");
        this.tracks.scroller.focus();
      } else if (event.key === "Enter") {
        event.preventDefault();
        search(event.shiftKey ? -1 : 1);
      }
    });
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      search(1);
    });
    on("theme", () => this.turnTheme());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.retheme());
    this.retheme();
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
  }

  isDark() {
    return (document.documentElement.dataset.theme ?? usualTheme()) === "dark";
  }

  /** Back to the system's theme it follows the system again. */
  turnTheme() {
    const wanted = this.isDark() ? "light" : "dark";
    if (wanted === usualTheme()) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = wanted;
    this.retheme();
  }

  retheme() {
    byId("theme").textContent = this.isDark() ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", this.isDark() ? "Switch to light colours" : "Switch to dark colours");
    this.tracks.theme = new Theme();
    this.tracks.hatched = null;
    this.layout();
    for (const repaint of this.repaints) repaint();
  }

  /** On paper it is light, and nothing is folded. */
  print(on) {
    const { dataset } = document.documentElement;
    if (on) this.before = { theme: dataset.theme, open: [...document.querySelectorAll("details:not([open])")] };
    if (on) dataset.theme = "light";
    else if (this.before.theme) dataset.theme = this.before.theme;
    else delete dataset.theme;
    for (const each of this.before.open.slice(0, 20)) each.open = on;
    this.retheme();
  }

  listenToPointer() {
    const { view, tracks } = this;
    const surface = tracks.canvas;
    const place = (event) => {
      const box = surface.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    let down = null;
    surface.addEventListener("pointerdown", (event) => {
      if (event.button > 1) return;
      const [x, y] = place(event);
      down = { x, y, time: tracks.time(x), moves: event.shiftKey || event.button === 1, last: x };
      surface.setPointerCapture(event.pointerId);
    });
    surface.addEventListener("pointermove", (event) => {
      const [x, y] = place(event);
      this.point(x);
      if (!down) return this.hover(event, x, y);
      this.tip.hide();
      if (down.moves) {
        view.move((down.last - x) / tracks.plot);
        down.last = x;
      } else this.band(Math.max(tracks.gutter, Math.min(down.x, x)), Math.max(down.x, x));
    });
    surface.addEventListener("pointerup", (event) => {
      const [x, y] = place(event);
      this.band(0, 0);
      if (!down) return;
      const far = Math.abs(x - down.x) > 4;
      if (far && !down.moves) view.show(...[down.time, tracks.time(Math.max(tracks.gutter, x))].sort((a, b) => a - b));
      else if (!far) view.choose(tracks.at(x, y).row);
      down = null;
    });
    surface.addEventListener("pointercancel", () => {
      down = null;
      this.band(0, 0);
    });
    surface.addEventListener("dblclick", () => view.all());
    surface.addEventListener("pointerleave", () => this.leave());
    byId("charts").addEventListener("pointermove", (event) => this.point(place(event)[0]));
    byId("charts").addEventListener("pointerleave", () => this.leave());
    addEventListener("wheel", (event) => this.wheel(event, place), { passive: false });
  }

  hover(event, x, y) {
    const { row, more } = this.tracks.at(x, y);
    this.tracks.canvas.style.cursor = row >= 0 ? "pointer" : "crosshair";
    if (row >= 0) this.tip.show(row, more, event.clientX, event.clientY);
    else this.tip.hide();
  }

  point(x) {
    const { tracks } = this;
    const inside = x >= tracks.gutter && x <= tracks.width;
    byId("cursor").hidden = !inside;
    byId("cursor").style.left = `${x}px`;
    this.charts.point(inside ? tracks.time(x) : NaN);
  }

  leave() {
    this.tip.hide();
    byId("cursor").hidden = true;
    this.charts.point(NaN);
  }

  /** The stretch that is being dragged over. */
  band(left, right) {
    byId("band").hidden = right - left < 2;
    byId("band").style.left = `${left}px`;
    byId("band").style.width = `${right - left}px`;
  }

  /** Over the rows the wheel zooms, unless the page is just being scrolled past them, or there is nothing to zoom out of. */
  wheel(event, place) {
    const { view, tracks, run } = this;
    const over = event.target === tracks.canvas;
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const outOfAll = event.deltaY > 0 && view.length >= run.high - run.low && !event.ctrlKey;
    if (!over || (!event.ctrlKey && event.timeStamp - this.scrolled < SCROLLS_ON) || (outOfAll && !sideways)) {
      this.scrolled = event.timeStamp;
      return;
    }
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    if (sideways) view.move(((event.deltaX || event.deltaY) * lines) / tracks.plot);
    else view.zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) / 300), tracks.time(Math.max(tracks.gutter, place(event)[0])));
  }

  listenToOverview() {
    const { overview, view } = this;
    const { canvas } = overview;
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      const time = overview.time(event.offsetX);
      const inside = time >= view.from && time <= view.to && view.length < this.run.high - this.run.low;
      held = inside ? time - view.from : view.length / 2;
      canvas.setPointerCapture(event.pointerId);
      view.show(time - held, time - held + view.length);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (held === null) return;
      const from = overview.time(event.offsetX) - held;
      view.show(from, from + view.length);
    });
    canvas.addEventListener("pointerup", () => (held = null));
    canvas.addEventListener("dblclick", () => view.all());
  }

  listenToKeys() {
    const { view, tracks } = this;
    const scroll = (rows) => (tracks.scroller.scrollTop += rows * Math.max(tracks.row, 20));
    const keys = {
      ArrowLeft: () => view.move(-0.15),
      ArrowRight: () => view.move(0.15),
      ArrowUp: () => scroll(-1),
      ArrowDown: () => scroll(1),
      PageUp: () => view.move(-0.8),
      PageDown: () => view.move(0.8),
      Home: () => view.show(this.run.low, this.run.low + view.length),
      End: () => view.show(this.run.high - view.length, this.run.high),
      "+": () => view.zoom(2),
      "=": () => view.zoom(2),
      "-": () => view.zoom(0.5),
      0: () => view.all(),
      "[": () => view.neighbour(-1),
      "]": () => view.neighbour(1),
      f: () => view.failure(1),
      F: () => view.failure(-1),
      n: () => view.step(1),
      N: () => view.step(-1),
      Escape: () => view.choose(-1),
    };
    tracks.scroller.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
      event.preventDefault();
      keys[event.key]();
    });
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
      event.preventDefault();
      byId("query").focus();
    });
  }
}

async function main() {
  performance.mark("parsed");
  const about = JSON.parse(byId("about").textContent);
  const { columns, series } = await unpack(about, byId("data").textContent.trim());
  byId("data").remove();
  performance.mark("unpacked");
  const run = new Run(about, columns, series);
  performance.mark("prepared");
  head(run);
  verdict(run);
  contents(run);
  byId("loading").hidden = true;
  const page = new Page(run);
  legend(run, page.view);
  await new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)));
  document.documentElement.dataset.drawn = performance.now().toFixed(0);
  const figures = figuresByFunction(run);
  tiles(run, figures);
  const repaint = histogram(run, figures, page.tracks);
  if (repaint) page.repaints.push(repaint);
  sharesSection(run);
  functionsSection(run, figures, page.view);
  failuresSection(run, page.view);
  slowestSection(run, page.view);
  attemptsSection(run);
  poolsSection(run);
  streamsSection(run);
  document.documentElement.dataset.complete = performance.now().toFixed(0);
}

main().catch((error) => {
  byId("loading").hidden = false;
  byId("loading").textContent =
    typeof DecompressionStream === "undefined"
      ? "This browser is too old for this page: it has no DecompressionStream (Chrome 93, Firefox 113 and Safari 16.4 have)."
      : `The recording in this page could not be read: ${error}`;
  throw error;
});
