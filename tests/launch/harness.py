"""A driver as small as can be: it watches what a launcher and a pump ask for, and collects what they say."""

import marshal
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from procession.backends import forksafe
from procession.backends.launch import Event, Exited, Started, StartFailed, WorkerFiles
from procession.backends.launch_mp import MpLauncher
from procession.backends.launch_zygote import ZygoteLauncher
from procession.backends.output import OutputPump
from tests.launch.serves import SERVE

PATIENCE = 20.0
SLACK = 10.0
"""Seconds allowed where the failure table promises one: so many times slower a crowded machine may be."""


class Channels:
    """One worker's pipes: `files` are the child's ends, the rest is the parent's."""

    def __init__(self) -> None:
        task_read, self.tasks = forksafe.pipe()
        self.results, result_write = forksafe.pipe()
        token_read, self.tokens = forksafe.pipe(os.O_NONBLOCK)
        page = forksafe.own(os.memfd_create("test-page"))
        self.files = WorkerFiles(task_read, result_write, token_read, page)
        self.unread = b""
        self.given = False

    def give_away(self) -> None:
        given, self.given = () if self.given else self.files, True
        for fd in given:
            forksafe.close(fd)

    def close(self) -> None:
        self.give_away()
        for fd in (self.tasks, self.results, self.tokens):
            forksafe.close(fd)


class Driver:
    """Use as a context manager. `context` None is the zygote."""

    def __init__(self, context: Any = None, *, preload: tuple[str, ...] = (), serve: str = SERVE) -> None:
        self.watched: set[int] = set()
        self.events: list[Event] = []
        self.channels: dict[int, Channels] = {}
        self.pump: OutputPump | None = None
        words: dict[str, Any] = {"watch": self.watch, "unwatch": self.watched.remove, "serve": serve}
        if context is None:
            self.pump = OutputPump(self.watch, self.watched.remove)
            self.launcher: Any = ZygoteLauncher(self.pump.child_ends, preload=preload, **words)
        else:
            self.launcher = MpLauncher(context, **words)

    def watch(self, fd: int) -> None:
        assert fd not in self.watched
        self.watched.add(fd)

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *exc: object) -> None:
        for each in self.channels.values():
            each.close()
        self.launcher.close()
        self.launcher.close()
        if self.pump is not None:
            self.pump.close()
            self.pump.close()
        if exc[0] is None:
            assert self.watched == set()

    def start(self, wid: int, do: str = "idle", *args: Any) -> Channels:
        channels = self.channels[wid] = Channels()
        self.launcher.start(wid, channels.files, {"do": do, "with": args})
        channels.give_away()
        return channels

    def step(self, timeout: float = 1.0, more: tuple[int, ...] = ()) -> set[int]:
        """One round: output first, then the launcher. Returns which of `more` are readable."""
        fds = set(self.launcher.fds())
        output = set(self.pump.fds()) if self.pump else set()
        assert self.watched == fds | output
        poll = select.poll()
        for fd in (*self.watched, *more):
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(timeout * 1000)}
        for fd in ready & output:
            assert self.pump is not None
            self.pump.pump(fd)
        for fd in ready & fds:
            self.events += self.launcher.poll(fd)
        return ready & set(more)

    def until(self, done: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (result := done()):
            assert time.monotonic() < deadline, f"nothing came; events so far: {self.events}"
            self.step(0.2)
        return result

    def hear(self, wid: int) -> Any:
        """The next value that worker `wid` says."""
        channels = self.channels[wid]
        deadline = time.monotonic() + PATIENCE
        while True:
            data = channels.unread
            size = int.from_bytes(data[:4], "little")
            if len(data) >= 4 and len(data) >= 4 + size:
                channels.unread = data[4 + size :]
                return marshal.loads(data[4 : 4 + size])
            assert time.monotonic() < deadline, f"worker {wid} says nothing; events: {self.events}"
            if channels.results in self.step(0.2, (channels.results,)):
                more = os.read(channels.results, 1 << 16)
                assert more, f"worker {wid} is gone; events: {self.events}"
                channels.unread += more

    def let_go(self, wid: int) -> None:
        """What an idle worker waits for."""
        os.write(self.channels[wid].tasks, b".")

    def of(self, wid: int, kind: type) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind) and each.wid == wid]

    def started(self, wid: int) -> Started:
        return self.until(lambda: self.of(wid, Started) or self._not(self.of(wid, StartFailed)))[0]

    def failed(self, wid: int) -> StartFailed:
        return self.until(lambda: self.of(wid, StartFailed))[0]

    def exited(self, wid: int) -> Exited:
        event = self.until(lambda: self.of(wid, Exited))[0]
        assert len(self.of(wid, Exited)) == 1
        return event

    @staticmethod
    def _not(events: list[Any]) -> list[Any]:
        assert not events, events
        return []


def state_of(pid: int) -> str:
    """The letter of /proc/pid/stat; "" when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def gone(pid: int) -> bool:
    """Dead; a zombie of whoever adopted it counts as dead."""
    return state_of(pid) in ("", "Z", "X")


def wait_until(done: Callable[[], Any], patience: float = PATIENCE) -> float:
    """Poll what cannot be waited for; returns how long it took."""
    start = time.monotonic()
    while not done():
        assert time.monotonic() < start + patience, "it did not happen in time"
        time.sleep(0.002)
    return time.monotonic() - start


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
