// What the server tells, for as long as the page is open. Without a server it is tried again, until there is one.

const PAUSES = [500, 1000, 2000, 4000];
const STRANGER = "The server of this page wants another token: open the address that it has printed.";
const AWAY = "The server of this page does not answer. It is tried again.";

/**
 * `on.look(snapshot)`, `on.trouble(text)`: the program, or the server, does not answer; `on.over(text)`: the program
 * has ended, and nothing will come any more.
 */
export function listen(on) {
  let failures = 0;
  let heard = 0; // what has come so far: a guess why nothing comes is of no use any more when something has

  function open() {
    const source = new EventSource("/events");
    let ended = false;
    source.addEventListener("look", (event) => {
      failures = 0;
      heard += 1;
      const look = read(event.data);
      if (look && Array.isArray(look.pools)) on.look(look);
      else on.trouble("What the server has sent cannot be read.");
    });
    source.addEventListener("trouble", (event) => {
      failures = 0;
      heard += 1;
      on.trouble(textOf(event.data));
    });
    source.addEventListener("over", (event) => {
      ended = true;
      source.close();
      on.over(textOf(event.data));
    });
    source.addEventListener("error", () => {
      if (ended) return;
      source.close(); // the browser's own way of trying again gives up at the first answer that is none
      const before = heard;
      why().then((text) => heard === before && on.trouble(text));
      setTimeout(open, PAUSES[Math.min(failures++, PAUSES.length - 1)]);
    });
  }

  open();
}

/** Whether there is no server, or one that does not know this page. */
async function why() {
  try {
    return (await fetch("/page/icon.svg", { cache: "no-store" })).status === 403 ? STRANGER : AWAY;
  } catch {
    return AWAY;
  }
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const textOf = (data) => String(read(data)?.text ?? "");

/** Have something done. Returns what the server answers: an object that has `error` if it is not done. */
export async function request(what) {
  try {
    const answer = await fetch("/do", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(what),
    });
    const reply = read(await answer.text());
    if (answer.ok && reply) return reply;
    return { error: String(reply?.error ?? `the server answers ${answer.status}`) };
  } catch {
    return { error: "the server of this page does not answer" };
  }
}
