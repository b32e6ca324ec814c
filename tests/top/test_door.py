"""Who answers, under visitors of all kinds: a door in this process, with answers that need no pool."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procession.seeing.attending import places, wire
from procession.seeing.attending.door import MOST, Door

PATIENCE = 30.0


class Answers:
    """Says what it is asked; "dump" takes until it is let go."""

    def __init__(self) -> None:
        self.here = self.came = 0
        self.lock = threading.Condition()
        self.go_on = threading.Event()
        self.large = "x" * 10
        self.ended = False

    def come(self) -> None:
        with self.lock:
            self.here += 1
            self.came += 1

    def go(self) -> None:
        with self.lock:
            self.here -= 1
            self.lock.notify_all()

    def end(self) -> None:
        self.ended = True

    def count(self) -> None:
        pass

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "dump":
            self.go_on.wait(PATIENCE)
        return {"large": self.large}


class Opened:
    def __init__(self, folder: Path) -> None:
        self.answers = Answers()
        self.path = folder / f"{os.getpid()}.sock"
        self.door = Door(self.path, self.answers)  # type: ignore[arg-type]
        self.thread = threading.Thread(target=self.door.serve)
        self.thread.start()

    def visit(self) -> socket.socket:
        made = places.connect(self.path)
        made.settimeout(PATIENCE)
        return made

    def close(self) -> None:
        self.answers.go_on.set()
        self.door.end()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def opened() -> Iterator[Opened]:
    with tempfile.TemporaryDirectory(prefix="ptop", dir="/tmp") as name:
        made = Opened(Path(name, "procession"))
        try:
            yield made
        finally:
            made.close()


LOOK = wire.line({"do": "look"})
DUMP = wire.line({"do": "dump", "pool": 0})


def line(visitor: socket.socket) -> dict[str, Any]:
    with visitor.makefile("rb") as file:
        return json.loads(file.readline())  # type: ignore[no-any-return]


def ends(visitor: socket.socket) -> bool:
    try:
        while visitor.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


def test_requests_are_answered_in_turn_and_bear_their_ids(opened: Opened) -> None:
    with opened.visit() as visitor:
        visitor.sendall(wire.line({"do": "look", "id": 1})[:5])
        visitor.sendall(wire.line({"do": "look", "id": 1})[5:] + wire.line({"do": "look", "id": "b"}))
        with visitor.makefile("rb") as file:
            assert [json.loads(file.readline())["id"] for _ in range(2)] == ["1", "b"]


def test_who_only_counts_or_acts_does_not_look_on(opened: Opened) -> None:
    opened.answers.go_on.set()
    with opened.visit() as visitor:
        for request in ({"do": "count"}, {"do": "dump", "pool": 0}, {"do": "resize", "pool": 0, "n": 1}):
            visitor.sendall(wire.line(request))
            line(visitor)
        assert opened.answers.came == 0
        for _ in range(2):
            visitor.sendall(LOOK)
            line(visitor)
        assert (opened.answers.came, opened.answers.here) == (1, 1)
    with opened.answers.lock:
        assert opened.answers.lock.wait_for(lambda: opened.answers.here == 0, PATIENCE)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\xff\x00\n", b"{}\n", b"x" * 1_000_000 + b"\n", b"x" * 1_000_000],
    ids=["http", "bytes", "empty", "a megabyte", "a megabyte without an end"],
)
def test_who_talks_nonsense_is_told_so_and_dropped(opened: Opened, garbage: bytes) -> None:
    with opened.visit() as visitor, opened.visit() as other:
        try:
            visitor.sendall(garbage)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        assert ends(visitor)
        other.sendall(LOOK)
        assert line(other)["large"] == opened.answers.large


def test_who_does_not_read_is_dropped_and_nobody_waits_for_him(opened: Opened) -> None:
    opened.answers.large = "x" * 5_000_000
    with opened.visit() as visitor, opened.visit() as other:
        visitor.sendall(LOOK * 20)
        for _ in range(3):
            other.sendall(LOOK)
            assert len(line(other)["large"]) == 5_000_000
        with opened.answers.lock:  # without a byte that it reads
            assert opened.answers.lock.wait_for(lambda: opened.answers.here == 1, PATIENCE)
        assert ends(visitor)


def test_what_takes_long_for_one_does_not_for_another(opened: Opened) -> None:
    with opened.visit() as visitor, opened.visit() as other:
        visitor.sendall(DUMP)
        other.sendall(LOOK)
        assert line(other)["large"] == opened.answers.large
        opened.answers.go_on.set()
        assert line(visitor)["large"] == opened.answers.large


def test_so_many_are_let_in_and_the_others_are_told(opened: Opened) -> None:
    visitors = []
    try:
        for _ in range(50):
            visitors.append(opened.visit())
            if len(visitors) <= MOST:
                visitors[-1].sendall(LOOK)
                assert line(visitors[-1])["large"] == opened.answers.large
        for refused in visitors[MOST:]:
            assert "too many look on already" in line(refused)["error"]
        visitors.pop(0).close()
        last: dict[str, Any] = {"error": ""}
        while "error" in last:  # until it has been seen that there is room again
            with opened.visit() as visitor:
                with contextlib.suppress(BrokenPipeError):
                    visitor.sendall(LOOK)
                last = line(visitor)
    finally:
        for each in visitors:
            each.close()


def test_a_stranger_is_told_and_not_let_in(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened.visit() as friend:
        friend.sendall(LOOK)
        line(friend)
        came = opened.answers.came
        real = places.stranger
        monkeypatch.setattr(places, "stranger", lambda connection, uid: 12345 if uid == -1 else real(connection, uid))
        monkeypatch.setattr(os, "geteuid", lambda: -1)
        visitor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with visitor:
            visitor.settimeout(PATIENCE)
            visitor.connect(os.fspath(opened.path))
            assert line(visitor)["error"] == "not for the user with the number 12345"
            assert ends(visitor)
        assert opened.answers.came == came


LEAVES = """
import signal, socket, sys, threading
from pathlib import Path
from procession.seeing.attending import places, wire
from procession.seeing.attending.door import Door

class Answers:
    def come(self): pass
    def go(self): gone.set()
    def end(self): pass
    def count(self): pass
    def answer(self, request):
        go_on.wait()
        return {}

signal.signal(signal.SIGPIPE, signal.SIG_DFL)
gone, go_on = threading.Event(), threading.Event()
door = Door(Path(sys.argv[1], "procession", "1.sock"), Answers())
threading.Thread(target=door.serve).start()
visitor = places.connect(door.path)
visitor.sendall(wire.line({"do": "look"}))
visitor.close()
go_on.set()
assert gone.wait(30)
door.end()
"""


def test_a_visitor_who_leaves_does_not_end_a_program_that_sigpipe_ends() -> None:
    with tempfile.TemporaryDirectory(prefix="ptop", dir="/tmp") as name:
        assert subprocess.run([sys.executable, "-c", LEAVES, name], timeout=60, check=False).returncode == 0


def test_at_its_end_the_name_is_gone_and_visitors_hear_of_it(opened: Opened) -> None:
    with opened.visit() as visitor:
        visitor.sendall(LOOK)
        line(visitor)
        opened.close()
        assert ends(visitor)
    assert not opened.path.exists()
    assert opened.answers.ended


def test_a_name_that_another_has_taken_stays(opened: Opened) -> None:
    with places.listen(opened.path, 1):
        opened.close()
        assert opened.path.exists()


def test_a_forked_child_keeps_nothing_of_it(opened: Opened) -> None:
    with opened.visit() as visitor:
        visitor.sendall(LOOK)
        line(visitor)
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            mine = {
                os.readlink(f"/proc/self/fd/{fd}")
                for fd in (opened.door._bell, opened.door._ringer)
                if os.path.exists(f"/proc/self/fd/{fd}")
            }
            listens = opened.door._listener.fileno()
            os.write(write, json.dumps([sorted(mine), listens, len(opened.door._inside)]).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as file:
            assert json.loads(file.read()) == [[], -1, 1]
        assert os.waitpid(pid, 0)[1] == 0
        visitor.sendall(LOOK)
        assert line(visitor)["large"] == opened.answers.large
