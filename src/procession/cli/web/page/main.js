// The page: what comes from the server is remembered at once, and drawn when somebody sees it.
//
// Laws
// 1. Nothing is drawn while the page is hidden. What came meanwhile is in the charts when it is seen again.
// 2. What was shown last stays when the program ends or does not answer; it is greyed, and it is said how old it is.
// 3. Texts of the program are put in as text, never as HTML.

import { actions } from "./actions.js";
import { prepare, showHelp, tell } from "./dialogs.js";
import { Errors } from "./errors.js";
import { listen } from "./feed.js";
import { keys } from "./keys.js";
import { Model, titleOf } from "./model.js";
import { PoolSection } from "./pools.js";
import { arrange } from "./table.js";
import { goneTable, streamsTable, withKeys } from "./tables.js";
import { byId, bytes, count, duration, firstLine, lasting, make, mark, rate, said, sentence, write } from "./words.js";

/** Seconds without a word after which that is said. */
const LATE = 5;

const model = new Model();
const errors = new Errors();
const others = streamsTable("Streams over several pools");
const gone = goneTable(() => model.look.at);
const sections = new Map();
/** state: "connecting", "live", "trouble" or "over"; `came`: when the last look did, by the browser's clock. */
const link = { state: "connecting", text: "", came: null, clock: null };
const section = (number) => sections.get(number);
const act = actions({ section, live: () => link.state === "live" });

// ---------------------------------------------------------------------------------------------------- the connection

const STATES = { connecting: "Connecting", live: "Live", trouble: "Does not answer", over: "Ended" };

function setState(state, text = "") {
  if (link.state === "over" && state !== "live") return;
  if (link.state !== state) document.documentElement.dataset.state = link.state = state;
  link.text = text;
  write(byId("state"), STATES[state]);
  write(byId("trouble"), sentence(text));
  byId("notice").hidden = state === "live" || state === "connecting";
  mark(byId("main"), "aria-disabled", state === "over" || null);
  for (const each of sections.values()) each.element.toggleAttribute("data-old", state !== "live");
  tick();
}

/** What is told anew each second: how old what is shown is. */
function tick() {
  const { state, came, clock } = link;
  const old = came === null ? null : (performance.now() - came) / 1000;
  const shown = clock === null ? "" : `What is shown is as of ${clock.toLocaleTimeString()}`;
  if (state === "live") write(byId("age"), old > LATE ? `nothing has come for ${lasting(old)}` : "");
  else write(byId("age"), "");
  write(byId("as-of"), shown && (state === "over" ? `${shown}.` : `${shown}, ${lasting(old)} ago.`));
  document.title = title();
}

function title() {
  const { look } = model;
  if (!look) return "procession";
  const name = firstLine(look.program?.command, 60) || `pid ${look.program?.pid}`;
  if (link.state !== "live") return `${STATES[link.state]} – ${name}`;
  const bad = [...sections.values()].find((each) => ["warn", "bad"].includes(each.glance?.kind));
  const fast = look.pools.reduce((sum, pool) => sum + (pool.rate || 0), 0);
  return `${bad ? `${bad.glance.word}!` : `${rate(fast)}/s`} – ${name}`;
}

// ------------------------------------------------------------------------------------------------------- what is seen

function show() {
  if (document.hidden || !model.look) return;
  const { look } = model;
  showProgram(look);
  const numbers = new Set(look.pools.map((pool) => pool.number));
  for (const [number, each] of sections) {
    if (numbers.has(number)) continue;
    if (each.element.contains(document.activeElement)) tell(`${titleOf(each.pool)} has ended.`);
    each.close();
    sections.delete(number);
  }
  look.pools.forEach((pool, place) => {
    if (!sections.has(pool.number)) sections.set(pool.number, new PoolSection(pool, place, act));
  });
  arrange(byId("pools"), look.pools.map((pool) => sections.get(pool.number).element));
  for (const pool of look.pools) sections.get(pool.number).show(pool, model);
  byId("nothing").hidden = look.pools.length > 0;
  const streams = model.others();
  byId("streams").hidden = !streams.length;
  others.show(withKeys(streams));
  errors.show(model);
  byId("gone").hidden = !model.gone.length;
  gone.show(model.gone);
  byId("kill-dialog").renew?.();
  document.documentElement.dataset.shown = String(look.at);
  tick();
}

function showProgram(look) {
  const program = look.program ?? {};
  write(byId("command"), said(program.command) || "?");
  const rows = look.pools.flatMap((pool) => pool.rows ?? []);
  const memory = rows.reduce((sum, row) => sum + (row.memory || 0), 0);
  // What threads take is the program's own.
  const outside = look.pools.filter((pool) => pool.backend === "processes");
  const shares = outside.flatMap((pool) => [...model.history(pool).shares.values()]);
  const cpu = model.share === null ? null : shares.reduce((sum, share) => sum + share, model.share);
  const facts = [
    ["pid", said(program.pid)],
    ["up", duration(program.age)],
    ["CPU", cpu === null ? "–" : `${cpu.toFixed(1)} of ${said(program.cpus)}`],
    ["memory", memory ? `${bytes(program.memory)}, workers ${bytes(memory)}` : bytes(program.memory)],
    ["workers", count(rows.length)],
    ["Python", said(program.python)],
    ["procession", said(program.procession)],
    ["host", said(program.host)],
  ];
  const list = byId("facts");
  if (list.children.length !== facts.length) {
    list.replaceChildren(...facts.map(([name]) => make("div", {}, make("dt", {}, name), make("dd", {}))));
  }
  facts.forEach(([, text], at) => write(list.children[at].lastElementChild, text));
  write(byId("program-trouble"), firstLine(program.trouble));
  byId("program-trouble").hidden = !said(program.trouble);
}

// ------------------------------------------------------------------------------------------------------ what comes in

prepare();
byId("others").append(others.element);
byId("gone-pools").append(gone.element);
keys({ section, sections: () => [...sections.values()], act });
byId("help").addEventListener("click", showHelp);
document.addEventListener("visibilitychange", show);
document.addEventListener("themed", show);
document.addEventListener("focusin", (event) => {
  const line = event.target.closest("tr.stop");
  if (line) section(Number(line.closest("[data-pool]").dataset.pool))?.workers.choose(line);
});
setInterval(tick, 1000);

listen({
  look(look) {
    link.came = performance.now();
    link.clock = new Date();
    model.take(look);
    setState("live");
    show();
  },
  trouble: (text) => setState("trouble", text),
  over: (text) => setState("over", text || "The program has ended."),
});
