"""What a row is, and what most rows need: whether the pool still takes work, and how deliveries become a verdict."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Protocol

from rivals.peers.base import Delivery, Peer, Wish
from rivals.scene import Scene
from rivals.verdict import Facts, Grade, Verdict
from rivals.work import double

PATIENCE = 8.0
"""Seconds to wait for a result that must come: a hundred times what it takes on an idle machine."""


class Process(Protocol):
    """A probe as the runner sees it from outside."""

    folder: Path

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to the whole foreground process group."""

    def kill(self) -> None:
        """SIGKILL to the program alone, not to its workers."""

    def ended(self, seconds: float) -> bool:
        """Wait so long at most for the program to end."""

    def left(self) -> list[str]:
        """The processes that have outlived the program, as they are now."""


class Row:
    """One thing that goes wrong. The docstring of a row is printed below the matrix: what is done, what is asked."""

    name: ClassVar[str]
    title: ClassVar[str]
    limit: ClassVar[float] = 20.0
    """Seconds after which a probe hangs. A cluster takes 5 to start on a machine that is free."""
    script: ClassVar[str] = "plain"
    closes: ClassVar[bool] = True
    """Whether the pool is closed in the orderly way after the probe."""
    minds_leftovers: ClassVar[bool] = True
    """Whether what outlives the program counts against it; not where the row says itself what may live how long."""

    lacking: ClassVar[Grade] = "bad"
    """What it is to have no such feature: not bad where without it nothing can go wrong this way."""
    judges_errors: ClassVar[bool] = False
    """Whether an error that comes out of the adapter is an answer to the row's question, not a failure to ask it."""

    def wish(self, scene: Scene) -> Wish:
        """The pool that the row needs."""
        return Wish()

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        """Runs in the probe's process, with an open pool: do it, and note the facts."""
        raise NotImplementedError

    def attend(self, process: Process) -> Facts:
        """Runs beside it, in the runner: strike from outside. Returns once the program has ended or has hung."""
        return {"hung": not process.ended(self.limit)}

    def judge(self, facts: Facts) -> Verdict:
        """From the facts of a probe that ended, or that hung after it had noted all that is asked."""
        raise NotImplementedError

    def judge_hang(self, facts: Facts) -> Verdict:
        """From the facts of one that hung before that."""
        return Verdict("hangs", "bad")


def verdict_of(row: Row, facts: Facts) -> Verdict:
    """The verdict from everything that is known: the row's own, and what holds for every row."""
    phase = facts.get("phase")
    if lacks := facts.get("lacks"):
        return Verdict(lacks, row.lacking)
    if phase == "open" and facts["hung"]:
        return Verdict("hangs when the pool is made", "bad")
    if phase == "probe" and facts["hung"]:
        return row.judge_hang(facts)
    verdict = row.judge(facts)
    if facts["hung"] and phase in ("close", "exit"):
        return verdict.but("hangs when it is closed" if phase == "close" else "hangs at exit", "bad")
    if error := facts.get("close_error"):
        verdict = verdict.but(f"{error} when it is closed", "partial")
    if row.minds_leftovers:
        if count := len(facts.get("left_processes", ())):
            verdict = verdict.but(f"leaves {plural(count, 'process')}", "partial")
        if count := len(facts.get("left_shm", ())):
            verdict = verdict.but(f"leaves {count} in /dev/shm", "partial")
    return verdict


def plural(count: int, noun: str) -> str:
    """ "1 process", "2 processes"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")


def look_alive(peer: Peer, scene: Scene) -> None:
    """Does the pool still take work, and do it?"""
    scene.note(alive="hangs")
    made = peer.deliveries(double, [(n,) for n in range(10)], PATIENCE)
    good = sum(each.ok and each.value == 2 * n for n, each in enumerate(made))
    scene.note(alive="lives" if good == 10 else "hangs" if any(each.pending for each in made) else "dead")


def count(scene: Scene, made: Sequence[Delivery]) -> None:
    """Note how many results came, how many errors, and how many of neither."""
    waiting = sum(each.pending for each in made)
    scene.note(ok=sum(each.ok for each in made), errors=len(made) - waiting - sum(d.ok for d in made), pending=waiting)


def note_error(scene: Scene, made: Sequence[Delivery]) -> None:
    """Note the first error as text, its whole traceback and the causes' included."""
    import traceback

    for each in made:
        if each.error is not None:
            whole = "".join(traceback.format_exception(each.error))
            scene.note(error_type=type(each.error).__name__, error_text=said(each.error), error_whole=whole)
            return


def said(error: BaseException | None) -> str:
    """The messages and attributes of an error and its causes, without the traceback's lines."""
    parts: list[str] = []
    while error is not None and len(parts) < 10:
        parts.append(f"{type(error).__name__}: {error} {vars(error) or ''}")
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def delivered(facts: Facts, total: int, lost: int = 1) -> Verdict:
    """The verdict on `total` tasks of which `lost` may rightly have no result."""
    if "ok" not in facts:
        return Verdict("hangs", "bad")
    ok, pending, alive = facts["ok"], facts["pending"], facts.get("alive", "hangs")
    runs = facts.get("runs", 1)
    text = f"{ok} ok" if ok < total else "all ok"
    if runs > 1:
        text += f" (1 ran {runs} times)"
    if pending:
        text += f", {pending} hang{'s' if pending == 1 else ''}"
    text += {"lives": ", pool lives", "dead": ", pool dead", "hangs": ", pool stuck"}[alive]
    grade: Grade = "good" if ok >= total - lost else "partial" if ok else "bad"
    return Verdict(text, "bad" if pending or alive != "lives" else grade)


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether `condition` came to hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
