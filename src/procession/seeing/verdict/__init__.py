"""What a recording says of its program: how much faster it was, what the limit is, where the rest went, what to change.

`verdict(recording)` reads numbers only: the same recording has the same verdict, everywhere. `accounts.py` says how the
workers' time is booked, `facts.py` what the limit is, `rules.py` and `gaps.py` when something is said of a fault.

It cannot know what the functions would have taken one after the other, and takes what they took here, without the time
in which they were ready to run and had no CPU.
"""

from __future__ import annotations

from typing import NamedTuple

from ..recording import Recording
from . import gaps, rules
from .accounts import HEADS
from .facts import Facts
from .rules import Finding, Judge
from .words import long, many, percent

RULES: tuple[rules.Rule, ...] = (
    *(rules.small, rules.again, rules.pickling, gaps.alone, rules.gil, rules.waits, rules.stalled),
    *(
        gaps.stage,
        gaps.head,
        gaps.taker,
        gaps.held,
        gaps.stragglers,
        gaps.serial,
        gaps.start,
        gaps.source,
        gaps.dispatch,
    ),
    *(gaps.failures, gaps.memory, gaps.gone),
)
"""In this order: what names a cause comes before what names a symptom."""

SHOWN = 0.05
"""Of the work: what the program did itself is told of if it was more than that."""
NEAR = 0.5
"""Of the limit: who comes so near to it is told no loss that is not worth mending."""


class Verdict(NamedTuple):
    """What is to be said; `str()` of it is the text."""

    headline: str
    findings: list[Finding]
    numbers: dict[str, float]
    """"work", "own", "wall", "longest" (seconds), "speedup", "limit", "workers", "cpus", "tasks"."""
    shares: dict[str, float]
    """Of the workers' time, by the names of `HEADS`; together 1, or nothing."""
    limit: str
    """The limit for this work, in words."""

    @property
    def healthy(self) -> bool:
        """Is there nothing to mend?"""
        return all(finding.severity == "note" for finding in self.findings)

    def __str__(self) -> str:
        lines = [self.headline, *([self.limit] if self.limit else [])]
        if self.shares:
            lines += ["", "Where the workers' time went:"]
            by_size = sorted(self.shares.items(), key=lambda each: -each[1])
            lines += [f"{percent(share):>7}  {HEADS[head]}" for head, share in by_size if share >= 0.005]
        for severity, title, text, advice, _ in self.findings:
            lines += ["", f"{severity}: {title}", f"  {text}", *([f"  {advice}"] if advice else [])]
        if last := ending(self):
            lines += ["", last]
        return "\n".join(lines)


def verdict(recording: Recording) -> Verdict:
    """What there is to be said of this recording."""
    facts = Facts(recording)
    findings = Judge(facts).findings(RULES)
    if not facts.works:
        return Verdict("No task has run.", findings, {"tasks": 0.0}, {}, "")
    limit, why = facts.limit()
    numbers = {
        "work": facts.sequential,
        "own": facts.own,
        "wall": facts.wall,
        "longest": facts.longest.longest if facts.longest else 0.0,
        "speedup": facts.speedup,
        "limit": max(limit, facts.speedup),
        "workers": float(facts.lanes),
        "cpus": float(facts.cpus),
        "tasks": float(facts.count),
    }
    own = f" and {long(facts.own)} of the program itself" if facts.own >= SHOWN * facts.sequential else ""
    compared = f"{pace(facts.speedup)} one after the other"
    if any(finding.fault == "others" for finding in findings):
        compared += " would be on a quiet machine"
    headline = (
        f"{compared}: {long(facts.sequential)} of work{own} in {long(facts.wall)} "
        f"({many(facts.count, 'task')}, {many(facts.lanes, 'worker')}, {many(facts.cpus, 'CPU')})."
    )
    if not facts.functions:
        headline = f"Nothing came of {many(facts.count, 'run')} in {long(facts.wall)}."
    shares = {head: spent / facts.capacity for head, spent in facts.heads.items()} if facts.capacity else {}
    return Verdict(
        headline, findings, numbers, shares, limited(facts.speedup, numbers["limit"], why) if facts.sequential else ""
    )


def pace(speedup: float) -> str:
    """How fast it was, of "one after the other"."""
    if speedup >= 0.95:
        return f"{speedup:.1f} times as fast as"
    return f"{1 / speedup:.1f} times slower than" if speedup > 0.001 else "Much slower than"


def ending(said: Verdict) -> str:
    """The last word, where there is nothing to mend."""
    if not said.healthy or not said.shares:
        return ""
    if any(finding.fault == "others" for finding in said.findings):
        return "Nothing to mend in the program."
    lost = {head: share for head, share in said.shares.items() if head != "function"}
    worst = max(lost, key=lambda head: lost[head])
    if any(finding.fault == worst for finding in said.findings):
        return "Nothing to mend."
    if said.numbers["speedup"] >= NEAR * said.numbers["limit"] or lost[worst] < NEAR / 2:
        return "Nothing to mend."
    return f"Too little is lost to be worth mending. Most of it: {HEADS[worst]}, {percent(lost[worst])}."


def limited(speedup: float, limit: float, why: str) -> str:
    """The limit, and how near it is."""
    if limit < 1.05 and speedup >= 0.95:
        return f"This work allows no more here, as {why}."
    if limit < 1.05:
        return f"It cannot be faster here than one after the other, as {why}; but it was slower."
    return f"This work allows {limit:.1f} times as fast here, as {why}; it came to {percent(speedup / limit)} of that."


__all__ = ["HEADS", "RULES", "Finding", "Verdict", "ending", "verdict"]
