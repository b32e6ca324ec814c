"""Rules for the time in which workers had nothing to run, and for runs that came to nothing. See `rules.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from ..recording import DIED, MEMORY, OUTCOMES, TIMEOUT
from .accounts import FAILED
from .facts import Facts
from .rules import LEAST, Finding, Judge
from .words import long, many, percent, size, times

ALONE = 1.05
"""So many tasks run at a time, on average, where each is waited for before the next is handed over."""
FAILING = 0.05
"""A twentieth of the runs: more than that is no accident."""
BUSY = 0.7
"""A stage that runs something for so much of the time is what the others wait for."""
ONCE = 0.2
"""Of the workers' time that they may take to start."""
GROWN = 256_000_000
"""Bytes by which workers must have grown, and by half, to be told of."""


def alone(judge: Judge) -> Iterator[Finding]:
    """One task at a time, each handed over when the one before is through: nothing is parallel in it."""
    facts = judge.facts
    for work in facts.works:
        periods = work.running.periods()
        busy = facts.busy(work)
        if work.lanes < 2 or len(work.rows) < 5 or len(periods) < len(work.rows) / 2 or not busy:
            continue
        together = work.ran / busy
        # The next one comes at once, where the program waits for the result; a slow source takes its time.
        if together > ALONE or busy < work.wall / 2e9 or not judge.costs("input", "serial", "stragglers", "dispatch"):
            continue
        judge.claim("input", "serial", "stragglers", "dispatch")
        text = (
            f"{many(len(work.rows), 'task')} ran one after the other, though there were {work.lanes} workers: "
            "each was handed over when the one before was through."
        )
        advice = "Hand over all first (submit, map), then ask for the results."
        yield Finding("problem", "One task at a time", text, advice, "alone")


def stragglers(judge: Judge) -> Iterator[Finding]:
    """At the end, or before a pause, few still run. It helps to start the longest first, or to split it."""
    facts = judge.facts
    worst = facts.longest
    if worst is None or not judge.costs("stragglers"):
        return
    judge.claim("stragglers")
    recording, row = facts.recording, worst.row
    work = next(each for each in facts.works if each.index == recording.workers[recording.worker[row]].pool)
    late = (recording.started[row] - work.begin) / work.wall
    item = f", item {recording.index[row]}" if recording.index[row] >= 0 else ""
    idle = facts.share("stragglers")
    text = f"Workers had nothing left to do for {percent(idle)} of their time, while others still ran. "
    title = "The last ones keep the others waiting"
    if worst.longest < 2 * min(worst.median, sum(each.total for each in facts.functions) / facts.count):
        text += f"No task is much longer than the others ({long(worst.longest)}, of {many(facts.count, 'task')})."
        advice = "Make more and smaller tasks, or as many as there are workers, or a multiple of that."
    else:
        of_wall = worst.longest / facts.wall
        text += f"The longest took {long(worst.longest)}, {percent(of_wall)} of it all: {worst.name}{item}."
        title = "The longest task keeps all waiting"
        began = f"it began {long(late * work.wall / 1e9)} after the others"
        if late > SOON and worst.longest < 0.9 * facts.wall:
            advice = f"Start it first, {began}: hand over what takes longest first. Or split it."
        else:
            advice = "Split it: it began early enough."
    yield Finding("problem", title, text, advice, "straggler")


SOON = 0.15
"""Of the whole time; what begins later could have begun earlier."""


def serial(judge: Judge) -> Iterator[Finding]:
    """Amdahl: the program computes, and its workers have nothing to do."""
    facts = judge.facts
    if not judge.costs("serial"):
        return
    # The less of the two is in the same gaps: a crowded machine's samples say it no better.
    judge.claim("serial", *["input"] * (facts.share("input") < facts.share("serial")))
    seconds = facts.seconds("serial")
    whole = facts.wall + facts.outside
    most = (seconds + facts.sequential) / seconds
    text = (
        f"For {long(seconds)} of {long(whole)} the program computed by itself, and its workers had nothing to do. "
        f"With any number of workers it cannot be more than {most:.1f} times as fast as on one."
    )
    advice = "Move that into the tasks, or hand over earlier: while the program prepares the next, the workers can run."
    yield Finding("problem", "The program itself is the bottleneck", text, advice, "serial")


def taker(judge: Judge) -> Iterator[Finding]:
    """The window is full of results that nobody takes."""
    facts = judge.facts
    if not judge.costs("taker"):
        return
    judge.claim("taker")
    text = (
        f"Nothing new began for {percent(facts.share('taker'))} of the workers' time, as results were not taken"
        f"{of_stream(facts, 'untaken')}."
    )
    advice = (
        "The loop that takes them is too slow: do what it does with each result in the task, or in a pipeline's stage. "
        "A wider window= only helps over short pauses."
    )
    yield Finding("problem", "Results wait for their taker", text, advice, "taker")


def of_stream(facts: Facts, what: str) -> str:
    """Which stream it was most of all, and for how long."""
    worst = max(facts.recording.streams, key=lambda stream: getattr(stream, what))
    spent = getattr(worst, what)
    if not spent:
        return ""
    window = f", with a window of {worst.window:,}" if worst.window else ""
    return f" ({worst.kind} of {worst.name}{window}: {long(spent / 1e9)})"


def head(judge: Judge) -> Iterator[Finding]:
    """One slow item holds back all behind it."""
    facts = judge.facts
    if not judge.costs("head"):
        return
    judge.claim("head")
    worst = max(facts.recording.streams, key=lambda stream: stream.headed)
    share = percent(facts.share("head"))
    if 0 < worst.window < facts.lanes:
        text = (
            f"The window{of_stream(facts, 'headed')} is narrower than the {facts.lanes} workers: {share} of their time."
        )
        yield Finding("problem", "The window is too narrow", text, f"Take window={2 * facts.lanes}, or none.", "head")
        return
    longest = f", {long(facts.longest.longest)} at most" if facts.longest else ""
    text = (
        f"Results had to wait for a slow item in front of them{longest}, until no more fitted into the window: "
        f"{share} of the workers' time{of_stream(facts, 'headed')}."
    )
    advice = "imap_unordered gives each result when it is there; or take a wider window=."
    yield Finding("problem", "A slow item holds up the others", text, advice, "head")


HELD = {
    "key": (
        "Items wait for others of their key",
        "items waited for an earlier one of the same key",
        "Only one item of a key runs at a time. Finer keys let more run; without key= all do.",
    ),
    "rate": (
        "The rate is the limit",
        "rate= let nothing begin",
        "If it has to be, all is well, and fewer workers would do.",
    ),
    "backoff": (
        "Workers wait until failed tasks may run again",
        "all that waited were further attempts, whose time had not come",
        "A shorter backoff=, or more tasks beside them. Best is to mend why they fail.",
    ),
    "batch": (
        "Items wait for their batch to be full",
        "items waited for others to join them",
        "A shorter max_wait=, or a smaller batch=.",
    ),
}
"""By the head: title, what happened, advice."""


def held(judge: Judge) -> Iterator[Finding]:
    """Something holds tasks back on purpose. That a rate does is what it is for."""
    facts = judge.facts
    for fault, (title, what, advice) in HELD.items():
        if judge.costs(fault):
            judge.claim(fault)
            text = f"For {percent(facts.share(fault))} of the workers' time {what}."
            yield Finding("note" if fault == "rate" else "hint", title, text, advice, fault)


def stage(judge: Judge) -> Iterator[Finding]:
    """In a pipeline all wait for the slowest stage: that they have no input is no fault of the source."""
    facts = judge.facts
    if len(facts.works) < 2 or not any(stream.kind == "pipeline" for stream in facts.recording.streams):
        return
    busiest = max(facts.works, key=lambda work: work.ran / (work.lanes * work.wall or 1))
    busy = busiest.ran * 1e9 / (busiest.lanes * busiest.wall or 1)
    if busy < BUSY or not judge.costs("input", "taker", "head", "stragglers"):
        return
    judge.claim("input", "taker", "head", "stragglers")
    functions = Counter(facts.recording.function[row] for row in busiest.rows)
    name = facts.name(functions.most_common(1)[0][0])
    text = f"The {many(busiest.lanes, 'worker')} of {name} ran {percent(busy)} of the time; the others waited for that."
    advice = 'Give that stage more workers, or the workers of the others: widths="auto" does.'
    yield Finding("hint", "One stage holds up the others", text, advice, "stage")


def source(judge: Judge) -> Iterator[Finding]:
    """Nothing to do: the program waited for something itself before it handed over more. Whether that could come
    faster nobody knows where it comes one by one, as from a camera or from clients: there it is no fault.
    """
    facts = judge.facts
    if not judge.costs("input"):
        return
    judge.claim("input")
    if facts.count < facts.lanes:
        text = f"There {'was' if facts.count == 1 else 'were'} {many(facts.count, 'task')} for {facts.lanes} workers."
        yield Finding("hint", "Fewer tasks than workers", text, "Make more and smaller tasks.", "input")
        return
    could = facts.lanes / (facts.sequential / facts.count) if facts.sequential else 0.0
    text = (
        f"The workers had no input for {percent(facts.share('input'))} of their time: {rate(facts.count / facts.wall)} "
        f"came, {rate(could)} could have been done."
    )
    work = max(facts.works, key=lambda work: work.heads["input"])
    kinds = Counter(facts.recording.stream[row] for row in work.rows)
    kind = facts.recording.streams[kinds.most_common(1)[0][0]].kind
    if kind in ("call", "SpinOff"):
        advice = "If they cannot come faster, all is well, and fewer workers would do. Else hand over sooner."
        yield Finding("note", "The workers have time to spare", text, advice, "input")
        return
    asked = sum(stream.source for stream in facts.recording.streams) / 1e9
    if asked >= LEAST:
        text += f" The program waited for its source{of_stream(facts, 'source')}."
    advice = "Read faster (ahead, or from several places at once), or take fewer workers: more will not help."
    if kind.startswith("imap"):
        advice += " live=True reads the source in a thread of its own, also while results are taken."
    yield Finding("problem", "The workers wait for input", text, advice, "source" if asked >= LEAST else "input")


def rate(each_second: float) -> str:
    return f"{each_second:,.0f} a second" if each_second >= 10 else f"{each_second:.1f} a second"


def start(judge: Judge) -> Iterator[Finding]:
    """Tasks wait for workers that have not begun yet. A program pays for that once: a fifth is much, or a tenth where
    there are many pools.
    """
    facts = judge.facts
    if not judge.costs("start") or (facts.share("start") < ONCE and len(facts.works) < 3):
        return
    pools = len(facts.works)
    judge.claim("start", *["input"] * (pools > 2))  # of what takes so long to start, little is under way at a time
    text = f"Tasks waited for workers to start for {percent(facts.share('start'))} of the time "
    text += f"({many(pools, 'pool')}, {many(len(facts.recording.workers), 'worker')})."
    advice = (
        "Make one pool for the whole program, and keep it." if pools > 2 else "Keep the pool for more work than this."
    )
    yield Finding("hint", "Workers take longer to start than is worth it", text, advice, "start")


def dispatch(judge: Judge) -> Iterator[Finding]:
    """Tasks wait, workers are there, and nothing runs."""
    facts = judge.facts
    if not judge.costs("dispatch"):
        return
    judge.claim("dispatch")
    text = f"Workers had nothing to run for {percent(facts.share('dispatch'))} of their time, though tasks waited."
    advice = "The program's threads are too busy to hand over, or the tasks are too small."
    yield Finding("hint", "Tasks wait while workers are idle", text, advice, "dispatch")


def failures(judge: Judge) -> Iterator[Finding]:
    """Runs that came to nothing: the deaths of workers always, errors if they are many, or dear."""
    facts = judge.facts
    recording = facts.recording
    outcomes = Counter(recording.outcome)
    said = Counter(text.kind for text in recording.failures.values())
    kinds = ", ".join(f"{kind} {times(count)}" for kind, count in said.most_common(3))
    told = sum(said.values())
    lost = facts.heads["failed"]
    died = [f"{outcomes[kind]:,} {OUTCOMES[kind]}" for kind in (DIED, TIMEOUT, MEMORY) if outcomes[kind]]
    count = sum(outcomes[kind] for kind in FAILED)
    again = sum(attempt > 1 for attempt in recording.attempt)
    dear = facts.share("failed") >= FAILING and facts.seconds("failed") >= LEAST
    if not died and not dear and count < FAILING * len(recording):
        return
    kinds = f"of {told:,} that are known, {kinds}" if 0 < told < count else kinds
    text = f"{many(count, 'run')} of {len(recording):,} failed ({kinds or 'nothing is known of them'}). "
    text += f"{'It' if count == 1 else 'They'} took {long(lost)}, {percent(facts.share('failed'))} of the workers' time"
    text += f"; further attempts: {again:,}." if again else "."
    if died:
        text += f" With their worker ended: {', '.join(died)}."
    advice = "Their stacks are in the report. " + (
        "What ends by a limit of memory needs smaller pieces, or fewer workers." if outcomes[MEMORY] else ""
    )
    yield Finding("problem" if died or dear else "hint", "Runs fail", text, advice.strip(), "failures")


def memory(judge: Judge) -> Iterator[Finding]:
    """The workers grow from each quarter of the time to the next: the first is left for what they load."""
    facts = judge.facts
    for work in facts.works:
        level = facts.counter(work, "memory")
        if not level:
            continue
        edges = [work.begin + work.wall * part // 4 for part in range(5)]
        heights = [level.highest(*edge) for edge in pairwise(edges)]
        before, after = heights[0], heights[-1]
        evenly = all(earlier < later for earlier, later in pairwise(heights))
        if after - before >= GROWN and after >= 1.5 * before and evenly:
            text = f"The workers' memory grew from {size(before)} to {size(after)}, and went on growing to the end."
            advice = (
                "max_tasks_per_child, or max_memory_per_child, replaces workers in time; or the tasks keep something."
            )
            yield Finding("hint", "The workers grow", text, advice, "memory")


def gone(judge: Judge) -> Iterator[Finding]:
    """What is not in the recording cannot be judged."""
    lost = judge.facts.recording.lost
    if lost:
        text = f"{many(lost, 'task')} could not be recorded: they came faster than that is done, or were too many."
        yield Finding("note", "The recording is not complete", text, "What is said here holds for the rest.", "lost")
