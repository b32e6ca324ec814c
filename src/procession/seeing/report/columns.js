// The rows, out of what seeing/packing.py has made of them: see there for how each column is coded.

const TIMES_AFTER = {
  started: [],
  ended: ["started"],
  sent: ["started"],
  queued: ["sent", "started"],
  done: ["ended", "started", "queued"],
};

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const made = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at++) made[at] = raw.charCodeAt(at);
  return made;
}

/** So many bytes, out of their deflated form. */
async function inflate(deflated, size) {
  const stream = new DecompressionStream("deflate");
  const writer = stream.writable.getWriter();
  const written = writer.write(deflated).then(() => writer.close());
  const made = new Uint8Array(size);
  const reader = stream.readable.getReader();
  let at = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    made.set(part.value, at);
    at += part.value.length;
  }
  await written;
  if (at !== size) throw new Error(`${at} bytes instead of ${size}`);
  return made;
}

/** Reads planes of bytes one after the other. */
class Planes {
  constructor(raw) {
    this.raw = raw;
    this.at = 0;
  }

  /** So many whole numbers, each of so many bytes. */
  numbers(rows, planes) {
    const made = new Float64Array(rows);
    for (let plane = 0, weight = 1; plane < planes; plane++, weight *= 256) {
      const from = this.raw.subarray(this.at, this.at + rows);
      if (plane === 0) made.set(from);
      else for (let row = 0; row < rows; row++) made[row] += from[row] * weight;
      this.at += rows;
    }
    return made;
  }

  floats(rows) {
    const octets = new Uint8Array(rows * 8);
    for (let plane = 0; plane < 8; plane++) {
      for (let row = 0; row < rows; row++) octets[row * 8 + plane] = this.raw[this.at + row];
      this.at += rows;
    }
    return new Float64Array(octets.buffer);
  }
}

const unfold = (value) => (value % 2 ? -(value + 1) / 2 : value / 2);

/** Times in nanoseconds since the recording began; NaN where a time is not known. */
function decodeTimes(codes, unit, after) {
  const rows = codes.length;
  const [first, second, third] = after;
  let last = 0;
  for (let row = 0; row < rows; row++) {
    const code = codes[row];
    if (code === 0) {
      codes[row] = NaN;
      continue;
    }
    if (first !== undefined) {
      last = first[row];
      if (last !== last && second !== undefined) last = second[row];
      if (last !== last && third !== undefined) last = third[row];
      if (last !== last) last = 0;
    }
    last += unfold(code - 1) * unit;
    codes[row] = last;
  }
  return codes;
}

function decodeColumn(name, coding, codes, unit, columns) {
  const rows = codes.length;
  if (coding === "time") return decodeTimes(codes, unit, TIMES_AFTER[name].map((other) => columns[other]));
  if (coding === "step") {
    let last = 0;
    for (let row = 0; row < rows; row++) codes[row] = last += unfold(codes[row]);
  } else if (coding === "signed") {
    const made = new Int32Array(rows);
    for (let row = 0; row < rows; row++) made[row] = unfold(codes[row]);
    return made;
  } else if (unit !== 1) {
    for (let row = 0; row < rows; row++) codes[row] *= unit;
  }
  return codes;
}

/** { columns by name, series: [{ pool, name, times, values }] } */
async function unpack(about, text) {
  const samples = about.series.reduce((sum, [, , rows, width]) => sum + rows * (width + 8), 0);
  const size = about.columns.reduce((sum, [, , width]) => sum + about.rows * width, samples);
  const planes = new Planes(await inflate(fromBase64(text), size));
  performance.mark("inflated");
  const columns = {};
  for (const [name, coding, width, unit] of about.columns) {
    columns[name] = decodeColumn(name, coding, planes.numbers(about.rows, width), unit, columns);
  }
  columns.outcome = new Uint8Array(columns.outcome);
  const series = about.series.map(([pool, name, rows, width]) => {
    const times = decodeColumn(name, "step", planes.numbers(rows, width), 1, columns);
    return { pool, name, times, values: planes.floats(rows) };
  });
  return { columns, series };
}
