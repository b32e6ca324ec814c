"""Part 1 of the demo: the reference workload on a pool, and on spin-offs that a loop feeds, on each backend."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from typing import Literal

from procession import Pool, SpinOff
from procession.cli.screen import Screen
from procession.cli.timeline import Chart, Mark, Span
from procession.cli.workload import ITEMS, LONG_ITEM, LOOKED_AT, Done, Entry, Work, limit, qualifies, read

Backend = Literal["processes", "threads"]
BACKENDS: tuple[Backend, ...] = ("processes", "threads")


@dataclass
class Run:
    """One run of the workload, while it goes on and afterwards; moments are seconds since its beginning."""

    backend: Backend
    began: float = field(default_factory=time.monotonic)
    wall: float = 0.0
    puts: list[Mark] = field(default_factory=list)
    takes: list[Mark] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    # How long the loop was held up, at worst, by handing over and taking back in one of its steps.
    held_up: float = 0.0

    def now(self) -> float:
        return time.monotonic() - self.began

    def put(self, item: int) -> None:
        self.puts.append(Mark(item, self.now()))

    def take(self, done: Done) -> None:
        self.done.append(done)
        self.takes.append(Mark(done.item, self.now()))
        self.wall = self.takes[-1].at

    def span(self, entry: Done | Entry) -> Span:
        worker = f"pid {entry.pid}" if self.backend == "processes" else f"thread {entry.thread}"
        end = None if entry.end is None else entry.end - self.began
        return Span(entry.item, worker, entry.start - self.began, end)

    @property
    def work(self) -> float:
        return sum(done.end - done.start for done in self.done)


@dataclass(frozen=True)
class Part:
    """One way to run the workload. `fn` runs it and fills in the Run; `problems` names what did not hold afterwards."""

    name: str
    shows: str
    reason: str  # of the limit
    workers: int
    fn: Callable[[Work, Run], None]
    problems: Callable[[Run], list[str]]
    fed: bool

    def limit(self, work: Work) -> float:
        """The least time in which this could be done: the pool has all at once, the loop brings one after another."""
        arrivals = [item * work.step if self.fed else 0.0 for item in ITEMS]
        return limit(arrivals, [work.seconds(item) for item in ITEMS], self.workers)


def on_pool(work: Work, run: Run) -> None:
    with Pool(8, backend=run.backend) as pool:
        futures = [pool.submit(work, item) for item in LOOKED_AT if qualifies(item)]
        for future in as_completed(futures):
            run.take(future.result())


def on_spin_off(work: Work, run: Run, workers: int) -> None:
    with SpinOff(work, workers=workers, backend=run.backend) as spin:
        for item in LOOKED_AT:
            time.sleep(work.step)  # what the loop itself does in a step
            before = time.monotonic()
            if qualifies(item):
                run.put(item)
                spin.put(item)
            for done in spin.ready():
                run.take(done)
            run.held_up = max(run.held_up, time.monotonic() - before)
        spin.close()
        for done in spin:
            run.take(done)


def missing(run: Run) -> list[str]:
    """Each item is to be answered, and once."""
    got = sorted(done.item for done in run.done)
    return [] if got == list(ITEMS) else [f"results of {listed(got)} came, and not of {listed(ITEMS)}"]


def out_of_order(run: Run) -> list[str]:
    got = [done.item for done in run.done]
    return missing(run) or ([] if got == list(ITEMS) else [f"handed over out of order: {listed(got)}"])


def not_in_turn(run: Run) -> list[str]:
    """One worker is to run the items in their order, and one at a time."""
    if found := out_of_order(run):
        return found
    pairs = zip(run.done, run.done[1:], strict=False)
    return [f"{b.item} began before {a.item} had ended" for a, b in pairs if b.start < a.end]


def listed(items: Sequence[int]) -> str:
    return ", ".join(map(str, items)) or "nothing"


PARTS = (
    Part(
        "Pool(8)",
        "nothing waits for the item that takes 4 s",
        "its longest item",
        *(8, on_pool, missing),
        fed=False,
    ),
    Part(
        "SpinOff",
        "first in, first out, beside a loop that never waits",
        "one worker, one by one",
        *(1, lambda work, run: on_spin_off(work, run, 1), not_in_turn),
        fed=True,
    ),
    Part(
        "SpinOff(workers=8)",
        "8 at once, and still handed over in order",
        "the loop, then the last item",
        *(8, lambda work, run: on_spin_off(work, run, 8), out_of_order),
        fed=True,
    ),
)


def reference(screen: Screen, second: float) -> bool:
    """Run all parts on all backends, each shown; True if everything held."""
    screen.heading("1. The reference workload")
    screen.say(
        "A loop looks at 1..30, and multiples of three qualify. The work on 9 takes 4 s, on each other 1 s: 13 s in "
        "sequence. It sleeps, as if it waited for a network, so that 8 workers need no 8 cores. The loop that feeds "
        "a spin-off takes 0.25 s a step. The dotted line is the limit, the least time that the whole can take."
        + ("" if second == 1 else f" (In a hurry: a second lasts {second:g} s.)")
    )
    good = True
    runs = []
    for part in PARTS:
        for backend in BACKENDS:
            run = show(screen, part, backend, second)
            good &= not part.problems(run)
            runs.append((part, run))
    summary(screen, runs, second)
    return good


def show(screen: Screen, part: Part, backend: Backend, second: float) -> Run:
    screen.say()
    screen.say(f"{part.name} on {backend}: {part.shows}", "bold")
    with diary(screen.live) as path:
        work = Work(second, path)
        best = part.limit(work)
        run = Run(backend)
        with screen.chart(lambda: chart(part, run, best, path)):
            part.fn(work, run)
    screen.say(facts(run, best, part.reason))
    screen.verdict(part.problems(run), what_held(part, run))
    return run


@contextlib.contextmanager
def diary(wanted: bool) -> Iterator[str | None]:
    """A file in which the workers write what they begin and end, for a chart that is drawn meanwhile."""
    if not wanted:
        yield None
        return
    fd, path = tempfile.mkstemp(prefix="procession-demo-")
    os.close(fd)
    try:
        yield path
    finally:
        os.unlink(path)


def chart(part: Part, run: Run, best: float, path: str | None) -> Chart:
    """The run as it is: from the results when all are there, and until then from the diary."""
    over = len(run.done) == len(ITEMS)
    entries: Sequence[Done | Entry] = list(run.done) if over or path is None else list(read(path))
    now = run.wall if over else run.now()
    return Chart(
        spans=[run.span(entry) for entry in entries],
        length=max(now, best) * 1.03,
        now=now,
        limit=best,
        accent=LONG_ITEM,
        above=("put", list(run.puts)) if part.fed else None,
        below=("handed over" if part.fed else "result", list(run.takes)),
    )


def facts(run: Run, best: float, reason: str) -> str:
    return f"work {run.work:.2f} s   wall {run.wall:.2f} s   limit {best:.2f} s ({reason})"


def what_held(part: Part, run: Run) -> str:
    if not part.fed:
        return f"all {len(run.done)} results; {run.done[-1].item} came last, and nobody waited for it"
    return f"in order; in the loop's worst step, put() and ready() took {run.held_up * 1e3:.1f} ms"


def summary(screen: Screen, runs: Sequence[tuple[Part, Run]], second: float) -> None:
    screen.say()
    rows = [
        [
            part.name,
            run.backend,
            f"{run.work:.2f} s",
            f"{run.wall:.2f} s",
            f"{part.limit(Work(second)):.2f} s",
            f"{run.held_up * 1e3:.1f} ms" if part.fed else "",
        ]
        for part, run in runs
    ]
    screen.table(["", "", "work", "wall", "limit", "worst step"], rows)
