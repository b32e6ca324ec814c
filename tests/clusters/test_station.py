"""The order of an agent's reports, and the loss of its place (`Station`), with a seat that answers as it is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from procession.backends.cluster import SeatLost
from procession.driver.agent_wire import Report
from procession.driver.far_channel import FarChannel, Station


class ScriptedSeat:
    """Calls wait until the test answers them."""

    def __init__(self) -> None:
        self.where = "here"
        self.calls: list[tuple[str, tuple[Any, ...], Future[Any]]] = []
        self.released = 0

    def call(self, name: str, *args: Any) -> Future[Any]:
        """See `Seat`."""
        future: Future[Any] = Future()
        self.calls.append((name, args, future))
        return future

    def lease(self, *args: Any) -> Future[Any]:
        """See `Seat`."""
        return self.call("lease", *args)

    def release(self) -> None:
        """See `Seat`."""
        self.released += 1

    def future(self, name: str) -> Future[Any]:
        """Of the oldest call of this name that has no answer."""
        return next(future for called, _, future in self.calls if called == name and not future.done())


class Taking:
    """A channel that only remembers."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def take(self, report: Report) -> None:
        self.taken.append(report.number)


class Desk:
    """A station, its seat, and what the driver is told; what is posted is done when the test says so."""

    def __init__(self) -> None:
        self.seat = ScriptedSeat()
        self.posted: list[Callable[[], object]] = []
        self.lost: list[Station] = []
        self.stray: list[int] = []
        self.station = Station(
            self.seat, self.posted.append, self.lost.append, lambda _, report: self.stray.append(report.number)
        )
        self.channel = Taking()
        self.station.channel = self.channel  # type: ignore[assignment]

    def drive(self) -> None:
        """As the driver's thread does."""
        while self.posted:
            self.posted.pop(0)()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_reports_are_taken_in_the_order_of_their_numbers(desk: Desk) -> None:
    then: list[int] = []
    for name in ("look", "withdraw", "stop"):
        desk.station.ask(name, then=lambda report: then.append(report.number))
    for name, number in (("stop", 3), ("withdraw", 2)):
        desk.seat.future(name).set_result(Report(number, []))
    desk.drive()
    assert desk.channel.taken == then == []
    desk.seat.future("look").set_result(Report(1, []))
    desk.drive()
    assert desk.channel.taken == then == [1, 2, 3]


def test_each_is_taken_before_its_own_answer_and_after_those_before_it(desk: Desk) -> None:
    seen: list[tuple[int, list[int]]] = []
    for name in ("look", "withdraw"):
        desk.station.ask(name, then=lambda report: seen.append((report.number, list(desk.channel.taken))))
    desk.seat.future("withdraw").set_result(Report(2, []))
    desk.seat.future("look").set_result(Report(1, []))
    desk.drive()
    assert seen == [(1, [1]), (2, [1, 2])]


def test_an_empty_report_is_out_of_the_order(desk: Desk) -> None:
    desk.station.listen()
    desk.seat.future("news").set_result(Report(0, []))
    desk.drive()
    assert desk.channel.taken == []
    assert [name for name, _, _ in desk.seat.calls] == ["news", "news"]


def test_it_listens_again_after_each_report(desk: Desk) -> None:
    desk.station.listen()
    for number in (1, 2):
        desk.seat.future("news").set_result(Report(number, []))
        desk.drive()
    assert desk.channel.taken == [1, 2]
    assert len([name for name, _, _ in desk.seat.calls if name == "news"]) == 3


def test_what_comes_without_a_worker_is_stray(desk: Desk) -> None:
    desk.station.channel = None
    desk.station.ask("look")
    desk.seat.future("look").set_result(Report(1, []))
    desk.drive()
    assert desk.stray == [1]


def test_a_loss_is_told_once_and_is_the_last(desk: Desk) -> None:
    desk.station.listen()
    desk.station.ask("look")
    desk.station.ask("withdraw")
    desk.seat.future("news").set_exception(SeatLost("killed"))
    desk.seat.future("look").set_exception(SeatLost("killed"))
    desk.seat.future("withdraw").set_result(Report(1, []))
    desk.drive()
    assert desk.lost == [desk.station]
    assert isinstance(desk.station.lost, SeatLost)
    assert desk.channel.taken == []


def test_a_call_that_is_cancelled_is_a_loss(desk: Desk) -> None:
    desk.station.listen()
    desk.seat.future("news").cancel()
    desk.drive()
    assert desk.lost == [desk.station]
    assert str(desk.station.lost) == "the call was cancelled"


def test_nothing_is_done_but_on_the_drivers_thread(desk: Desk) -> None:
    desk.station.ask("look")
    desk.seat.future("look").set_result(Report(1, []))
    assert desk.channel.taken == []
    assert len(desk.posted) == 1


# -------------------------------------------------------------------------------------------------------- a channel


class Hearing:
    """Who is told; only what these tests need."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., object]:
        return lambda *args: self.told.append((name, *args))

    def boards_of(self, _station: Station) -> bytes:
        return b""


def test_the_answer_of_a_withdrawal_is_not_told_of_a_later_worker(desk: Desk) -> None:
    hears = Hearing()
    first = FarChannel(0, None, hears, desk.station)  # type: ignore[arg-type]
    first.is_ready = first._out = True
    first.withdraw()
    first.agent_lost("for the test")
    second = FarChannel(1, None, hears, desk.station)  # type: ignore[arg-type]
    hears.told.clear()
    desk.seat.future("withdraw").set_result(Report(1, [], 3, 0))
    desk.drive()
    assert hears.told == []
    assert second.outbox == first.outbox


def test_why_a_worker_did_not_start_is_told_as_its_agent_has_said_it(desk: Desk) -> None:
    import pickle

    from procession.driver.agent_wire import FAILED

    hears = Hearing()
    channel = FarChannel(0, None, hears, desk.station)  # type: ignore[arg-type]
    end = (0, None, None, 0, "", None, None)
    channel.take(Report(1, [(FAILED, pickle.dumps(OSError("no memory")), True, end)]))
    ((name, _, error, again),) = hears.told
    assert (name, type(error), str(error), again) == ("not_started", OSError, "no memory", True)


def test_a_reason_that_cannot_be_rebuilt_is_a_reason_still(desk: Desk) -> None:
    from procession.driver.agent_wire import FAILED

    hears = Hearing()
    channel = FarChannel(0, None, hears, desk.station)  # type: ignore[arg-type]
    channel.take(Report(1, [(FAILED, b"nothing", False, (0, None, None, 0, "", None, None))]))
    ((_, _, error, _),) = hears.told
    assert "cannot be shown here" in str(error)


def test_nothing_is_sent_to_a_worker_that_is_gone(desk: Desk) -> None:
    """The time is told before it is counted what it never took, and that may send it something."""
    channel = FarChannel(0, None, Hearing(), desk.station)  # type: ignore[arg-type]
    channel.is_ready = True
    channel.agent_lost("for the test")
    channel.send(0, [], 1)
    assert desk.seat.calls == []
    assert channel.take_outbox() == 1


def test_nothing_is_withdrawn_from_a_worker_that_is_gone(desk: Desk) -> None:
    """Its loss is about to be told, and brings that back: who waits for it is answered then, when all is done."""
    hears = Hearing()
    channel = FarChannel(0, None, hears, desk.station)  # type: ignore[arg-type]
    channel.agent_lost("for the test")
    channel.send(0, [], 1)
    hears.told.clear()
    channel.withdraw()
    assert hears.told == []
    assert channel.take_outbox() == 1
