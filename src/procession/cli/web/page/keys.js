// The keys of `procession top`, beside what the Tab key reaches: j and k go from pool to worker to error, and letters
// do something to that one. They can be switched off, for whoever speaks to the browser instead of typing.

import { showHelp, tell } from "./dialogs.js";
import { byId } from "./words.js";

const ACTS = { d: "dump", r: "resize", x: "drain", K: "kill" };

const stops = () => [...document.querySelectorAll(".stop")].filter((stop) => stop.checkVisibility());

/** `section(number)` is the section of a pool; `act(what, pool, wid)` has something done. */
export function keys({ section, sections, act }) {
  function chosen() {
    const at = document.activeElement;
    const error = at.closest("[data-error]");
    const element = at.closest("[data-pool]");
    const worker = at.closest("[data-worker]");
    const number = element ? Number(element.dataset.pool) : sections().length === 1 ? sections()[0].pool.number : -1;
    return { error, pool: section(number), wid: worker ? Number(worker.dataset.worker) : -1 };
  }

  function move(step) {
    const all = stops();
    if (!all.length) return;
    const at = document.activeElement;
    const place = all.findIndex((stop) => stop === at || stop.contains(at));
    const next = place < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, place + step));
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
  }

  function press(key) {
    const { error, pool, wid } = chosen();
    if (key === "?") showHelp();
    else if (key === "j") move(1);
    else if (key === "k") move(-1);
    else if (error && key === "d") error.open = !error.open;
    else if (!pool) tell("Choose a pool or a worker first: j and k go from one to the next.", true);
    else if (key === "s") tell(`Workers are sorted by ${pool.workers.next().toLowerCase()}.`);
    else act(ACTS[key], pool.pool, wid);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const at = event.target;
    if (document.querySelector("dialog[open]") || at.matches("input, select, textarea")) return;
    const arrows = { ArrowDown: "j", ArrowUp: "k" };
    if (event.key in arrows && at.matches(".stop")) {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if ("?jksdrxK".includes(event.key) && byId("keys").checked) {
      event.preventDefault();
      press(event.key);
    }
  });
}
