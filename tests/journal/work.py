"""Functions, classes and helpers of the journal's tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from procession.errors import JournalError
from procession.journal import Journal
from procession.journal.identity import identity_of
from procession.journal.mapped import MapJournal
from procession.journal.queued import QueueJournal, Ticket

PATIENCE = 60.0
"""Seconds to wait for what must come."""


def double(n: int) -> int:
    return 2 * n


def triple(n: int) -> int:
    return 3 * n


class Point:
    """A plain class, whose values only pickle knows."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    def __hash__(self) -> int:
        return hash(self.x)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


class Answer:
    """What `record` calls back: waited for by the test."""

    def __init__(self) -> None:
        self.outcomes: list[Any] | None = None
        self.error: JournalError | None = None
        self._came = threading.Event()

    def then(self, outcomes: list[Any]) -> None:
        self.outcomes = outcomes
        self._came.set()

    def lost(self, error: JournalError) -> None:
        self.error = error
        self._came.set()

    def wait(self) -> list[Any]:
        assert self._came.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        assert self.outcomes is not None
        return self.outcomes


def open_map(
    path: Path | str,
    fn: Callable[..., Any] = double,
    item_id: Callable[[Any], Any] | None = None,
    failures: bool = True,
    seed: int | None = None,
    **words: Any,
) -> MapJournal:
    return MapJournal.open(Journal(path, **words), identity_of(fn, seed), item_id, failures)


def open_queue(
    path: Path | str, fn: Callable[..., Any] = double, item_id: Callable[[Any], Any] | None = None, **words: Any
) -> QueueJournal:
    return QueueJournal.open(Journal(path, **words), identity_of(fn), item_id)


def record(journal: MapJournal, items: Sequence[Any], outcomes: Sequence[Any], first: int = 0) -> list[Any]:
    """Record outcomes of items from position `first` on, and wait until they are committed."""
    answer = Answer()
    entries = [
        (journal.key_of(first + at, item), outcome, repr(item))
        for at, (item, outcome) in enumerate(zip(items, outcomes, strict=True))
    ]
    journal.record(entries, answer.then, answer.lost)
    return answer.wait()


def recall(journal: MapJournal, items: Sequence[Any], first: int = 0) -> list[Any]:
    return journal.recall(first, [journal.key_of(first + at, item) for at, item in enumerate(items)], items)


def accept(journal: QueueJournal, items: Sequence[Any], first: int | None = None) -> None:
    """Accept items under the next numbers, and wait until they are committed."""
    number = journal.accepted if first is None else first
    ids = [None if not journal.own_ids else journal.id_of(item) for item in items]
    rows = [(number + at, id, *journal.encoded(item)) for at, (id, item) in enumerate(zip(ids, items, strict=True))]
    ticket = Ticket()
    journal.accept(rows, ticket)
    ticket.wait()


def finish(journal: QueueJournal, seqs: Sequence[int], outcomes: Sequence[Any]) -> list[Any]:
    """Record outcomes, and wait until they are committed."""
    answer = Answer()
    journal.record(
        [(seq, outcome, None) for seq, outcome in zip(seqs, outcomes, strict=True)], answer.then, answer.lost
    )
    return answer.wait()


def hand_over(journal: QueueJournal, seqs: Sequence[int]) -> None:
    ticket = Ticket()
    journal.handed_over(seqs, ticket)
    ticket.wait()


def drop(journal: QueueJournal, seqs: Sequence[int]) -> None:
    ticket = Ticket()
    journal.drop(seqs, ticket)
    ticket.wait()
