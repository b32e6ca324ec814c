"""What the harness talks about: a case, where it starts its workers, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Start = Literal["zygote", "fork", "forkserver", "spawn", "threads", "future"]
Outcome = Literal["passed", "failed", "skipped", "altered", "hung", "died"]

#: In the order of the report. "zygote" is the default start (no mp_context); "future" needs no executor.
STARTS: tuple[Start, ...] = ("zygote", "fork", "forkserver", "spawn", "threads", "future")
PROCESS_STARTS: tuple[Start, ...] = ("zygote", "fork", "forkserver", "spawn")
SUBJECTS = ("procession", "pool", "stdlib")


@dataclass(frozen=True)
class Case:
    """One test method with one way to start workers.

    ``scenario`` is the class without the prefix of its executor, so that one name means the same test
    everywhere; ``cls`` is the class as the interpreter's module has it. With ``lent`` the test runs a
    second time, on an executor that was lent the private attributes a deviation names.
    """

    start: Start
    module: str
    scenario: str
    method: str
    cls: str
    lent: bool = False

    @property
    def id(self) -> str:
        return f"{self.module}.{self.scenario}.{self.method}"

    @property
    def label(self) -> str:
        return f"{self.start}-{self.id}{'+lent' if self.lent else ''}"

    @property
    def group(self) -> tuple[Start, str]:
        return (self.start, self.module)


@dataclass(frozen=True)
class Record:
    """What became of one case."""

    case: Case
    outcome: Outcome
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class GroupRecord:
    """What one module with one start left behind after its last test; nothing is expected."""

    start: Start
    module: str
    seconds: float
    problems: tuple[str, ...] = ()
