// The first glance: does this pool work, and if it does not, what does it wait for? Nothing is drawn here.

import { count, duration, firstLine, lasting, percent, plural, rate, said } from "./words.js";

/** Seconds without an end after which that is said, and after which it is a warning. */
const QUIET = 5;
const LONG = 30;
/** A share of one CPU below which a worker is said to wait. */
const WAITS = 0.02;

/** Whether a worker has been at its task for much longer than tasks of its pool take. */
export function isLong(row, pool) {
  if (row.state !== "runs" || !(row.for > 0)) return false;
  const usual = pool.p50 > 0 ? Math.max(10 * pool.p50, 3 * (pool.p99 ?? 0)) : 60;
  return row.for > Math.max(3, usual);
}

const running = (pool) => (pool.rows ?? []).filter((row) => row.state === "runs");

/** { kind, word, text }: kind is "good", "idle", "warn" or "bad", which colour goes with it; the words say all. */
export function glance(pool, history, streams, at) {
  if (said(pool.trouble)) return { kind: "bad", word: "Trouble", text: firstLine(pool.trouble) };
  if (pool.backend === "inline") return inTheCaller(pool, history, at - history.since, waiting(pool, streams));
  if (typeof pool.workers !== "number") return { kind: "warn", word: "Unknown", text: "it does not tell what it does" };
  const quiet = at - history.since;
  const waits = waiting(pool, streams);
  if (pool.busy > 0) return atWork(pool, history, quiet, waits);
  if (pool.starting > 0 && pool.queued > 0) {
    return { kind: "idle", word: "Starting", text: `${plural(pool.starting, "worker")} to come; ${waits}` };
  }
  if (pool.queued > 0) {
    const kind = quiet > QUIET ? "warn" : "idle";
    return { kind, word: "Waits", text: `no worker runs anything, though ${waits}` };
  }
  if (history.grown && quiet < QUIET && pool.rate > 0) {
    const text = `${rate(pool.rate)} tasks a second; none just now${waits ? `; ${waits}` : ""}`;
    return { kind: "good", word: "Works", text };
  }
  const since = quiet >= QUIET ? ` for ${lasting(quiet)}` : "";
  return { kind: "idle", word: "Idle", text: `nothing to do${since}${waits ? `; ${waits}` : ""}` };
}

function atWork(pool, history, quiet, waits) {
  const last = history.samples[history.samples.length - 1];
  const runs = `${count(pool.busy)} of ${plural(pool.width, "worker")} ${pool.busy === 1 ? "runs" : "run"}`;
  const rest = waits ? `; ${waits}` : "";
  const slow = running(pool).some((row) => isLong(row, pool));
  if (quiet < QUIET) {
    const fast = pool.rate ?? last?.rate;
    const straggler = slow ? longest(pool, history) : "";
    const text = `${fast > 0 ? `${rate(fast)} tasks a second; ` : ""}${runs}${straggler}${rest}`;
    return { kind: "good", word: "Works", text };
  }
  const since = history.grown ? `for ${lasting(quiet)}` : `since this page looks on, ${lasting(quiet)} ago`;
  const text = `no task has ended ${since}; ${runs}${longest(pool, history)}${rest}`;
  return quiet > LONG || slow ? { kind: "warn", word: "Slow", text } : { kind: "good", word: "Works", text };
}

/** A pool without workers: whoever hands a task over runs it himself. */
function inTheCaller(pool, history, quiet, waits) {
  const rest = waits ? `; ${waits}` : "";
  const where = "in the thread that hands them over";
  if (quiet < QUIET && history.grown) {
    const fast = pool.rate > 0 ? `${rate(pool.rate)} tasks a second, ` : "tasks run ";
    return { kind: "good", word: "Works", text: `${fast}${where}${rest}` };
  }
  if (!(pool.running > 0)) {
    const since = quiet >= QUIET ? ` for ${lasting(quiet)}` : "";
    return { kind: "idle", word: "Idle", text: `nothing to do${since}${rest}` };
  }
  const since = history.grown ? `for ${lasting(quiet)}` : `since this page looks on, ${lasting(quiet)} ago`;
  const text = `no task has ended ${since}; they run ${where}${rest}`;
  return quiet > LONG ? { kind: "warn", word: "Slow", text } : { kind: "good", word: "Works", text };
}

/** What has been run for longest, and whether it computes. */
function longest(pool, history) {
  const rows = running(pool).filter((row) => row.for > 0);
  if (!rows.length) return "";
  const row = rows.reduce((one, other) => (other.for > one.for ? other : one));
  const share = history.shares.get(row.wid);
  const taken = share < WAITS ? ", without taking CPU time: it waits" : `, at ${percent(share)} CPU`;
  const cpu = share === undefined ? "" : taken;
  return `, worker ${row.wid} for ${duration(row.for)} (${firstLine(row.task, 80) || "?"}${cpu})`;
}

function waiting(pool, streams) {
  const parts = [];
  if (pool.queued > 0) parts.push(`${plural(pool.queued, "task")} ${pool.queued === 1 ? "waits" : "wait"}`);
  for (const stream of streams) {
    if (typeof stream.head === "number") {
      const since = stream.head_for > 0.5 ? ` for ${duration(stream.head_for)}` : "";
      const wait = `${plural(stream.ready ?? 0, "finished item")} ${stream.ready === 1 ? "waits" : "wait"}`;
      parts.push(`${wait}${since} for item ${stream.head}, which is in front`);
    } else if (stream.ready > 0 && !(pool.queued > 0) && !(pool.busy > 0)) {
      parts.push(`${plural(stream.ready, "finished item")} ${stream.ready === 1 ? "has" : "have"} not been taken`);
    }
  }
  return parts.join("; ");
}
