"""The campaign as a program beside the tests (tests/beside.py): its cases sleep more than they work."""

from __future__ import annotations

from tests.beside import answer

from . import campaign
from .interpreters import Interpreter
from .model import Case


def run(asked: tuple[Interpreter, list[Case]]) -> campaign.Results:
    """These cases, on procession."""
    interpreter, cases = asked
    return campaign.run(interpreter, "procession", cases)


if __name__ == "__main__":
    from tests.conformance import beside

    answer(beside.run)
