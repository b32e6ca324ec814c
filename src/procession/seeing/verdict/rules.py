"""What there is to be mended, one rule a fault. A rule is silent unless the fault costs something worth having.

That is a tenth of the workers' time and a tenth of a second (`SHARE`, `LEAST`): less, nobody would notice when it is
gone, and what is measured varies as much from run to run. What has a cause that one rule names, is not named by another
(`claimed`): tasks that are too small also show as hand-over and as a busy program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .facts import GIL_CROWDED, Facts, Function
from .words import long, many, percent, size

SHARE = 0.1
LEAST = 0.1
SMALL = 200e-6
"""Seconds. Handing over costs 2 to 20 µs a task in a chunk, up to 100 µs for a lone call; a task should take twice."""
LARGE = 1_000_000
"""Bytes of a task's arguments that take as long to carry as a small task takes."""
THREADS = 1.1
"""CPUs that a task takes or waits for: more than one, and what samples may be wrong by, is more than one thread."""
SAMPLED = 1.0
"""Seconds; what ran for less is only roughly known, by some samples."""
OURS = 0.7
"""Of the CPUs there are, what the workers must have, for it to be them who are too many."""
AGAIN = 64_000_000
"""Bytes that were sent again: copying them, there and back, takes some 50 ms."""


class Finding(NamedTuple):
    """One thing that is to be said."""

    severity: str
    """"problem", "hint" or "note"."""
    title: str
    text: str
    advice: str
    fault: str
    """One word for it, the same for the same fault."""


Rule = Callable[["Judge"], Iterator[Finding]]


class Judge:
    """Asks each rule; `claimed` are the heads of which the cause has been named."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.claimed: set[str] = set()

    def findings(self, rules: Iterable[Rule]) -> list[Finding]:
        """By these rules, in this order."""
        if not self.facts.works:
            return []
        return [finding for rule in rules for finding in rule(self)]

    def costs(self, *heads: str) -> bool:
        """Is it worth a word?"""
        facts = self.facts
        free = [head for head in heads if head not in self.claimed]
        share, seconds = sum(facts.share(head) for head in free), facts.seconds(*free)
        return share >= SHARE and seconds >= LEAST

    def claim(self, *heads: str) -> None:
        self.claimed.update(heads)


def small(judge: Judge) -> Iterator[Finding]:
    """More time goes into handing over than into the work, of many short tasks. A slow source is no such thing: what
    handing over takes of the program's thread is some microseconds a task.
    """
    facts = judge.facts
    worst = max(facts.functions, key=lambda function: function.runs, default=None)
    if worst is None or worst.median > SMALL or worst.runs < 500:
        return
    over = facts.seconds("dispatch", "serial", "codec", "taker", "input", "stragglers")
    own = facts.seconds("serial") / facts.count
    if not judge.costs("dispatch", "serial", "codec") or facts.seconds("input") > over / 2 or own > 2 * SMALL:
        return
    if facts.seconds("function") > over / 2:
        return
    judge.claim("dispatch", "serial", "codec", "start", "input", "stragglers", "taker")
    facts.own = 0.0  # it was handing over
    single = Counter(facts.recording.stream).most_common(1)[0][0] == 0
    slower = facts.sequential < facts.wall
    advice = (
        "Hand over many at once: pool.map(f, items) sends them in chunks. Or give each task a list of items."
        if single
        else "Give each task a list of items; it is in chunks already."
    )
    if slower:
        advice += f" One after the other they would take {long(facts.sequential)}: without a pool it is faster."
    text = (
        f"{many(worst.runs, 'task')} of {worst.name} ran for {long(worst.median)} each (median). "
        f"They took {long(facts.wall / facts.count)} a task: most of it is handing over."
    )
    yield Finding("problem", f"Tasks of {long(worst.median)} are too small", text, advice, "small")


def again(judge: Judge) -> Iterator[Finding]:
    """Large arguments that were sent before, just the same."""
    facts = judge.facts
    for index, (count, bytes_) in sorted(facts.recording.repeats.items(), key=lambda each: -each[1][1]):
        if count < 3 or bytes_ < AGAIN:
            continue
        same = f"{size(bytes_ / count)} {many(count, 'time')}"
        text = f"{facts.name(index)} was given the same {same} again: {size(bytes_)} in all."
        advice = "Send it once: it = pool.share(it), and hand over what that returns."
        yield Finding("problem", "The same large argument is sent each time", text, advice, "again")


def pickling(judge: Judge) -> Iterator[Finding]:
    """What is sent takes long to encode, to carry or to decode; by which side does not matter."""
    facts = judge.facts
    by_cost = sorted(facts.functions, key=lambda function: -(function.pickle + function.codec))
    if not by_cost:
        return
    worst: Function = by_cost[0]
    carried = (worst.bytes_in + worst.bytes_out) / worst.runs
    pickled = sum(function.pickle for function in facts.functions)
    here = pickled >= LEAST and pickled >= SHARE * facts.wall and not judge.claimed & {"serial"}
    if not here and not judge.costs("codec", *["dispatch"] * (carried >= LARGE and facts.share("codec") >= SHARE / 2)):
        return
    judge.claim("codec")
    if carried >= LARGE or not worst.bytes_in:
        judge.claim("dispatch")
    if pickled >= facts.seconds("serial") / 2:
        judge.claim("serial")
        facts.own = 0.0  # it was encoding
    first = facts.first_loads()
    if not here and sum(first) >= sum(function.codec for function in facts.functions) / 2:
        text = (
            f"Decoding its first task took each worker {long(sum(first) / len(first))}, as it imports what that needs."
        )
        advice = "Pool(preload=[...]) imports modules once, for all worker processes."
        yield Finding("hint", "Workers import modules with their first task", text, advice, "imports")
        return
    took = facts.heads["codec"]
    text = f"The workers decoded arguments and encoded results for {long(took)}"
    if pickled:
        text += f", the program encoded for {long(pickled)} of {long(facts.wall)}"
    text += f". Most of it is {worst.name}" + (f": {size(carried)} a task." if worst.bytes_in else ".")
    advice = "Send less: the name of a file, or an index. "
    if carried >= LARGE:
        advice += "Arrays in shared memory (procession.zeros) are not copied; pool.share sends once what is for all."
    else:
        advice += "Many small objects are slow to pickle: one array, or bytes, is not."
    yield Finding(
        "problem",
        "Sending takes as long as working" if took + pickled > facts.sequential else "Sending costs",
        text,
        advice,
        "pickling",
    )


def gil(judge: Judge) -> Iterator[Finding]:
    """Threads that run together but get one CPU. See `Facts.held_by_gil`."""
    for work in judge.facts.bound_by_gil:
        facts = judge.facts
        busy = facts.busy(work)
        cpus, together = facts.counter(work, "cpu").total() / busy, work.ran / busy
        text = f"{together:.1f} threads ran at a time, and together they got {cpus:.1f} of {facts.cpus} CPUs."
        advice = 'Python code of one process runs one thread at a time: use processes, Pool(backend="processes").'
        if facts.crowded(work):
            text += " Other programs had the CPUs as well, so it may be that, or another lock."
            yield Finding("hint", "The threads may be held by the GIL", text, advice, "gil")
        else:
            yield Finding("problem", "The threads are held by the GIL", text, advice, "gil")


def waits(judge: Judge) -> Iterator[Finding]:
    """All workers are busy, tasks wait for them, and the CPUs idle: the work waits for something else, and more could.
    Half the CPUs, and half the time with tasks in the line: more workers would then gain at least a quarter. Threads
    that compute that much are held by the GIL already.
    """
    facts = judge.facts
    if "codec" in judge.claimed:  # for what they are sent, then
        return
    total = sum(facts.counter(work, "cpu").total() for work in facts.works)
    for work in facts.works:
        cpu, ran = facts.counter(work, "cpu"), work.ran
        if (
            not cpu
            or not ran
            or work in facts.bound_by_gil
            or work.pool.backend == "inline"
            or "codec" in judge.claimed
        ):
            continue
        wall = work.wall / 1e9
        line = sum(end - begin for begin, end in work.waiting.periods()) / 1e9
        idle = cpu.total() <= ran / 2 and total <= facts.cpus * wall / 2 and work.heads["stalled"] / 1e9 <= ran / 2
        idle = idle and (work.pool.backend != "threads" or cpu.total() < GIL_CROWDED * facts.busy(work))
        if idle and line >= wall / 2 and ran >= 0.7 * work.lanes * wall and wall >= LEAST:
            text = (
                f"{many(work.lanes, 'worker')} ran something {percent(ran / (work.lanes * wall))} of the time, "
                f"but took {cpu.total() / wall:.1f} of {facts.cpus} CPUs: they wait, while tasks wait for them."
            )
            advice = (
                'More workers: max_workers="auto" finds how many; threads, or coroutines, cost less than processes.'
            )
            severity = "problem" if work.lanes <= facts.cpus else "hint"  # more than CPUs: somebody knew that
            yield Finding(severity, "The workers wait, they do not compute", text, advice, "waits")


def stalled(judge: Judge) -> Iterator[Finding]:
    """More is ready to run than there are CPUs. Whose fault it is: a task that takes more than one CPU, or would, has
    threads of its own; else there are more workers than CPUs; else it is somebody else's program.
    """
    facts = judge.facts
    if not judge.costs("stalled") or judge.facts.bound_by_gil:
        return
    judge.claim("dispatch")  # what has no CPU begins late, too
    work = max(facts.works, key=lambda each: each.heads["stalled"])
    ran, seconds = work.ran, work.heads["stalled"] / 1e9
    each = work.wanted / ran
    text = f"The workers were ready to run, and had no CPU, for {percent(seconds / ran)} of the time of their tasks"
    if each > THREADS and ran >= SAMPLED:
        text += f"; their tasks wanted {each:.1f} CPUs each, {work.lanes} at a time, of {facts.cpus}."
        advice = (
            "The tasks run threads of their own, as BLAS does. Let them have their share of the CPUs: do not set "
            "OMP_NUM_THREADS or threadpoolctl's limits in the tasks, or set 1; or take fewer workers."
        )
        yield Finding("problem", "Threads inside of tasks fight for the CPUs", text, advice, "blas")
    elif work.lanes > facts.cpus and work.computed >= OURS * facts.cpus * facts.busy(work):
        text += f": {work.lanes} workers compute on {many(facts.cpus, 'CPU')}."
        advice = f"Take {facts.cpus} workers for work that computes: the others only cost memory and switching."
        yield Finding("hint", "More workers than CPUs", text, advice, "crowd")
    else:
        text += f", and took {work.computed / facts.busy(work):.1f} of {many(facts.cpus, 'CPU')} meanwhile."
        advice = "Other programs use the CPUs. Measure again when the machine is quiet."
        yield Finding("note", "The machine had other work", text, advice, "others")
