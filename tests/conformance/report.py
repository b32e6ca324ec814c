"""Judge records against the deviation list, and say it in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .campaign import Results
from .deviations import DEVIATIONS, deviation_of
from .model import STARTS, Record, Start

Verdict = Literal["passed", "deviation", "skipped", "failed"]
VERDICTS: tuple[Verdict, ...] = ("passed", "deviation", "skipped", "failed")


@dataclass(frozen=True)
class Judgement:
    """What a record means for us."""

    verdict: Verdict
    message: str = ""


def judge(record: Record, subject: str) -> Judgement:
    """A listed test must fail, every other one must pass (or skip itself)."""
    deviation = deviation_of(record.case, subject)
    if deviation is None:
        match record.outcome:
            case "passed":
                return Judgement("passed")
            case "skipped":
                return Judgement("skipped", record.detail)
            case outcome:
                return Judgement("failed", f"{outcome} after {record.seconds:.1f} s\n{record.detail}")
    match record.outcome:
        case "failed":
            return Judgement("deviation", f"{deviation.kind}: {deviation.reason}")
        case outcome:
            why = f"{outcome}, but it is listed in deviations.py as a test that fails ({deviation.kind})"
            return Judgement("failed", f"{why}\n{record.detail}")


def counts(results: Results) -> dict[Start, Counter[Verdict]]:
    table: dict[Start, Counter[Verdict]] = {}
    for record in results.records.values():
        table.setdefault(record.case.start, Counter())[judge(record, results.subject).verdict] += 1
    return {start: table[start] for start in STARTS if start in table}


def failures(results: Results) -> list[str]:
    """Every failure, a line or a block each; empty when the subject conforms."""
    found = []
    for record in results.records.values():
        judgement = judge(record, results.subject)
        if judgement.verdict == "failed":
            found.append(f"{record.case.label}: {judgement.message.rstrip()}")
    for group in results.groups.values():
        found += [f"{group.start}-{group.module}, after its last test: {problem}" for problem in group.problems]
    return found


def row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def markdown(results: Results) -> str:
    """The table of counts and, for procession, the deviation list."""
    table = counts(results)
    where = f"`test.test_concurrent_futures` of {results.interpreter} against {results.subject}"
    lines = [
        f"{where}, {results.seconds:.0f} s on the clock",
        "",
        row(["start", *VERDICTS, "seconds of tests"]),
        row(["---", *["---:"] * (len(VERDICTS) + 1)]),
    ]
    for start, tally in table.items():
        seconds = sum(record.seconds for record in results.records.values() if record.case.start == start)
        lines.append(row([start, *[tally[verdict] for verdict in VERDICTS], f"{seconds:.0f}"]))
    total: Counter[Verdict] = sum(table.values(), Counter())
    lines.append(row(["all", *[total[verdict] for verdict in VERDICTS], ""]))
    if results.subject != "stdlib":
        lines += ["", row(["deviating test", "starts", "kind", "reason"]), row(["---"] * 4)]
        for entry in DEVIATIONS:
            reason = entry.reason + (" With that attribute lent, it passes." if entry.lend else "")
            lines.append(row([f"`{entry.tests}`", ", ".join(entry.starts), entry.kind, reason]))
    return "\n".join(lines)
