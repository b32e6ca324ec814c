"""What a SpinOff's journal has from earlier programs: what was not handed over, and what an id stands for."""

from __future__ import annotations

from _contextvars import copy_context
from typing import TYPE_CHECKING, Any

from procession.backends import tasks
from procession.errors import JournalError
from procession.journal.outcomes import Recalled
from procession.journal.values import PENDING
from procession.spinoff_promises import Kept
from procession.types import Raised

if TYPE_CHECKING:
    from procession.journal.queued import Row
    from procession.spinoff_journal import JournalSpin


def take_in(core: JournalSpin) -> None:
    """What earlier programs have left, before anything is put: law 4 of spinoff_journal.py. Raises JournalError."""
    try:
        _take_in(core)
    except BaseException:
        core.file_gone = True
        core.cancel()
        raise


def _take_in(core: JournalSpin) -> None:
    done: list[Kept] = []
    outcomes: list[Any] = []
    for row in core.journal.pending():
        if row.outcome is PENDING:
            item = row.item
            made, error = core.make_numbered(row.seq, item)
            made.seq, made.known_by = row.seq, row.id
            core.admit_known(made, error, None if core.key is None else core.lane(item))
            continue
        made = _finished(core, row)
        made.sink = core
        if core.tells_items:
            place = None if core.places is None else row.seq
            made.item, made.place, made.context = row.item, place, copy_context()
        with core.lock:
            made.index = core.flow.admit()
            core.open[made.index] = made
        done.append(made)
        outcomes.append(_loaded(row))
    if done:
        core.tell_known(done, outcomes)
    core.pump()


def find(core: JournalSpin, id: Any) -> Kept | None:
    """The future of what was put under this id: the one that there is, or one that has its outcome."""
    known = core.known.get(id)
    row = None if known is not None else core.journal.find(id)
    if row is None or row.outcome is PENDING:  # that is being withdrawn
        return known
    made = _finished(core, row)
    tasks.resolve([made], [_loaded(row)])
    return made


def _finished(core: JournalSpin, row: Row) -> Kept:
    """The future of one that has an outcome, and is to get it."""
    made = core.future_type(core.function, None)
    assert isinstance(made, Kept)
    made.seq, made.known_by, made.posted, made.recorded = row.seq, row.id, True, True
    return made


def _loaded(row: Row) -> Any:
    """The outcome of a row. Raises JournalError when it cannot be read."""
    outcome = row.outcome
    if isinstance(outcome, Recalled):
        outcome = outcome.load()
        if outcome.__class__ is Raised and isinstance(outcome.error, JournalError):
            raise outcome.error
    return outcome
