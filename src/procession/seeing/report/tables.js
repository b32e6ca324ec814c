// Sums of the whole recording: tiles, histogram, tables, failures.

/**
 * A table that is sorted by a click on a column's head. A column is { name, value(row), text(row) or node(row), left };
 * `sorted` is the place of the column by which it is sorted at first, largest first.
 */
function sortableTable(caption, columns, rows, sorted = -1) {
  const body = make("tbody");
  const heads = columns.map((column, place) => {
    const button = make("button", { type: "button", click: () => sort(place) }, column.name);
    return make("th", { scope: "col", class: column.left ? "left" : null }, button);
  });
  const lines = rows.map((row) => {
    const cells = columns.map((column) => make("td", { class: column.left ? "left" : null }, column.node ? column.node(row) : column.text(row)));
    return { row, line: make("tr", {}, ...cells) };
  });
  let [last, down] = [-1, true];
  function sort(place) {
    down = place === last ? !down : !columns[place].left;
    last = place;
    const { value } = columns[place];
    const sign = down ? -1 : 1;
    lines.sort((a, b) => {
      const [one, two] = [value(a.row), value(b.row)];
      return sign * (typeof one === "string" ? one.localeCompare(two) : one - two || 0);
    });
    heads.forEach((head, at) => head.setAttribute("aria-sort", at !== place ? "none" : down ? "descending" : "ascending"));
    body.replaceChildren(...lines.map(({ line }) => line));
  }
  if (sorted >= 0) sort(sorted);
  else body.replaceChildren(...lines.map(({ line }) => line));
  const table = make("table", {}, make("caption", { class: "unseen" }, caption), make("thead", {}, make("tr", {}, ...heads)), body);
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption }, table);
}

const title = (id, text) => make("h2", { id: `${id}-title` }, text);

function swatchOf(run, index) {
  const place = run.classOf[index];
  return make("i", { class: place < COLOURS ? `swatch c${place}` : "swatch other" });
}

function tiles(run, figures) {
  const items = run.rows;
  const failures = run.failed.length;
  const moved = figures.reduce((sum, figure) => [sum[0] + figure.bytesIn, sum[1] + figure.bytesOut], [0, 0]);
  const { speedup, limit } = run.verdict.numbers;
  const again = run.attempt.reduce((sum, each) => sum + (each > 1), 0);
  const made = [
    ["Lasted", duration(run.until)],
    ["Tasks", count(items), again ? `${plural(again, "further attempt")} among them` : ""],
    ["Failures", count(failures), failures ? percent(failures / items) : "none", failures > 0],
    ["Workers", count(run.workers.length), `on ${plural(run.cpus, "CPU")}`],
    ["Against one by one", speedup ? `${digits(speedup)} times` : "?", limit > speedup * 1.02 ? `as fast, of ${digits(limit)} possible` : "as fast"],
    ["To the workers", bytes(moved[0])],
    ["Back", bytes(moved[1])],
  ];
  replaceAll(
    byId("numbers"),
    ...made.map(([name, value, more, bad]) =>
      make("div", { class: bad ? "bad" : null }, make("dt", {}, name), make("dd", {}, value, more ? make("small", {}, more) : null)),
    ),
  );
}

/** How many tasks ran how long, by function; time on a logarithmic scale. */
function histogram(run, figures, tracks) {
  const perDecade = 6;
  const place = (time) => Math.floor(Math.log10(Math.max(1, time)) * perDecade);
  let [low, high] = [Infinity, -Infinity];
  for (const { times } of figures) {
    if (!times.length) continue;
    low = Math.min(low, place(times[0]));
    high = Math.max(high, place(times[times.length - 1]));
  }
  const section = byId("times");
  if (low > high) return replaceAll(section, title("times", "Task times"), make("p", {}, "Nothing ran."));
  low = Math.max(0, low - 1);
  high += 2;
  const stacks = Array.from({ length: COLOURS + 1 }, () => new Float64Array(high - low));
  for (const { index, times } of figures) for (const time of times) stacks[run.classOf[index]][place(time) - low] += 1;
  const canvas = make("canvas", { role: "img", height: 190 });
  const runs = figures.reduce((sum, figure) => sum + figure.runs, 0);
  const middle = percentileOfAll(figures, 0.5);
  const say = runs === 1 ? `One task, which ran ${duration(middle)}.` : `${plural(runs, "task")}; half of them ran up to ${duration(middle)}, 99\u00a0% up to ${duration(percentileOfAll(figures, 0.99))}.`;
  canvas.setAttribute("aria-label", `Histogram of task times: ${say}`);
  replaceAll(section, title("times", "Task times"), make("p", { class: "lead" }, say), canvas);
  const paint = () => paintHistogram(canvas, { stacks, low, high, perDecade, middle }, tracks, section.clientWidth);
  paint();
  return paint;
}

/** Of several sorted lists together, by bisection of the value. */
function percentileOfAll(figures, share) {
  const lists = figures.map((figure) => figure.times).filter((times) => times.length);
  const wanted = share * lists.reduce((sum, times) => sum + times.length, 0);
  let [low, high] = [0, Math.max(...lists.map((times) => times[times.length - 1]))];
  for (let step = 0; step < 60 && high - low > 0.5; step++) {
    const middle = (low + high) / 2;
    if (lists.reduce((sum, times) => sum + upTo(times, middle), 0) < wanted) low = middle;
    else high = middle;
  }
  return high;
}

function upTo(times, value) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function paintHistogram(canvas, { stacks, low, high, perDecade, middle }, { theme, ratio }, width) {
  const [left, height, foot] = [52, 190, 22];
  const context = sized(canvas, width, height, ratio);
  const bins = high - low;
  const step = (width - left - 8) / bins;
  const sums = Array.from({ length: bins }, (_, bin) => stacks.reduce((sum, stack) => sum + stack[bin], 0));
  const most = Math.max(1, ...sums);
  const tall = (number) => (number ? Math.max(2, (number / most) * (height - foot - 14)) : 0);
  context.fillStyle = theme.track;
  context.fillRect(left, 4, width - left - 8, height - foot - 4);
  for (let bin = 0; bin < bins; bin++) {
    let y = height - foot;
    const whole = tall(sums[bin]);
    stacks.forEach((stack, kind) => {
      if (!stack[bin]) return;
      const part = (stack[bin] / sums[bin]) * whole;
      context.fillStyle = theme.classes[kind];
      context.fillRect(left + bin * step + 0.5, y - part, Math.max(1, step - 1), part);
      y -= part;
    });
  }
  context.fillStyle = theme.muted;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  const few = bins <= 2.5 * perDecade;
  let written = left - 20;
  for (let decade = Math.floor(low / perDecade); decade * perDecade <= high; decade++) {
    for (const part of few ? [1, 2, 5] : [1]) {
      const time = part * 10 ** decade;
      const x = left + (Math.log10(time) * perDecade - low) * step;
      if (x < left || x > width - 20) continue;
      context.fillRect(x, height - foot, 1, 4);
      const text = duration(time).replace(/\.0+(?= )/, "");
      const half = context.measureText(text).width / 2;
      if (x - half < written + 6) continue;
      context.fillText(text, x, height - 6);
      written = x + half;
    }
  }
  context.textAlign = "right";
  context.fillText(count(most), left - 6, 16);
  context.fillText("0", left - 6, height - foot);
  const x = left + (Math.log10(Math.max(1, middle)) * perDecade - low) * step;
  context.strokeStyle = theme.ink;
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(x, 4);
  context.lineTo(x, height - foot);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = theme.ink;
  context.textAlign = x > width - 60 ? "right" : "left";
  context.fillText("half", x + (x > width - 60 ? -4 : 4), 14);
}

/** Where the workers' time went, as the verdict books it: one bar and a table, largest first. */
const KINDS = {
  ...{ function: "c2", failed: "bad", codec: "c1", stalled: "c3", start: "c5", dispatch: "c0", taker: "c6", head: "c4" },
  ...{ stragglers: "c7", serial: "other", input: "idle" },
};

function sharesSection(run) {
  const section = byId("shares");
  const parts = run.verdict.shares.filter(([, , share]) => share >= 0.0005).sort((a, b) => b[2] - a[2]);
  const heading = title("shares", "Where the workers' time went");
  if (!parts.length) return replaceAll(section, heading, make("p", {}, "Nothing ran."));
  const bar = make("div", { class: "bar", "aria-hidden": "true" });
  const lines = parts.map(([head, name, share]) => {
    const kind = `swatch ${KINDS[head] ?? "other"}`;
    const part = make("i", { class: kind });
    part.style.flexGrow = String(share);
    bar.append(part);
    return make("tr", {}, make("th", { scope: "row", class: "left" }, make("i", { class: kind }), name), make("td", {}, percent(share)));
  });
  const [waited, pickled] = waitsOf(run);
  const beside =
    `A task waited ${duration(waited)} on average from being handed over to its start. ` +
    `The program itself took ${duration(pickled)} to encode arguments.`;
  const caption = make("caption", { class: "unseen" }, "Where the workers' time went");
  const table = make("table", {}, caption, make("tbody", {}, ...lines));
  replaceAll(section, heading, bar, make("div", { class: "wide" }, table), make("p", { class: "faint" }, beside));
}

function functionsSection(run, figures, view) {
  const look = (figure) => () => {
    byId("query").value = figure.name;
    view.find(figure.name);
    byId("timeline").scrollIntoView();
  };
  const time = (name, key) => ({ name, value: (figure) => figure[key] || 0, text: (figure) => (figure.runs ? duration(figure[key]) : "") });
  const columns = [
    {
      ...{ name: "Function", left: true, value: (figure) => figure.name },
      node: (figure) =>
        make("button", { type: "button", class: "link", click: look(figure), title: "Find its tasks" }, swatchOf(run, figure.index), figure.name),
    },
    { name: "Tasks", value: (figure) => figure.count, text: (figure) => count(figure.count) },
    time("Total", "total"),
    time("Mean", "mean"),
    time("Half up to", "p50"),
    time("99 % up to", "p99"),
    time("Longest", "max"),
    { name: "Failures", value: (figure) => figure.failures, text: (figure) => (figure.failures ? count(figure.failures) : "0") },
    { name: "To workers", value: (figure) => figure.bytesIn, text: (figure) => bytes(figure.bytesIn) },
    { name: "Back", value: (figure) => figure.bytesOut, text: (figure) => bytes(figure.bytesOut) },
    time("Pickling", "coding"),
  ];
  const repeats = run.repeats.map(([index, times, size]) =>
    make("li", {}, `${run.functions[index]}: ${plural(times, "large argument")} (${bytes(size)}) had been sent just so before.`),
  );
  replaceAll(
    byId("functions"),
    title("functions", "Functions"),
    figures.length ? sortableTable("Functions", columns, figures, 2) : make("p", {}, "No task was recorded."),
    repeats.length ? make("ul", {}, ...repeats) : null,
  );
}

function failuresSection(run, view) {
  const section = byId("failures");
  const groups = groupsOfFailures(run);
  const kept = run.failures.length;
  if (!groups.length) return replaceAll(section, title("failures", "Failures"), make("p", {}, "None."));
  const made = groups.slice(0, 200).map((group, place) => {
    const told = group.rows.find((row) => run.texts_of.has(row));
    const text = run.texts_of.get(told);
    const shown = group.rows.slice(0, 12).map((row) => {
      const label = run.index[row] >= 0 ? `#${run.index[row]}` : duration(run.begin[row]);
      return make("button", { type: "button", click: () => look(view, row), title: `At ${duration(run.begin[row])}` }, label);
    });
    const rest = group.rows.length - shown.length;
    return make(
      "details",
      { open: place === 0 },
      make(
        "summary",
        {},
        make("b", {}, plural(group.rows.length, "time")),
        make("strong", { class: "failed" }, group.kind),
        make("span", {}, "in ", make("code", {}, group.name)),
        text ? make("span", { class: "faint cut" }, text.message) : null,
      ),
      make("p", { class: "attempts" }, "Show in the timeline: ", ...shown, rest > 0 ? ` and ${count(rest)} more` : null),
      text ? make("pre", { tabindex: "0", "aria-label": `Stack of ${group.kind}` }, text.trace || text.message) : make("p", {}, "Its text was not kept."),
    );
  });
  const lead = kept < run.failed.length ? ` The texts of ${count(kept)} of them were kept.` : "";
  replaceAll(
    section,
    title("failures", "Failures"),
    make("p", { class: "lead" }, `${plural(run.failed.length, "run")} failed, in ${plural(groups.length, "way")}.${lead}`),
    ...made,
    groups.length > 200 ? make("p", {}, `And ${count(groups.length - 200)} further ways.`) : null,
  );
}

function look(view, row) {
  view.goto(row);
  byId("timeline").scrollIntoView();
}

function slowestSection(run, view) {
  const rows = slowestRows(run, 20);
  const columns = [
    {
      ...{ name: "Task", left: true, value: (row) => run.name(row) },
      node: (row) =>
        make("button", { type: "button", class: "link", click: () => look(view, row), title: "Show it in the timeline" }, swatchOf(run, run.function[row]), run.name(row)),
    },
    { name: "Item", left: true, value: (row) => run.item(row), text: (row) => run.item(row) },
    { name: "Took", value: (row) => run.over[row] - run.begin[row], text: (row) => duration(run.over[row] - run.begin[row]) },
    { name: "Started at", value: (row) => run.begin[row], text: (row) => duration(run.begin[row]) },
    { name: "On", left: true, value: (row) => run.worker[row], text: (row) => run.workerName(run.worker[row]) },
    { name: "Outcome", left: true, value: (row) => run.outcome[row], text: (row) => run.outcomes[run.outcome[row]] },
  ];
  const none = make("p", {}, "Nothing ran.");
  replaceAll(byId("slowest"), title("slowest", "Slowest tasks"), rows.length ? sortableTable("Slowest tasks", columns, rows) : none);
}

function attemptsSection(run) {
  const figures = attemptFigures(run);
  const rows = [...figures.keys()].filter((each) => figures[each]).map((each) => ({ attempt: each, ...figures[each] }));
  const column = (name, key) => ({ name, value: (row) => row[key], text: (row) => count(row[key]) });
  const columns = [column("Attempt", "attempt"), column("Tasks", "count"), column("Ok", "ok"), column("Failed", "failures"), column("Cancelled", "cancelled")];
  const again = rows.filter((row) => row.attempt > 1).reduce((sum, row) => sum + row.count, 0);
  replaceAll(
    byId("attempts"),
    title("attempts", "Attempts"),
    make("p", { class: "lead" }, again ? `${plural(again, "task")} ran once more after a failure.` : "Nothing was tried a second time."),
    rows.length ? sortableTable("Attempts", columns, rows) : null,
  );
}

function poolsSection(run) {
  const rows = run.pools.map((pool, index) => ({ index, pool, workers: 0, ended: 0, tasks: 0, busy: 0, lived: 0 }));
  run.workers.forEach(([pool, , , started, ended, end], worker) => {
    const row = rows[pool];
    if (!row) return;
    row.workers += 1;
    row.ended += end ? 1 : 0;
    row.tasks += run.rowsOf[worker];
    row.lived += Math.max(0, (ended ?? run.high) - (started ?? run.low));
    for (let at = run.first[worker]; at < run.first[worker] + run.rowsOf[worker]; at++) if (run.started_(at)) row.busy += run.over[at] - run.begin[at];
  });
  rows.sort((a, b) => a.pool[0] - b.pool[0]);
  const number = (name, key) => ({ name, value: (row) => row[key], text: (row) => count(row[key]) });
  const columns = [
    { name: "Pool", left: true, value: (row) => run.poolName(row.index), text: (row) => run.poolName(row.index) },
    { name: "Width", value: (row) => row.pool[2], text: (row) => count(row.pool[2]) },
    number("Workers", "workers"),
    number("Ended badly", "ended"),
    number("Tasks", "tasks"),
    { name: "Busy", value: (row) => row.busy / (row.lived || 1), text: (row) => percent(row.busy / row.lived) },
  ];
  replaceAll(byId("pools"), title("pools", "Pools"), rows.length ? sortableTable("Pools", columns, rows) : make("p", {}, "No pool was used."));
}

const MOST_STREAMS = 200;

/** Maps, imaps, SpinOffs and pipelines: how each ended, and what it waited for before its last item was in. */
function streamsSection(run) {
  const items = new Map();
  for (const stream of run.stream) items.set(stream, (items.get(stream) ?? 0) + 1);
  const all = run.streams.map(([kind, name, window, began, ended, end, open, source, untaken, headed], index) => {
    const long = began === null ? null : (ended ?? run.until) - began;
    return { name: name ? `${kind} of ${name}` : kind, window, end, long, open, source, untaken, headed, items: items.get(index) ?? 0 };
  });
  const rows = all.slice(1).sort((a, b) => (b.long ?? 0) - (a.long ?? 0)).slice(0, MOST_STREAMS);
  const number = (name, key) => ({ name, value: (row) => row[key], text: (row) => count(row[key]) });
  const time = (name, key) => ({ name, value: (row) => row[key] ?? -1, text: (row) => (row[key] ? duration(row[key]) : "") });
  const columns = [
    { name: "Stream", left: true, value: (row) => row.name, text: (row) => row.name },
    number("Tasks", "items"),
    { name: "Window", value: (row) => row.window, text: (row) => (row.window ? count(row.window) : "") },
    time("Lasted", "long"),
    { name: "Ended", left: true, value: (row) => row.end, text: (row) => row.end || "not seen" },
    time("Waited for its source", "source"),
    time("Results not taken", "untaken"),
    time("Behind a slow item", "headed"),
  ];
  const said = all.length > rows.length + 1 ? make("p", { class: "lead" }, `The longest ${count(rows.length)} of ${count(all.length - 1)}.`) : null;
  replaceAll(byId("streams"), title("streams", "Streams"), said, rows.length ? sortableTable("Streams", columns, rows) : make("p", {}, "There was none."));
}
