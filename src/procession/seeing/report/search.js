// What to look for, and which rows are that. Words must all match; a word is one of
//   failed, ok, error, died, timeout, memory, cancelled, running   how it ended
//   17 or #17                                                       the item's number
//   >100ms  <2s                                                     how long it ran
//   worker:3  attempt:2                                             where, and the how manieth run
// or a part of the function's name, the stream's name, or what its failure says.

const DURATION = /^([<>])=?(\d+(?:\.\d+)?)(ns|us|µs|ms|s|min|h)?$/;
const SCALE = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, min: 60e9, h: 3600e9 };

/** A function that says of a row whether it matches the word. */
function matcher(run, word) {
  const lower = word.toLowerCase();
  const long = DURATION.exec(lower);
  if (long) {
    const limit = Number(long[2]) * SCALE[long[3] ?? "s"];
    const above = long[1] === ">";
    return (row) => run.started_(row) && (above ? run.ran(row) > limit : run.ran(row) < limit);
  }
  const named = /^(worker|attempt):(\d+)$/.exec(lower);
  if (named) {
    const wanted = Number(named[2]);
    if (named[1] === "attempt") return (row) => run.attempt[row] === wanted;
    return (row) => run.worker[row] >= 0 && run.workers[run.worker[row]][1] === wanted;
  }
  if (lower === "failed") return (row) => isFailure(run.outcome[row]);
  const outcome = run.outcomes.indexOf(lower);
  const index = /^#?\d+$/.test(lower) ? Number(lower.replace("#", "")) : -1;
  const functions = run.functions.map((name) => name.toLowerCase().includes(lower));
  const streams = run.streams.map((stream) => `${stream[0]} ${stream[1]}`.toLowerCase().includes(lower));
  const texts = run.texts.map((text) => text.toLowerCase().includes(lower));
  const said = new Set(run.failures.filter(([, ...parts]) => parts.some((part) => texts[part])).map(([row]) => row));
  return (row) =>
    functions[run.function[row]] ||
    (streams[run.stream[row]] && run.stream[row] > 0) ||
    run.outcome[row] === outcome ||
    (index >= 0 && run.index[row] === index) ||
    (said.size > 0 && said.has(row));
}

/** null if nothing is looked for, else { rows: in the order of time, mask: 1 for each that matches }. */
function search(run, query) {
  const words = query.trim().split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  const tests = words.map((word) => matcher(run, word));
  const mask = new Uint8Array(run.rows);
  let found = 0;
  for (let row = 0; row < run.rows; row++) {
    if (tests.every((test) => test(row))) {
      mask[row] = 1;
      found += 1;
    }
  }
  run.order ??= rowsByBegin(run);
  const rows = new Uint32Array(found);
  let at = 0;
  for (let place = 0; place < run.rows; place++) if (mask[run.order[place]]) rows[at++] = run.order[place];
  return { rows, mask };
}
