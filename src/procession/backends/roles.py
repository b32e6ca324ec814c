"""What others are to a task: who is told of it, hands it over faster, can take it back; and its earlier runs."""

from __future__ import annotations

from concurrent.futures import CancelledError

from procession.captured import Captured, add_note, last_of

TYPE_CHECKING = False  # see `lean`
if not TYPE_CHECKING:
    from procession.lean import Protocol
if TYPE_CHECKING:
    from typing import Any, Protocol

    from procession.backends.tasks import CallFuture
    from procession.core.rules import Rules


class Sink(Protocol):
    """Who is told of many futures together, more cheaply than by a callback on each."""

    def settled(self, futures: list[Any]) -> None:
        """These have an outcome or were cancelled. On the engine's thread, or a `cancel()`'s; short, no raise."""
        ...


class FastWay(Protocol):
    """How a caller may come to an outcome before the engine's thread does."""

    def wait(self, future: CallFuture[Any]) -> None:
        """Wait a while, and give the future its outcome if that is found."""
        ...

    def answered(self, future: CallFuture[Any]) -> None:
        """A caller has the outcome of this future, and may use the way again."""
        ...

    def cool(self) -> None:
        """Somebody waits for one of its futures in another way than by `wait`."""
        ...


class LeasedCanceller(Protocol):
    """An engine that can take a task back from a worker that has not started it."""

    def cancel_leased(self, future: CallFuture[Any], kill: bool) -> bool:
        """Waits for the answer. True: it was cancelled, and does not run; `kill`: not any more."""
        ...


def wants_another(rules: Rules, error: BaseException) -> bool:
    """After a run that raised this there is to be another, as far as the rules go; who consented to end wants none."""
    return isinstance(error, rules.errors) and not isinstance(error, CancelledError)


class Attempts:
    """The runs of an item that failed and were followed by another."""

    __slots__ = ("deaths", "last", "notes")

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.deaths = 0  # of workers
        self.last: BaseException | None = None  # what the last one came to

    def add(self, run: int, rules: Rules | None, error: BaseException) -> None:
        """Run 1, 2, ... came to this."""
        from procession.transport.remote import text_of

        self.last = error
        text = text_of(error).partition("\n")[0]
        runs = 1 + (rules.retries if rules is not None else 0)
        note = f"run {run} of {runs}: {type(error).__name__}: {text}"
        written = Captured.of(error)
        self.notes.append(note if written is None else "\n".join(filter(None, (note, last_of(written)))))

    def note_in(self, error: BaseException) -> None:
        """The last one's error tells of those before."""
        for note in self.notes:
            add_note(error, note)
