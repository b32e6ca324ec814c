"""Outcomes that were made up, and the facts of a machine that is nowhere."""

from typing import Any

from benchmarks.cell import Cell, Kind, Outcome, Sample, Status
from benchmarks.results import Results

MACHINE: dict[str, Any] = {
    "date": "2030-01-01",
    "python": "CPython 3.11.7",
    "kernel": "Linux 6",
    "cpu": "abacus",
    "cores": 2,
    "cores_usable": 2,
    "load_average": [0.1, 0.1, 0.1],
    "harness_ns_per_task": 60,
    "two_cores_slowdown": 1.0,
    "turn_ns": 10.0,
    "repetitions": 2,
    "seconds": 1,
    "versions": {"procession": "1.0", "ppe": "stdlib"},
    "modes": {"procession": "accelerated", "procession-pure": "pure Python"},
}


def outcome(measure: str, peer: str, repetition: int = 0, kind: Kind = "import", **values: float) -> Outcome:
    """A cell that went well."""
    return Outcome(Cell(measure, peer, kind, repetition), "ok", 1.0, Sample(values))


def bad(measure: str, peer: str, status: Status, reason: str) -> Outcome:
    """A cell that did not."""
    return Outcome(Cell(measure, peer, "import", 0), status, 1.0, reason=reason)


def results(*outcomes: Outcome) -> Results:
    """What a run with these outcomes found."""
    return Results(outcomes)
