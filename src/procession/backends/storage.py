"""What a CallFuture keeps, and how it gets its outcome: here, or in C with the fast lane (`_native/future.c`)."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING

from procession._native import native
from procession.backends.condition import NOBODY, SETTLED, FutureCondition
from procession.types import Raised

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

    from procession.backends.base import Function
    from procession.backends.roles import FastWay, LeasedCanceller, Sink
    from procession.core.rules import Rules


class PlainStorage:
    """Class attributes are the state of a fresh one: making one then costs two assignments."""

    _state: str = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _cond: FutureCondition | None = None
    _waiters: Any = NOBODY
    _owner: LeasedCanceller | None = None
    _doomed: bool = False  # it will be cancelled as soon as its Condition can be had
    sink: Sink | None = None
    _lane: FastWay | None = None
    wid: int | None = None
    started: bool | None = False
    rules: Rules | None = None
    born: int = 0  # when it was made, in ns, if somebody wants to know (tapping.py)
    function: Function
    body: Any
    index: int
    """Of a call of a flow: which of its items."""
    item: Any
    """The item itself, where an on_error callable may ask for it."""


def settle_plainly(futures: Iterable[Any], outcomes: list[Any]) -> list[Any]:
    """Give each future its outcome, under the lock of `tasks`; returns those of which somebody must be told.

    One that is done has got its outcome from its caller, who fetched it; a doomed one is cancelled by its own consent.
    """
    watched: list[Any] = []
    for future, outcome in zip(futures, outcomes, strict=True):
        if future._state is FINISHED or future._doomed:
            continue
        if outcome.__class__ is Raised:
            future._exception = outcome.error
        else:
            future._result = outcome
        future.body = None
        if future._cond is None:
            future._state = FINISHED
            if future.sink is not None:
                watched.append(future)
        else:
            watched.append(future)
    return watched


def _settle_in_c(futures: Iterable[Any], outcomes: list[Any]) -> list[Any]:
    settled: list[Any] = native.resolve(futures if type(futures) is list else list(futures), outcomes)
    return settled


if TYPE_CHECKING:

    class Storage(PlainStorage):
        """Either of them."""

    settle = settle_plainly
elif native is None:
    Storage, settle = PlainStorage, settle_plainly
else:
    native.set_names(
        *(PENDING, RUNNING, FINISHED, CANCELLED_AND_NOTIFIED, Raised),
        *(FutureCondition, SETTLED, NOBODY),
    )
    Storage, settle = native.Storage, _settle_in_c

__all__ = ["PlainStorage", "Storage", "settle", "settle_plainly"]
