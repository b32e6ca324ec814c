"""seeing.painter: what is looked at, how often, and what its errors do; most of it without its thread."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from procession import Pool
from procession.seeing import painter
from procession.seeing.painter import LONGEST, SHARE, TICK, Bar, Flag, Foreign, Painter
from procession.seeing.progress import OFF, Meter, Shown, Told, begin, check_progress, is_tqdm, makes_tqdm
from tests.seeing.fakes import FakeDisplay, FakeStream, FakeTqdm, Says


def nothing(*_: object) -> None:
    pass


class Hand(Painter):
    """A painter without a thread: what is ordered waits until `turn`."""

    def __init__(self) -> None:
        self.now = self.spent = self.price = 0.0
        super().__init__(lambda: self.now, self._paid)
        self._pen.acquire()

    def _paid(self) -> float:
        self.spent += self.price
        return self.spent

    def turn(self, now: float) -> float:
        """One turn at that time; returns when to look again."""
        self.now = now
        return self._turn(now)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    made = Hand()
    monkeypatch.setattr(painter, "_painter", made)
    return made


def bar_of(stream: FakeStream, display: FakeDisplay, hand: Hand, label: str = "work") -> Bar:
    bar = Bar(stream, label, display, Says())
    bar._pace.began = bar._pace.at = bar._pace.moved = 0.0
    bar._since = 0.0
    hand.order(bar)
    return bar


# ----------------------------------------------------------------------------------------------------------------- bars


def test_it_paints_what_has_changed_and_each_second_what_has_not(hand: Hand) -> None:
    stream, display = FakeStream(), FakeDisplay()
    bar_of(stream, display, hand)
    for tenth in range(1, 41):
        stream.done = 3 if tenth >= 5 else 0
        hand.turn(tenth / 10)
    assert len(display.live) == 1 + 1 + 3  # the first, the change, and each second since


def test_it_ends_by_itself_when_all_is_completed(hand: Hand) -> None:
    stream, display = FakeStream(), FakeDisplay()
    bar = bar_of(stream, display, hand)
    hand.turn(0.1)
    stream.done = 10
    hand.turn(2.0)
    assert not hand.watchers
    assert bar.gone
    assert display.over == ["work ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 10/10 100% 5.0/s 0:02"]
    assert display.live[-1] == []


def test_it_ends_with_its_stream_and_keeps_none_alive(hand: Hand) -> None:
    stream, display = FakeStream(), FakeDisplay()
    bar_of(stream, display, hand)
    stream.done = 4
    hand.turn(1.0)
    del stream
    gc.collect()
    hand.turn(2.0)
    assert not hand.watchers
    assert display.over == ["work ━━━━━━━━━━━━━━━━──────────────────────── 4/10 40% 2.0/s 0:02 stopped"]


def test_the_last_look_is_taken_when_it_is_frozen(hand: Hand) -> None:
    stream, display = FakeStream(), FakeDisplay()
    bar = bar_of(stream, display, hand)
    hand.turn(1.0)
    stream.done = 7
    bar.freeze()
    stream.done, stream.total = 0, 0  # what a cancelled stream's are
    bar.freeze()
    hand.turn(2.0)
    assert "7/10" in display.over[0]
    assert not hand.watchers


def test_one_that_is_ended_is_painted_before_its_time_with_the_others(hand: Hand) -> None:
    display = FakeDisplay()
    first, second = FakeStream(1), FakeStream(2)
    one, two = bar_of(first, display, hand, "one"), bar_of(second, display, hand, "two")
    hand.turn(0.1)
    hand.price = 0.0
    first.done = 5
    hand.end(one, wait=False)
    hand.now = 0.11
    hand._turn(50.0)
    assert display.over[0].startswith("one")
    assert "5/10" in display.over[0]
    assert hand.watchers == [two]
    hand.end(one, wait=True)  # it is gone: nobody waits
    hand.end(None, wait=False)
    hand._turn(50.0)
    assert [text.split()[0] for text in display.over] == ["one", "two"]


def test_what_is_slow_to_paint_is_painted_less_often(hand: Hand) -> None:
    stream, display = FakeStream(), FakeDisplay()
    bar_of(stream, display, hand)
    hand.price = 0.02
    assert hand.turn(0.1) == pytest.approx(0.1 + TICK), "the first is slow, as ever"
    assert hand.turn(1.1) == pytest.approx(1.1 + SHARE * 0.02)
    hand.price = 10.0
    hand.turn(5.0)
    assert hand.turn(10.0) == pytest.approx(10.0 + LONGEST)
    hand.price = 0.0
    assert hand.turn(20.0) == pytest.approx(20.0 + TICK)


@pytest.mark.parametrize("error", [OSError(32, "Broken pipe"), ValueError("closed"), RuntimeError("rich")])
def test_a_display_that_raises_is_left_and_that_is_said_once(hand: Hand, error: Exception) -> None:
    display, says = FakeDisplay(), Says()
    streams = [FakeStream(n) for n in range(3)]
    for stream in streams:
        hand.order(Bar(stream, "work", display, says))
    display.error = error
    hand.turn(1.0)
    assert not hand.watchers
    assert display.broken
    assert display.left == 1
    assert says.lines == [("the progress of streams cannot be shown any more", error)]


def test_a_stream_that_cannot_be_looked_at_is_let_go(hand: Hand) -> None:
    display, says = FakeDisplay(), Says()
    good, bad = FakeStream(1), FakeStream(2)
    for stream in (bad, good):
        hand.order(Bar(stream, "work", display, says))
    hand.turn(0.1)
    bad.numbers = {"nonsense": 1}
    good.done = 3
    hand.turn(0.2)
    assert len(hand.watchers) == 1
    assert len(says.lines) == 1
    assert "3/10" in display.live[-1][0]


# ------------------------------------------------------------------------------------------------------------ callables


def test_a_callable_is_called_by_who_takes_once_a_look_at_most(hand: Hand) -> None:
    """A million reports of a taker, and as many calls as there were looks that found something new."""
    told: list[tuple[int, int | None]] = []
    stream = FakeStream(total=None)
    meter = begin(lambda *each: told.append(each), stream, "work", nothing)
    assert meter
    looks = 7
    for look in range(1, looks + 1):
        hand.turn(look / 10)
        for _ in range(1000):
            stream.done += 1
            if stream.keen:
                meter.report()
        if look == 3:
            hand.turn(0.31)  # nothing new
    meter.close()
    assert len(told) <= looks + 2
    assert told[-1] == (looks * 1000, None)
    assert told == sorted(set(told))
    hand.turn(9.0)
    assert not hand.watchers


def test_who_sleeps_is_woken_to_call(hand: Hand) -> None:
    stream = FakeStream()
    meter = begin(nothing, stream, "work", nothing)
    hand.turn(0.1)
    assert (stream.keen, stream.called) == (False, 0)
    stream.done = 1
    hand.turn(0.2)
    hand.turn(0.3)
    assert (stream.keen, stream.called) == (True, 2)
    meter.report()
    hand.turn(0.4)
    assert (stream.keen, stream.called) == (False, 2)


def test_the_last_number_is_told_whatever_becomes_of_the_stream(hand: Hand) -> None:
    told: list[tuple[int, int | None]] = []
    stream = FakeStream(4)
    meter = begin(lambda *each: told.append(each), stream, "work", nothing)
    meter.freeze()
    stream.done = 0
    meter.close()
    meter.close()
    assert told == [(4, 10)]


def test_a_callable_of_a_stream_that_is_dropped_is_left_in_peace(hand: Hand) -> None:
    told: list[Any] = []
    stream = FakeStream(4)
    meter = begin(lambda *each: told.append(each), stream, "work", nothing)
    meter.drop()
    meter.close()
    hand.turn(1.0)
    assert told == []
    assert not hand.watchers


def test_a_callable_that_raises_is_not_called_again_and_that_is_said_once(hand: Hand) -> None:
    calls: list[int] = []
    says, error = Says(), LookupError("progress itself")

    def progress(done: int, total: int | None) -> None:
        calls.append(done)
        raise error

    stream = FakeStream(1)
    meter = begin(progress, stream, "work", says)
    meter.report()
    stream.done = 5
    meter.report()
    meter.close()
    assert calls == [1]
    assert len(says.lines) == 1
    assert says.lines[0][1] is error


def test_what_is_no_exception_comes_out_of_a_callable(hand: Hand) -> None:
    def progress(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    stream = FakeStream(1)
    meter = begin(progress, stream, "work", nothing)
    with pytest.raises(KeyboardInterrupt):
        meter.report()
    stream.done = 2
    with pytest.raises(KeyboardInterrupt):
        meter.close()


def test_one_thread_calls_at_a_time_and_the_last_number_is_not_lost(hand: Hand) -> None:
    """While one thread is in the callable, another ends the stream: the first one tells the last number, too."""
    told: list[int] = []
    inside, go_on = threading.Event(), threading.Event()

    def progress(done: int, total: int | None) -> None:
        told.append(done)
        if done == 1:
            inside.set()
            assert go_on.wait(30)

    stream = FakeStream(1)
    meter = begin(progress, stream, "work", nothing)
    thread = threading.Thread(target=meter.report)
    thread.start()
    assert inside.wait(30)
    stream.done = 10
    meter.close()
    assert told == [1]
    go_on.set()
    thread.join()
    assert told == [1, 10]


# ----------------------------------------------------------------------------------------------------------------- tqdm


def test_a_bar_like_tqdm_is_told_by_the_painter(hand: Hand) -> None:
    made: list[FakeTqdm] = []

    class Kept(FakeTqdm):
        def __init__(self, **words: Any) -> None:
            super().__init__(**words)
            made.append(self)

    stream = FakeStream(total=None)
    meter = begin(Kept, stream, "work", nothing)
    (tqdm,) = made
    hand.turn(0.1)
    assert (tqdm.total, tqdm.updates) == (None, 0)
    stream.done, stream.numbers = 3, {"errors": 2}
    hand.turn(0.2)
    hand.turn(0.3)
    assert (tqdm.n, tqdm.updates, tqdm.postfix) == (3, 1, {"errors": 2})
    stream.done = stream.total = 7
    hand.turn(0.4)
    assert (tqdm.n, tqdm.total, tqdm.closes) == (7, 7, 1)
    meter.close()
    hand.turn(0.5)
    assert tqdm.closes == 1


@pytest.mark.parametrize("how", ["close", "drop"])
def test_it_is_closed_when_the_stream_ends_early(hand: Hand, how: str) -> None:
    stream, tqdm = FakeStream(), FakeTqdm()
    meter = begin(tqdm, stream, "work", nothing)
    assert tqdm.total == 10
    assert isinstance(meter, Shown)
    stream.done = 4
    meter._waits = False
    getattr(meter, how)()
    hand.turn(0.1)
    assert (tqdm.n, tqdm.closes) == (4, 1)


def test_one_that_raises_is_told_no_more_and_that_is_said_once(hand: Hand) -> None:
    says, error = Says(), LookupError("tqdm")
    stream, tqdm = FakeStream(1), FakeTqdm(error=error)
    begin(tqdm, stream, "work", says)
    hand.turn(0.1)
    stream.done = 2
    hand.turn(0.2)
    assert not hand.watchers
    assert [each for _, each in says.lines] == [error]


def test_what_making_it_raises_is_the_callers() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        begin(partial(FakeTqdm, nonsense=1), FakeStream(), "work", nothing)


def test_what_is_like_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    import tqdm

    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)  # no thread of its own
    bar = tqdm.tqdm(disable=True)
    assert is_tqdm(bar)
    assert not makes_tqdm(bar)
    for makes in (tqdm.tqdm, partial(tqdm.tqdm, desc="x"), partial(partial(tqdm.tqdm), desc="x"), FakeTqdm):
        assert makes_tqdm(makes)
        assert not is_tqdm(makes)
    for call in (print, nothing, partial(print, 1), dict, lambda done, total: None, FakeStream().count, Mock()):
        assert not makes_tqdm(call)
        assert not is_tqdm(call)


# ----------------------------------------------------------------------------------------------------------- its thread


def test_its_thread_ends_with_the_last_and_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter, "_painter", made := Painter())
    for _ in range(3):
        stream, display = FakeStream(), FakeDisplay()
        meter = Shown(bar := Bar(stream, "work", display, nothing), painter.end, waits=True)
        painter.watch(bar)
        stream.done = 6
        meter.close()
        assert "6/10" in display.over[0]
        assert bar.gone
    while made._pen.locked():
        threading.Event().wait(0.01)
    assert not [each for each in threading.enumerate() if each.name == "procession-progress"]


def test_many_threads_begin_and_end_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter, "_painter", Painter())
    display = FakeDisplay()

    def work() -> None:
        for n in range(30):
            stream = FakeStream(n % 10)
            painter.watch(bar := Bar(stream, "work", display, nothing))
            painter.end(bar, wait=n % 3 == 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    painter.end(None, wait=True)
    assert len(display.over) == 120


def test_a_display_that_blocks_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter, "_painter", Painter())
    monkeypatch.setattr(painter, "PATIENCE", 0.05)
    go_on = threading.Event()

    class Blocked(FakeDisplay):
        def paint(self, live: list[Bar], over: list[Bar], now: float) -> None:
            assert go_on.wait(60)

    stream = FakeStream()
    painter.watch(bar := Bar(stream, "work", Blocked(), nothing))
    Shown(bar, painter.end, waits=True).close()
    assert not go_on.is_set()
    go_on.set()


def test_who_ends_a_bar_on_the_painters_thread_does_not_wait_for_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter, "_painter", Painter())
    monkeypatch.setattr(painter, "PATIENCE", 60.0)
    display, ended = FakeDisplay(), threading.Event()
    other_stream, stream = FakeStream(), FakeStream()
    other = Bar(other_stream, "other", display, nothing)

    class Ends(FakeTqdm):
        def close(self) -> None:
            painter.end(other, wait=True)  # as a finalizer may
            ended.set()

    painter.watch(other)
    painter.watch(Foreign(stream, Ends(), nothing))
    stream.done = 10
    assert ended.wait(20)
    painter.end(other, wait=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter, "_painter", Painter())
    stream, display = FakeStream(), FakeDisplay()
    painter.watch(bar := Bar(stream, "work", display, nothing))
    monkeypatch.setattr(painter, "PATIENCE", 60.0)
    meter = Shown(bar, painter.end, waits=True)
    while not painter._painter.watchers:
        threading.Event().wait(0.01)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            meter.close()
            os.write(write, b"gone" if bar.gone and not painter._painter.watchers else b"here")
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    assert os.read(read, 4) == b"gone"
    os.close(read)
    meter.close()


# --------------------------------------------------------------------------------------------------------------- words


def test_off() -> None:
    assert begin(False, FakeStream(), "work", nothing) is OFF
    assert not OFF
    methods: list[Callable[[], None]] = [OFF.report, OFF.freeze, OFF.close, OFF.drop, OFF.interrupt]
    for each in methods:
        each()
    assert isinstance(OFF, Meter)


@pytest.mark.parametrize("bad", [None, 1, 0, "yes", object()])
def test_bad_words(bad: Any) -> None:
    with pytest.raises(ValueError, match="progress must be True, False, a callable"):
        check_progress(bad)


async def tell(done: int, total: int | None) -> None:
    """Nobody would await it."""


async def tell_some(done: int, total: int | None) -> AsyncIterator[int]:
    yield done


class Teller:
    async def __call__(self, done: int, total: int | None) -> None:
        """The same."""

    async def tell(self, done: int, total: int | None) -> None:
        """The same."""


@pytest.mark.parametrize("bad", [tell, tell_some, Teller(), Teller().tell, partial(tell), partial(Teller())])
def test_an_async_callable_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="plain callable progress"):
        check_progress(bad)
    with Pool(backend="inline") as pool, pytest.raises(TypeError, match="nobody awaits"):
        pool.imap(abs, [1], progress=bad)


def test_good_words() -> None:
    for good in (True, False, print, FakeTqdm, FakeTqdm(), partial(FakeTqdm)):
        check_progress(good)


def test_told_and_flag_are_what_a_callable_has(hand: Hand) -> None:
    meter = begin(nothing, stream := FakeStream(), "work", nothing)
    hand.turn(0.1)
    assert isinstance(meter, Told)
    assert [type(each) for each in hand.watchers] == [Flag]
    del stream
