"""A stream in numbers."""

from __future__ import annotations

from collections.abc import Hashable

from procession.record import frozen
from procession.stream_course import Course


@frozen
class StreamStats:
    """A stream at one moment."""

    pulled: int
    """Items taken from the source."""
    unfinished: int
    """Of these, have no outcome yet: they run or wait to run."""
    waiting: int
    """Results that wait to be taken."""
    taken: int
    """Results that were handed over, and failures that took their place."""
    head: int | None
    """The item that finished ones wait for, counted from 0; None: none do."""
    head_seconds: float
    """For how long they do."""
    buffered_bytes: int | None
    """What the waiting results weigh in memory; None without `buffer_bytes`."""
    most_bytes: int | None
    """The most that they ever did."""
    spilled: int
    """Of the waiting results, lie in a temporary file."""
    hot_key: Hashable | None
    """With `key`: the one of which most items wait for an earlier item of the same key; None: none does."""
    hot_key_waiting: int
    """How many of its items do."""
    recalled: int = 0
    """Of the pulled items, had their outcome in the journal."""


def stats_of(course: Course) -> StreamStats:
    """Numbers, now."""
    flow, ledger = course.flow, course.ledger
    with course.lock:
        head, seconds = course.look_at_head()
        hot, held = flow.hottest()
        return StreamStats(
            pulled=flow.admitted,
            unfinished=flow.admitted - flow.finished,
            waiting=flow.finished - flow.handed,
            taken=flow.handed,
            head=head,
            head_seconds=seconds,
            buffered_bytes=None if ledger is None else ledger.total,
            most_bytes=None if ledger is None else ledger.most,
            spilled=0 if ledger is None else ledger.aside,
            hot_key=hot,
            hot_key_waiting=held,
            recalled=course.recalled,
        )
