"""The matrix of a run, drawn as Markdown, as text for the terminal, and as JSON."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rivals.peers import PEERS
from rivals.rows import ROWS
from rivals.verdict import GRADES, Grade, Outcome

SIGNS: Mapping[Grade, str] = {"good": "✓", "partial": "~", "bad": "✗"}

INTRODUCTION = """\
# The failure table, and the others

What happens when things go wrong, in procession and in nine other libraries: each cell below is a program that was run,
in a process of its own, with a limit of time, and judged by what it delivered and by what it left behind. `make rivals`
runs all of them again and writes this page; nothing in the matrix is written by hand. procession is asked the same by
the same code: where it fails, its cell says so.

✓ is what a user would hope for, ~ works in part, ✗ does not: what exactly that means is said for each row in the list
below the matrix. "all ok" and "99 ok" count the tasks that had a result. A task *hangs* when it has neither result nor
error after {patience:g} seconds or more. A pool *lives* when it then takes 10 more tasks and delivers them, is *dead*
when it refuses them, and is *stuck* when it does neither within {patience:g} seconds. A program that "hangs" had to be
killed at its limit of time.

This is one run. Where a library's fate depends on what the dead worker was holding, a lock for example, another run may
come out otherwise: multiprocessing.Pool has been seen to survive the death of an idle worker, and to hang after it.

Every library is used as its documentation has it, with defaults, 2 workers unless a row says otherwise. That includes
what a default costs: ray and dask run a task whose worker died again, and the cell says how often. A row asks one
question; it is no verdict on a library, and several of these do things that procession does not. They were written for
other things, too: ray and dask are clusters, joblib is for numeric loops whose tasks seldom fail.
"""


def as_markdown(outcomes: Sequence[Outcome], facts: Mapping[str, Any], patience: float) -> str:
    """The page."""
    peers = _in_order(PEERS, (each.peer for each in outcomes))
    rows = _in_order(ROWS, (each.row for each in outcomes))
    found = {(each.row, each.peer): each for each in outcomes}
    table = [("what goes wrong", *(PEERS[name].title if name in PEERS else name for name in peers))]
    table.append(tuple("---" for _ in table[0]))
    for row in rows:
        title = ROWS[row].title if row in ROWS else row
        table.append((f"**{title}**", *(_cell(found.get((row, peer))) for peer in peers)))
    table.append(("✓ / ~ / ✗", *(_tally(outcomes, peer) for peer in peers)))
    blocks = [
        INTRODUCTION.format(patience=patience).rstrip(),
        "## The matrix",
        "\n".join("| " + " | ".join(line) + " |" for line in table),
        "\n".join(f"* {line}" for line in fact_lines(facts)),
        "## The rows",
        "\n".join(f"* **{ROWS[row].title}** (`{row}`). {_prose(ROWS[row])}" for row in rows if row in ROWS),
    ]
    if failed := [each for each in outcomes if each.status != "judged"]:
        blocks += ["## What could not be asked", "\n".join(f"* {_failure(each)}" for each in failed)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def as_text(outcomes: Sequence[Outcome]) -> str:
    """For the terminal: a block a row, a line a peer, since ten columns do not fit."""
    lines = []
    for row in _in_order(ROWS, (each.row for each in outcomes)):
        lines.append(ROWS[row].title if row in ROWS else row)
        lines += [f"  {_line(each)}" for each in outcomes if each.row == row]
    peers = _in_order(PEERS, (each.peer for each in outcomes))
    lines += ["good / partial / bad", *(f"  {peer:<11} {_tally(outcomes, peer)}" for peer in peers)]
    return "\n".join(lines)


def as_json(outcomes: Sequence[Outcome], facts: Mapping[str, Any]) -> str:
    """Every fact of every probe."""
    return json.dumps({"machine": facts, "outcomes": [asdict(each) for each in outcomes]}, indent=1)


def progress(outcome: Outcome) -> str:
    """One line about a probe that has just run."""
    return f"{outcome.row}: {_line(outcome)} ({outcome.seconds:.1f} s)"


def fact_lines(facts: Mapping[str, Any]) -> list[str]:
    """What a reader must know about the run."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version != "stdlib")
    return [
        f"{facts['date']}, {facts['python']}, {facts['kernel']}, {facts['cores']} cores, load average {facts['load']}",
        f"{facts['probes']} probes in {facts['seconds']:.0f} s, one after another",
        f"versions: {versions or 'standard library only'}",
    ]


def _in_order(known: Iterable[str], asked: Iterable[str]) -> list[str]:
    """What was asked, in the order in which it is known; what is not known comes last."""
    given = dict.fromkeys(asked)
    return [name for name in known if name in given] + [name for name in given if name not in set(known)]


def _line(outcome: Outcome) -> str:
    return f"{outcome.peer:<11} {SIGNS[outcome.verdict.grade]} {' '.join(outcome.verdict.text.split())[:160]}"


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    text = " ".join(outcome.verdict.text.split())
    short = text if len(text) <= 90 else text[:87] + "..."
    return f"{SIGNS[outcome.verdict.grade]} {_escaped(short)}"


def _escaped(text: str) -> str:
    return re.sub(r"([|<*_`])", r"\\\1", text)


def _tally(outcomes: Iterable[Outcome], peer: str) -> str:
    """How many cells of each grade; those that were not run count for none."""
    grades = [each.verdict.grade for each in outcomes if each.peer == peer and each.status != "not run"]
    return " / ".join(str(grades.count(grade)) for grade in GRADES)


def _prose(row: object) -> str:
    return " ".join((row.__class__.__doc__ or "").split())


def _failure(outcome: Outcome) -> str:
    return f"`{outcome.row}`, {outcome.peer}: {_escaped(' '.join(outcome.verdict.text.split())[:300])}"
