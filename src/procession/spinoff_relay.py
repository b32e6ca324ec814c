"""What brings the outcomes of calls to a SpinOff's journal."""

from __future__ import annotations

from concurrent.futures._base import FINISHED
from typing import TYPE_CHECKING, Any

from procession.types import Raised

if TYPE_CHECKING:
    from procession.spinoff_journal import JournalSpin
    from procession.spinoff_promises import Kept


class Relay:
    """The sink of the calls: takes their outcomes to the journal. They may be told several times, by anybody."""

    def __init__(self, core: JournalSpin) -> None:
        self._core = core

    def settled(self, futures: list[Any]) -> None:
        """See `tasks.Sink`."""
        core = self._core
        ended: list[Kept] = []
        outcomes: list[Any] = []
        gone: list[Kept] = []
        with core.lock:
            for call in futures:
                promise: Any = core.open.get(call.index)
                if promise is None or promise.posted or promise.run_by is not call:
                    continue
                if call._state is not FINISHED:
                    if not promise.cancelling:
                        gone.append(promise)
                    continue
                promise.tries = call.tries
                ended.append(promise)
                outcomes.append(call._result if call._exception is None else Raised(call._exception))
        if ended:
            core.keep(ended, outcomes)
        if gone:
            core.withdraw(gone)
