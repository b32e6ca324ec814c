"""The runs of one item on the inline backend: its timeout, its further runs, and who asks it to end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from time import monotonic_ns, sleep
from typing import Any

from procession.core.rules import Rules
from procession.types import Raised
from procession.worker import asked

SECOND = 1_000_000_000


class Runs:
    """Runs an item as often as its rules want; `unwanted()`: somebody has cancelled it."""

    def __init__(self, rules: Rules | None, unwanted: Callable[[], bool], name: str, index: int | None) -> None:
        self.retries = self.timeouts = 0
        self._rules = rules
        self._unwanted = unwanted
        self._name = name
        self._index = index
        self._until: int | None = None

    def last(self, run: Callable[[], Any]) -> Any:
        """The outcome of the last run."""
        rules = self._rules
        with asked.answering(self._is_asked):
            if rules is None:
                return run()
            notes: list[str] = []
            while True:
                outcome = self._once(run, rules)
                if outcome.__class__ is not Raised:
                    return outcome
                error: BaseException = outcome.error
                wanted = isinstance(error, rules.errors) and not isinstance(error, CancelledError)
                if not wanted or self.retries >= rules.retries or self._unwanted():
                    outcome.attempts = self.retries + 1
                    for note in notes:
                        error.add_note(note)
                    return outcome
                self.retries += 1
                text = str(error).partition("\n")[0]
                notes.append(f"run {self.retries} of {1 + rules.retries}: {type(error).__name__}: {text}")
                sleep(rules.delay_ns(self.retries) / SECOND)

    def _once(self, run: Callable[[], Any], rules: Rules) -> Any:
        began = monotonic_ns()
        limit = rules.timeout_ns
        self._until = None if limit is None else began + limit
        outcome = run()
        ran = monotonic_ns() - began
        if limit is None or ran <= limit:
            return outcome
        from procession.errors import TaskTimeout

        self.timeouts += 1
        error = TaskTimeout(self._name, "running", ran / SECOND, limit / SECOND, self._index)
        error.__cause__ = outcome.error if outcome.__class__ is Raised else None
        return Raised(error)

    def _is_asked(self) -> bool:
        return self._unwanted() or (self._until is not None and monotonic_ns() > self._until)
