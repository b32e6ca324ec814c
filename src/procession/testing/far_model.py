"""What is between a driver and a worker on a cluster, in memory: the way, the agent, the driver's own half.

The driver's half is the real one: `FarChannel`, and of `FarDriver` what decides. The agent's is a model of agent.py, at
the grain at which a call, a death or a report can come between two of its steps:

    a call     that the driver makes is on its way until it `comes`, in any order; but all wait there for the worker's
               `start`
    withdraw   reads back the tokens that lie there, and has the leases that are still on their way come without any
    look       marks what has been published by then
    lease      brings tokens and leases; it has landed when all of them were left behind
    reap       the agent has heard that its worker is gone, and counts its tokens

What a worker has published, and what its agent answers, is one line (`FarProcess.results`), from which the driver hears
one after another, or several together: reports are taken in the order in which they were made (`Station`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from procession.testing.model import DONE, ENDED, FAILED, Phase, Process, Result

if TYPE_CHECKING:
    from procession.driver.agent_wire import Report
    from procession.driver.far_channel import FarChannel

BEGUN, BACK, LANDED, LOOKED, GONE, NOT_STARTED = range(5, 11)
"""Of what stands in `FarProcess.results` beside what a worker publishes: what its agent answers, each (kind, number,
latest lease that had come)."""

Call = tuple[Any, ...]
"""(name, worker, ...), as an agent is called."""

THEN = {"start": "begun", "lease": "_landed", "withdraw": "_was_withdrawn", "look": "_was_looked"}
"""What of a `FarChannel` is called with the answer."""


class FarProcess(Process):
    """A worker process, and what its agent knows of it."""

    __slots__ = ("come", "ended", "leases", "overlong", "revoked", "since", "there", "waiting")

    def __init__(self) -> None:
        super().__init__()
        self.there = False  # its start has come
        self.ended = False  # its agent knows that it is gone
        self.come = self.revoked = self.leases = 0
        self.waiting = False  # the lease's call
        self.since = -1  # outcomes that it has published since it was looked at, at least so many as were not heard
        self.overlong = False  # when it is looked at next, it has been looked at for as long as its item may run

    def copy(self) -> FarProcess:
        """Another one, the same."""
        new = super().copy()
        assert isinstance(new, FarProcess)
        new.there, new.ended, new.come, new.revoked = self.there, self.ended, self.come, self.revoked
        new.leases, new.waiting, new.overlong, new.since = self.leases, self.waiting, self.overlong, self.since
        return new

    def answer(self, kind: int, number: int = 0) -> None:
        """Its agent does."""
        self.results += ((kind, number, self.come),)

    def take_call(self, call: Call) -> None:
        """It has come; see agent.py."""
        match call:
            case ("start", *_):
                self.there = True
                self.answer(BEGUN)
            case _ if self.ended:
                return  # it is answered, behind the end of the worker, and nobody heeds that
            case ("lease", _, number, marks, leases, *data):
                assert not self.waiting, "one lease at a time"
                self.come = number
                if number > self.revoked:
                    self.tokens += tuple(marks)
                self.leases, self.waiting = leases, True
                self.frames += tuple(data)
            case ("withdraw", _, number):
                self.revoked = max(self.revoked, number)
                count, self.tokens = len(self.tokens), ()
                self.answer(BACK, count)
            case ("look", *_):
                self.since = 0
                self.answer(LOOKED)
            case ("stop", *_):
                self.frames += (None,)
            case ("kill", *_):
                self.condemned = True
            case ("ask", _, number, item):
                assert number != self.come or self.running is None or self.running[0] == item, (
                    f"item {item} is asked to end, and {self.running} hears it"
                )

    @property
    def unheard(self) -> int:
        """Outcomes that the driver has not heard."""
        return sum(result[0] in (DONE, FAILED) for result in self.results)

    def published(self, before: Sequence[Result]) -> None:
        """What there is beside these results is new: its agent counts the leases that were left behind."""
        new = [result[0] for result in self.results[len(before) :]]
        self.leases -= new.count(ENDED)
        if self.since >= 0:
            self.since += new.count(DONE) + new.count(FAILED)

    def land(self, together: bool) -> None:
        """All that came is left behind, and the driver hears of it, `together` with what was said last."""
        self.waiting = False
        self.answer(LANDED, together)

    def end(self, kind: int = GONE, number: int = 0) -> None:
        """Its agent knows that it is gone: what it has published was read before; now its tokens are counted."""
        self.ended, self.phase, self.waiting = True, Phase.DEAD, False
        count, self.tokens = len(self.tokens), ()
        self.answer(kind, count if kind == GONE else number)

    def wipe(self) -> None:
        """Its agent is gone, and it with it."""
        self.phase, self.ended, self.waiting, self.results, self.tokens = Phase.DEAD, True, False, (), ()


class Way:
    """To one agent and back; as `Station` and `Seat` have it."""

    def __init__(self) -> None:
        self.channel: FarChannel | None = None
        self.calls: tuple[Call, ...] = ()
        self.lost: BaseException | None = None  # the driver knows that it is
        self.gone = False  # the agent is
        self.released = False

    @property
    def seat(self) -> Way:
        """See `Station`."""
        return self

    def copy(self) -> Way:
        """Another one, the same."""
        new = Way()
        new.calls, new.lost, new.gone, new.released = self.calls, self.lost, self.gone, self.released
        return new

    @property
    def placed(self) -> bool:
        """See `Seat`: the start of its worker has come."""
        return not any(call[0] == "start" for call in self.calls)

    def lease(self, *args: Any) -> Call:
        """See `Seat`."""
        return ("lease", *args)

    def ask(self, name: str, *args: Any, then: Callable[[Report], object] | None = None) -> None:
        """See `Station`."""
        self.await_((name, then.__self__.wid) if name == "look" else (name, *args), then)  # type: ignore[union-attr]

    def await_(self, call: Call, then: Callable[[Report], object] | None) -> None:
        """See `Station`."""
        assert THEN.get(call[0]) == (None if then is None else then.__name__), f"{call[0]} is answered to {then}"
        if call not in self.calls:  # to kill twice is to kill
            self.calls += (call,)

    def release(self) -> None:
        """See `Seat`."""
        self.released = True
