"""What is known of one probe: the facts that were gathered, and the verdict that they lead to."""

from dataclasses import dataclass, field
from typing import Any, Literal

Grade = Literal["good", "partial", "bad"]
GRADES: tuple[Grade, ...] = ("good", "partial", "bad")

Facts = dict[str, Any]
"""What the probe noted about itself, and what the runner saw of it from outside; JSON, both."""

Status = Literal["judged", "failed", "not run"]


@dataclass(frozen=True)
class Verdict:
    """One cell of the matrix: a few words, and how good that is for whoever uses the library."""

    text: str
    grade: Grade

    def but(self, text: str, at_best: Grade) -> "Verdict":
        """The same with a flaw added, which makes it no better than `at_best`."""
        worst = max(self.grade, at_best, key=GRADES.index)
        return Verdict(f"{self.text}, {text}", worst)


@dataclass
class Outcome:
    """A probe that was run, or why it was not. "failed" is a probe that ended with an error of its own."""

    row: str
    peer: str
    status: Status
    verdict: Verdict
    seconds: float = 0.0
    facts: Facts = field(default_factory=dict)
    said: str = ""
    """The end of what the probe wrote to its standard output and error."""


class Lacks(Exception):
    """The library has no such feature, or not one that the row could ask for; the text says which in a few words."""

    def __init__(self, text: str = "no such feature") -> None:
        super().__init__(text)
        self.text = text
