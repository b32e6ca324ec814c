"""The channel of the fast lane, with a worker's end in this process: what comes by the ring, and what by the pipe."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from procession._native import native
from procession.backends.channel_fast import FastChannel
from procession.backends.ends import F_SETPIPE_SZ
from procession.transport import frames
from procession.transport.codec import Codec
from procession.transport.pickler import dumps_to_parent
from tests.native.kit import Function, calls, nowhere


class Hears:
    """Writes down what it is told."""

    beside = (-1, -1)

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.told.append((name, *args))


class Late(FastChannel):
    """Something happens between the look at the pipe and the one at the ring."""

    happens: Callable[[], None] | None = None

    def _read_ring(self) -> list[tuple[Any, ...]]:
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return super()._read_ring()


class Scene:
    """A channel, and a worker that runs what it is told when it is told to."""

    def __init__(self) -> None:
        self.hears = Hears()
        self.channel = Late(3, Codec(), self.hears)  # type: ignore[arg-type]
        fcntl.fcntl(self.channel.results_fd, F_SETPIPE_SZ, 1 << 20)  # there is nobody who reads while we write
        self.worker = native.WorkerRing(self.channel.child.tokens, self.write, bytearray(1), print, print)

    def write(self, kind: int, payload: bytes = b"") -> None:
        frames.write_all(self.channel.child.results, frames.frame(kind, payload))

    def run(self, fn: Callable[..., Any]) -> None:
        """Everything there is."""
        while self.worker.pending():
            told = self.worker.wait(-1)
            if told[0] == native.GROUP:
                self.worker.run(fn, print, dumps_to_parent, repr, nowhere, bytearray(1))

    def heard(self) -> list[tuple[Any, ...]]:
        """What one look brings."""
        self.hears.told.clear()
        self.channel.take(self.channel.read())
        return [each[:4] for each in self.hears.told]


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.channel.close_child_ends()
    made.channel.close()


def send(scene: Scene, *numbers: int) -> None:
    function: Any = Function()
    function.payload, function.with_state = b"payload", False
    assert scene.channel.send(0, calls(function, *[(number,) for number in numbers]), len(numbers))


def test_ready_is_told_before_what_follows_it(scene: Scene) -> None:
    send(scene, 1)

    def start() -> None:
        scene.write(frames.READY)
        scene.run(lambda x: x)

    scene.channel.happens = start
    assert scene.heard() == [("ready", 3), ("calls_done", 3, [1]), ("leases_ended", 3, 1, 1)]


def test_ready_is_told_before_a_large_outcome_that_follows_it(scene: Scene) -> None:
    large = "x" * (native.LARGEST // 4)
    send(scene, 1)

    def start() -> None:
        scene.write(frames.READY)
        scene.run(lambda x: [large] * 3 + [b"y" * native.LARGEST])

    scene.channel.happens = start
    told = scene.heard()
    assert [each[0] for each in told] == ["ready", "calls_done", "leases_ended"]
    assert told[1][2] == [[large] * 3 + [b"y" * native.LARGEST]]


def test_the_bell_is_rung_when_it_is_wanted_and_wanted_again_when_it_was_heard(scene: Scene) -> None:
    scene.write(frames.READY)
    assert scene.heard() == [("ready", 3)]
    for number in (1, 2, 3):
        send(scene, number)
        scene.run(lambda x: x)
        assert os.read(scene.channel.results_fd, 64)[4] == frames.BELL
        scene.channel.ring.wants(True)
        assert scene.heard() == [("calls_done", 3, [number]), ("leases_ended", 3, 1, 1)]
    scene.channel.ring.hot = True
    scene.channel.ring.wants(False)
    send(scene, 4)
    scene.run(lambda x: x)
    with pytest.raises(BlockingIOError):
        os.read(scene.channel.results_fd, 64)
    assert scene.heard()[0] == ("calls_done", 3, [4])


def test_a_worker_that_died_between_the_pipe_and_the_ring_has_answered(scene: Scene) -> None:
    scene.write(frames.READY)
    send(scene, 1, 2)
    mode = (0).to_bytes(8, "little")
    kept: list[bytes] = []

    def write(kind: int, payload: bytes) -> None:
        if kind == frames.PIPED:
            kept.append(payload)
            raise InterruptedError
        scene.write(kind, payload)

    worker = native.WorkerRing(scene.channel.child.tokens, write, bytearray(1), print, print)
    with pytest.raises(InterruptedError):
        while True:
            if worker.wait(-1)[0] == native.GROUP:
                worker.run(lambda x: [b"z" * native.LARGEST], print, dumps_to_parent, repr, nowhere, bytearray(1))
    assert len(kept) == 1
    assert kept[0][:8] != mode
    scene.write(frames.PIPED, kept[0])
    scene.channel.drain_dead()
    assert scene.hears.told[-1] == ("calls_done", 3, [[b"z" * native.LARGEST]])
    assert scene.channel.withdraw() == 1, "the one that it had not taken"


def test_what_was_printed_is_shown_before_what_was_published_after_it(scene: Scene) -> None:
    scene.write(frames.READY)
    scene.heard()
    send(scene, 1)

    def speak(x: int) -> int:
        scene.worker.speak()
        return x

    scene.run(speak)
    assert [each[0] for each in scene.heard()] == ["show_output", "calls_done", "leases_ended"]
