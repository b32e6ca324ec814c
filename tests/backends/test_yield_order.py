"""What a generator has yielded is told before the outcome of its turn, however that comes (`Hears.streaming`).

A worker by hand: between the channel's look at the pipe and its look at the ring, or the page, it yields something, by
the pipe, and then publishes the outcome of the turn.
"""

from __future__ import annotations

import marshal
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from procession.backends.channel import Channel
from procession.backends.channel_fast import FastChannel
from procession.transport import frames, page

NUMBER = 7


class Heard:
    """What was told, in order."""

    beside = (-1, -1)

    def __init__(self, streaming: bool) -> None:
        self.streaming = streaming
        self.told: list[Any] = []

    def yielded(self, number: int, place: int, value: Any) -> None:
        self.told.append((number, place, value))

    def calls_done(self, wid: int, outcomes: list[Any]) -> None:
        self.told.append(outcomes)

    def ready(self, wid: int) -> None:
        self.told.append("ready")

    def lease_ended(self, wid: int, items: int, busy_ns: int) -> None:
        self.told.append("lease ended")

    def show_output(self) -> None:
        """Nothing was printed."""


class Hand:
    """A worker's end of the result pipe; stands for its ring and its page as well."""

    hot = False
    taken = 0

    def show_first(self, _show: object) -> None:
        """Nothing was printed."""

    def __init__(self, size: int) -> None:
        self.fd, self._end = os.pipe()
        os.set_blocking(self.fd, False)
        self.value = "x" * size
        self.left = True
        self.words = {page.GENERATION: 1}

    def publish(self) -> bool:
        """Once: yield, and then the outcome is there."""
        now, self.left = self.left, False
        if now:
            head = frames.YIELD_HEAD.pack(NUMBER, 0, page.MARSHALLED)
            os.write(self._end, frames.frame(frames.YIELD, head + marshal.dumps(self.value)))
        return now

    def take(self, _merges: bool) -> list[Any]:
        """Of the ring."""
        return [(frames.CALLS, [0], False)] if self.publish() else []

    def will_show(self) -> bool:
        return False

    def outcomes(self, _generation: int, _peeked: int) -> tuple[int, list[Any]]:
        """Of the page; what is sent through the pipe a moment later is there then, too."""
        if not self.publish():
            return frames.CALLS, []
        head = frames.OUTCOMES_HEAD.pack(1, frames.CALLS)
        os.write(self._end, frames.frame(frames.OUTCOMES, head + b"\x80\x05]\x94K\x00a."))
        os.write(self._end, frames.frame(frames.LEASE_END, frames.LEASE_TALLY.pack(1, 1)))
        return frames.CALLS, [(page.INTEGER, 0)]

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._end)


@pytest.fixture(params=[10, 50_000], ids=["small", "large"])
def hand(request: pytest.FixtureRequest) -> Iterator[Hand]:
    made = Hand(request.param)
    yield made
    made.close()


def channel(kind: Any, hand: Hand, heard: Heard) -> Any:
    """One of this kind, of which only that is there which reads."""
    made = kind.__new__(kind)
    made.wid, made._hears, made._reader = 0, heard, frames.FrameReader(hand.fd)
    made._generation = made._peeked = 0
    made.page = made.ring = hand
    made._is_ready, made.merges, made._frames, made._late, made._piped = True, False, [], deque(), deque()
    made._bells = 0
    return made


def expected(hand: Hand) -> list[Any]:
    return [(NUMBER, 0, hand.value), [0]]


def test_by_the_ring(hand: Hand) -> None:
    heard = Heard(streaming=True)
    made = channel(FastChannel, hand, heard)
    made.take(made.read())
    assert heard.told == expected(hand)


def test_by_the_page(hand: Hand) -> None:
    heard = Heard(streaming=True)
    made = channel(Channel, hand, heard)
    made.peek()
    assert heard.told == [*expected(hand), "lease ended"]


class Quick(Hand):
    """Goes on while it is read: yields once more, publishes, and rings, right behind the look at the ring."""

    bells_wanted = 0

    def __init__(self, *first: bytes) -> None:
        super().__init__(10)
        self.ring: list[Any] = []
        self.turns = [list(first), [self.yielded(1)], [self.yielded(2)]]

    def yielded(self, place: int) -> bytes:
        head = frames.YIELD_HEAD.pack(NUMBER, place, page.MARSHALLED)
        return frames.frame(frames.YIELD, head + marshal.dumps(self.value))

    def wants(self, _wanted: bool) -> None:
        self.bells_wanted += 1

    def take(self, _merges: bool) -> list[Any]:
        found, self.ring = self.ring, []
        if self.turns:
            for each in (*self.turns.pop(0), frames.frame(frames.BELL)):
                os.write(self._end, each)
            self.ring.append((frames.CALLS, [len(self.turns)], False))
        return found


def read_once(made: Any, hand: Quick) -> None:
    """What a driver does that was woken. Afterwards it sleeps until there is something in the pipe."""
    made.take(made.read())
    left = b""
    try:
        left = os.read(hand.fd, 100)
    except BlockingIOError:
        pass
    assert left or not hand.ring, "there is an outcome, and nobody will say so"


def test_a_bell_that_is_read_behind_the_ring_is_answered() -> None:
    hand, heard = Quick(), Heard(streaming=True)
    try:
        made = channel(FastChannel, hand, heard)
        hand.take(False)  # the first outcome is there, and this is the bell for it
        read_once(made, hand)
        assert heard.told == [(NUMBER, 1, hand.value), (NUMBER, 2, hand.value), [2], [1], [0]]
        assert hand.bells_wanted == 3
    finally:
        hand.close()


def test_a_bell_that_is_read_with_the_first_word_of_a_worker_is_answered() -> None:
    hand, heard = Quick(frames.frame(frames.READY)), Heard(streaming=False)
    hand.turns = hand.turns[:1]
    try:
        made = channel(FastChannel, hand, heard)
        made._is_ready = False
        read_once(made, hand)
        assert heard.told == ["ready", [0]]
    finally:
        hand.close()


@pytest.mark.parametrize("kind", [Channel, FastChannel])
def test_without_generators_nobody_looks(kind: Any, hand: Hand) -> None:
    """And so this would be the wrong order: the two tests above can fail."""
    heard = Heard(streaming=False)
    made = channel(kind, hand, heard)
    made.peek()
    made.drain()
    assert heard.told[:2] == expected(hand)[::-1]
