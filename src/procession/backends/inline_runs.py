"""The runs of one item on the inline backend: its timeout, its further runs, and who asks it to end."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns, sleep
from typing import Any

from procession.backends.roles import Attempts, wants_another
from procession.captured import Captured, tell
from procession.core.rules import SECOND, Rules
from procession.types import Raised
from procession.worker import asked


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
            attempts = Attempts()
            while True:
                outcome = self._once(run, rules)
                if outcome.__class__ is not Raised:
                    return outcome
                error: BaseException = outcome.error
                if not wants_another(rules, error) or self.retries >= rules.retries or self._unwanted():
                    outcome.attempts = self.retries + 1
                    attempts.note_in(error)
                    return outcome
                self.retries += 1
                attempts.add(self.retries, rules, error)
                sleep(rules.delay_ns(self.retries, monotonic_ns()) / SECOND)

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
        written = Captured.of(outcome.error) if outcome.__class__ is Raised else outcome
        if isinstance(written, Captured):
            tell(error, written)
        return Raised(error)

    def _is_asked(self) -> bool:
        return self._unwanted() or (self._until is not None and monotonic_ns() > self._until)
