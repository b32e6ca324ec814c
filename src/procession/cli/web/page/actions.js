// What can be done to a pool and its workers. The program is asked, and what it answers is shown.

import { askForSize, askToKill, showText, tell } from "./dialogs.js";
import { request } from "./feed.js";
import { titleOf } from "./model.js";

/** `section(number)` is the section of a pool, undefined when it is gone; `live()`: whether the program answers. */
export function actions({ section, live }) {
  async function ask(what, words, done, refused) {
    const reply = await request({ do: what, ...words });
    if (reply.error === undefined) tell(done);
    else tell(`${refused}: ${reply.error}.`, true);
  }

  async function stacks(pool) {
    const reply = await request({ do: "dump", pool: pool.number });
    return reply.error === undefined ? String(reply.dump) : `There are no stacks: ${reply.error}.`;
  }

  const perform = {
    dump(pool) {
      showText(`Stacks of ${titleOf(pool)}`, stacks(pool));
    },
    resize(pool) {
      const title = titleOf(pool);
      askForSize(title, pool.width, (n) =>
        ask("resize", { pool: pool.number, n }, `${title} is to have ${n} workers.`, `${title} is not resized`),
      );
    },
    drain(pool, worker) {
      const who = `worker ${worker} of ${titleOf(pool)}`;
      const done = `Draining ${who}: another one takes its place.`;
      ask("drain", { pool: pool.number, worker }, done, `Not draining ${who}`);
    },
    kill(pool, worker) {
      const who = `worker ${worker} of ${titleOf(pool)}`;
      askToKill(titleOf(pool), worker, () => section(pool.number)?.row(worker), () =>
        ask("kill", { pool: pool.number, worker }, `Killed ${who}.`, `Not killing ${who}`),
      );
    },
  };

  return (what, pool, worker) => {
    if (!live()) tell("The program does not answer: nothing can be asked of it.", true);
    else if (worker < 0 && (what === "drain" || what === "kill")) tell("Choose a worker first.", true);
    else if (what in { drain: 1, kill: 1 } && pool.backend === "threads") {
      tell("Threads can be neither drained nor killed.", true);
    } else perform[what](pool, worker);
  };
}
