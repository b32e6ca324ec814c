"""An imap with a journal: what has an outcome there does not run, and an outcome is handed over when it is kept there.

Laws
1. An outcome goes to the journal when it arrives, in the engine's thread, and to the flow when it is committed, in the
   journal's. So nobody gets what a crash would take back, and a slow item in front keeps no other from being kept.
2. An item that the journal knows stands in the line as one that has its outcome already (`starts.Known`): it keeps its
   place in the order, among the items of its key, and within the bounds, and never starts.
3. Whatever the journal refuses, while items are pulled or while outcomes are written, ends the stream at that place,
   whatever `on_error` says (`fatal`); what came before it is handed over. At the call, the call raises.
4. What never ran is not kept: arguments that cannot be sent, an `item_id` that raises, items that were cancelled.
5. The journal is closed when the stream is over, however; what was posted until then is still committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from procession.backends.unstruck import unstruck
from procession.errors import JournalError
from procession.journal import Journal, check_words, settings_of
from procession.journal.identity import identity_of
from procession.journal.mapped import MapJournal
from procession.journal.outcomes import Recalled
from procession.journal.refusals import shown
from procession.journal.values import PENDING
from procession.starts import Known
from procession.stream_course import Course
from procession.types import Raised
from procession.weighing import weigh

if TYPE_CHECKING:
    from collections.abc import Hashable

    from procession.on_error import OnError


class Keeping:
    """The words `journal` and `item_id` of an imap, and what a journal of it belongs to."""

    __slots__ = ("identity", "item_id", "settings")

    def __init__(
        self,
        journal: str | os.PathLike[str] | Journal | None,
        item_id: Callable[..., Hashable] | None,
        fn: Callable[..., Any],
        seed: int | None,
        captures: bool,
    ) -> None:
        """Raises TypeError or ValueError, naming the word."""
        check_words(journal, item_id)
        self.settings = settings_of(journal)
        self.identity = identity_of(fn, seed, captures)
        self.item_id = item_id

    def open(self, course: Course, failures: bool) -> None:
        """Open it for this stream; `failures`: those of earlier runs are handed over again, and not run again."""
        assert isinstance(course, JournalledCourse)
        item_id = self.item_id
        known_by = item_id if item_id is None or course.single else lambda args: item_id(*args)
        settings, identity = self.settings, self.identity
        unstruck(lambda: course.keep_in(MapJournal.open(settings, identity, known_by, failures)))


class JournalledCourse(Course):
    """What is behind such a stream."""

    journal: MapJournal
    fatal: JournalError | None = None
    """Ends the stream at its place."""
    lazy = True
    _ended = False
    _marks: dict[int, tuple[Any, Any]]  # of each item that has no outcome: how the journal knows it, and the item

    def keep_in(self, journal: MapJournal) -> None:
        """From now on; before anything is pulled. By a thread that no signal strikes."""
        self._marks = {}
        self.knows = True
        self.journal = journal
        if self._ended:  # whoever called was struck meanwhile
            journal.close("interrupted", wait=False)

    # -- taking in -------------------------------------------------------------------------------------------------

    def _chunks(self, first: int, items: Any) -> list[Any]:
        found = self._known(first, items)
        starts: list[Any] = []
        for pending, group in groupby(range(len(items)), key=lambda at: found[at] is PENDING):
            places = list(group)
            low, high = places[0], places[-1] + 1
            if pending:
                starts += super()._chunks(first + low, items[low:high])
                continue
            outcomes = found[low:high]
            starts.append(Known(first + low, outcomes))
            if self.args is not None:
                calls = dict(zip(range(first + low, first + high), self._calls(items[low:high]), strict=True))
                self.args.update((at, calls[at]) for at, each in zip(calls, outcomes, strict=True) if _raised(each))
        return starts

    def _known(self, first: int, items: Any) -> list[Any]:
        """Of each item its outcome, or PENDING."""
        if self.fatal is not None:
            return [Raised(self.fatal)] * len(items)
        found: list[Any] = [PENDING] * len(items)
        journal, keys, places = self.journal, [], []
        for at, item in enumerate(items):
            try:
                keys.append(journal.key_of(first + at, item))
                places.append(at)
            except Exception as error:  # nobody knows which item it is
                found[at] = Raised(error)
        try:
            for at, outcome in zip(places, journal.recall(first, keys, items), strict=True):
                found[at] = outcome
                if _raised(outcome) and isinstance(outcome.error, JournalError) and not journal.own_ids:
                    self._refuse(outcome.error)  # another item than there was at its place
                    return [*found[:at], *[outcome] * (len(items) - at)]
        except JournalError as error:
            self._refuse(error)
            return [Raised(error)] * len(items)
        self.recalled += sum([found[at] is not PENDING for at in places])
        self._marks.update(
            (first + at, (key, items[at])) for at, key in zip(places, keys, strict=True) if found[at] is PENDING
        )
        return found

    def tell(self, known: Known) -> None:
        """See `Handover.tell`: they weigh what they weigh."""
        with self.lock:
            fresh = not known.told
            super().tell(known)
            if fresh and self.ledger is not None:
                for index, outcome in enumerate(known.outcomes, known.index):
                    self._came(index, weigh(outcome), known.index, known.outcomes)
        if fresh:
            self._forget(known.index, known.size)

    # -- outcomes --------------------------------------------------------------------------------------------------

    def arrived(self, start: int, outcomes: list[Any]) -> None:
        """See `Handover.arrived`; law 1."""
        marks = self._marks
        entries = []
        for index, outcome in enumerate(outcomes, start):
            key, item = marks[index]
            entries.append((key, outcome, partial(shown, item)))
        self.journal.record(entries, partial(self._kept, start), partial(self._lost, start, len(outcomes)))
        self._forget(start, len(outcomes))

    def _forget(self, start: int, count: int) -> None:
        for index in range(start, start + count):
            self._marks.pop(index, None)

    def _kept(self, start: int, outcomes: list[Any]) -> None:
        """The journal has them; its thread."""
        if not self.cancelled:
            super().arrived(start, outcomes)

    def _lost(self, start: int, count: int, error: JournalError) -> None:
        """It has not, and will have no others; its thread."""
        self._refuse(error)
        if not self.cancelled:
            super().arrived(start, [Raised(self.fatal or error)] * count)

    def _refuse(self, error: JournalError) -> None:
        if self.fatal is None:
            # Without the frames that it has come through: they hold what the stream holds, when it is closed already.
            self.fatal = self.refusal = error.with_traceback(None)
            self.exhausted = True

    def load(self, outcome: Any) -> Any:
        """See `Course.load`; one that cannot be read (any more) ends the stream."""
        if outcome.__class__ is not Recalled:
            return outcome
        value = outcome.load()
        if _raised(value) and isinstance(value.error, JournalError):
            self._refuse(value.error)
        return value

    def decide(self, error: BaseException, on_error: OnError) -> OnError:
        """See `Course.decide`; law 3."""
        return "raise" if error is self.fatal else on_error

    def over(self, how: str) -> None:
        """See `Handover.over`; law 5. A finalizer, which may be in any thread, does not wait."""
        super().over(how)
        self._let_go(how, wait=how != "dropped")

    def __del__(self) -> None:
        self._let_go("dropped", wait=False)  # a signal may have struck before anybody had the stream

    def _let_go(self, how: str, wait: bool) -> None:
        self._ended = True
        journal: MapJournal | None = getattr(self, "journal", None)
        if journal is not None:
            journal.close(how, wait)


@cache
def journalled(kind: type[Course]) -> type[JournalledCourse]:
    """That kind of course, with a journal."""
    return cast("type[JournalledCourse]", type(f"Journalled{kind.__name__}", (JournalledCourse, kind), {}))


def _raised(outcome: Any) -> bool:
    return outcome.__class__ is Raised


__all__ = ["JournalledCourse", "Keeping", "journalled"]
