"""A SpinOff in numbers."""

from __future__ import annotations

from collections.abc import Hashable

from procession.backends.base import EngineStats
from procession.record import frozen
from procession.spinoff_core import SpinCore


@frozen
class SpinOffStats:
    """A SpinOff at one moment."""

    put: int
    """Items taken in."""
    unfinished: int
    """Of these, have no outcome yet: they run or wait to run."""
    waiting: int
    """Results that wait to be taken."""
    taken: int
    """Results that were handed over."""
    failed: int
    """Items that raised, or whose worker died."""
    dropped: int
    """Items that an overflow dropped; new ones that were never taken in included."""
    cancelled: int
    """Items that were cancelled."""
    closed: bool
    """No more can be put."""
    head: int | None
    """The item that finished ones wait for, counted from 0; None: none do."""
    head_seconds: float
    """For how long they do."""
    buffered_bytes: int | None
    """What the results that wait to be taken weigh; None without `buffer_bytes`."""
    hot_key: Hashable | None
    """With `key`: the one of which most items wait for an earlier item of the same key; None: none does."""
    hot_key_waiting: int
    """How many of its items do."""
    accepted: int | None
    """With `journal`: items that all programs have put, what was dropped included; None without."""
    handed_over: int | None
    """With `journal`: outcomes that were handed over by all programs, failures included. What a taker has in his hands
    does not count yet."""
    engine: EngineStats
    """Its workers."""


def stats_of(core: SpinCore) -> SpinOffStats:
    """Numbers, now."""
    flow = core.flow
    with core.lock:
        head, seconds = core.look_at_head()
        hot, held = flow.hottest()
        return SpinOffStats(
            put=flow.admitted,
            unfinished=flow.admitted - flow.finished,
            waiting=flow.finished - flow.handed - flow.gone,
            taken=flow.handed + flow.gone - flow.dropped,
            failed=core.failed,
            dropped=core.dropped + core.refused_new,
            cancelled=flow.dropped - core.dropped,
            closed=flow.closed,
            head=head,
            head_seconds=seconds,
            buffered_bytes=None if core.ledger is None else core.ledger.total,
            hot_key=hot,
            hot_key_waiting=held,
            accepted=None if core.kept is None else core.kept.journal.accepted,
            handed_over=None if core.kept is None else core.kept.journal.handed,
            engine=core.engine.stats(),
        )
