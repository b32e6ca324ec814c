// All that is known of one task: beside the pointer, and pinned below the timeline.

/** [what, value] of a row. */
function facts(run, row) {
  const { queued, sent, begin, over, done } = run;
  const never = !run.started_(row);
  const known = (time) => !Number.isNaN(time);
  const found = [["Item", run.item(row)]];
  if (run.attempt[row] > 1) found.push(["Attempt", count(run.attempt[row])]);
  found.push(["Outcome", run.outcomes[run.outcome[row]]], ["On", run.workerName(run.worker[row])]);
  if (run.pools.length > 1 && run.worker[row] >= 0) found.push(["Of", run.poolName(run.workers[run.worker[row]][0])]);
  if (known(queued[row])) found.push(["Handed over", `at ${duration(queued[row])}`]);
  if (!never) {
    if (known(queued[row])) {
      const parts = known(sent[row]) ? ` (${duration(sent[row] - queued[row])} until it was sent)` : "";
      found.push(["Waited", `${duration(begin[row] - queued[row])}${parts}`]);
    }
    found.push(["Started", `at ${duration(begin[row])}`]);
    found.push(["Ran", duration(run.ran(row))]);
    if (known(done[row]) && done[row] > over[row]) found.push(["Result known", `${duration(done[row] - over[row])} later`]);
  } else found.push(["Ran", run.outcome[row] <= ERROR ? "its times were overwritten before they had been read" : "never"]);
  const coding = [
    ["arguments encoded", run.pickle[row]],
    ["decoded", run.load[row]],
    ["result encoded", run.dump[row]],
  ].filter(([, time]) => time > 0);
  if (coding.length) found.push(["Pickling", coding.map(([what, time]) => `${what} in ${duration(time)}`).join(", ")]);
  if (run.bytes_in[row] + run.bytes_out[row] > 0) {
    found.push(["Bytes", `${bytes(run.bytes_in[row])} to the worker, ${bytes(run.bytes_out[row])} back`]);
  }
  return found;
}

function factList(run, row) {
  return make("dl", { class: "facts" }, ...facts(run, row).map(([what, value]) => make("div", {}, make("dt", {}, what), make("dd", {}, value))));
}

/** What a failure says, in one line; empty if the row is none or its text was not kept. */
function failureLine(run, row) {
  const text = run.texts_of.get(row);
  if (text) return `${text.kind}: ${text.message}`;
  return isFailure(run.outcome[row]) ? "Its text was not kept." : "";
}

class Tip {
  constructor(run) {
    this.run = run;
    this.element = byId("tip");
  }

  show(row, more, x, y) {
    const { run, element } = this;
    const failed = failureLine(run, row);
    replaceAll(
      element,
      make("strong", {}, run.name(row)),
      failed ? make("p", { class: "failed" }, failed.length > 200 ? `${failed.slice(0, 200)}…` : failed) : null,
      factList(run, row),
      more ? make("p", { class: "faint" }, `and ${plural(more, "other task")} right here: zoom in`) : null,
    );
    element.hidden = false;
    const { offsetWidth, offsetHeight } = element;
    const left = x + 16 + offsetWidth > window.innerWidth ? x - offsetWidth - 16 : x + 16;
    const top = y + 16 + offsetHeight > window.innerHeight ? y - offsetHeight - 16 : y + 16;
    element.style.left = `${Math.max(4, left)}px`;
    element.style.top = `${Math.max(4, top)}px`;
  }

  hide() {
    this.element.hidden = true;
  }
}

class Details {
  constructor(run, view) {
    Object.assign(this, { run, view });
    this.element = byId("details");
    view.on("chosen", () => this.show(view.chosen));
  }

  show(row) {
    const { run, view, element } = this;
    element.hidden = row < 0;
    element.dataset.row = String(row);
    if (row < 0) {
      byId("said").textContent = "Nothing is chosen.";
      return;
    }
    const text = run.texts_of.get(row);
    const failed = failureLine(run, row);
    const button = (label, click) => make("button", { type: "button", click }, label);
    const attempts = attemptsOf(run, row);
    const others = attempts.length > 1 ? attempts.map((other) => this.attempt(other, row)) : [];
    replaceAll(
      element,
      make(
        "div",
        { class: "top" },
        make("h3", {}, run.name(row)),
        make(
          "div",
          { class: "buttons" },
          button("Before", () => view.neighbour(-1)),
          button("After", () => view.neighbour(1)),
          button("Close", () => view.choose(-1)),
        ),
      ),
      failed ? make("p", { class: "failed" }, failed) : null,
      factList(run, row),
      others.length ? make("p", { class: "attempts" }, "All its runs: ", ...others) : null,
      text?.trace ? make("pre", { tabindex: "0", "aria-label": "Stack" }, text.trace) : null,
    );
    byId("said").textContent = `${run.name(row)}, ${run.item(row)}, ${run.outcomes[run.outcome[row]]}, ran ${duration(run.ran(row))}. ${failed}`;
  }

  attempt(other, row) {
    const { run, view } = this;
    const label = `${run.attempt[other]}: ${run.outcomes[run.outcome[other]]}`;
    return make("button", { type: "button", "aria-current": other === row ? "true" : null, click: () => view.goto(other) }, label);
  }
}
