"""Who answers: a thread that lets visitors in, and one for each of them while he is here.

Laws
1. A visitor who does not read, says nothing for long, or says what is no request, is dropped; no other one notices. At
   most MOST are here at once: one more is told so.
2. A request of one visitor is taken at most every PAUSE seconds.
3. `end` takes the name away and waits for nobody who is in the middle of something.
4. A visitor looks on from his first "look" until he goes. Who only asks for numbers, or has something done, does not.
5. A forked child closes what it got of this, and is not looked at under its parent's name.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from procession.seeing.attending import places, wire
from procession.seeing.attending.answers import Answers

MOST = 16
"""Visitors at once."""
PAUSE = 0.05
PATIENCE = 2.0
"""Seconds that a visitor has to take a reply."""
BUSY = 0.2
"""Seconds until somebody is let in again after that could not be done."""
SILENCE = 60.0
"""Seconds that one may say nothing."""
COUNTING = 500
"""Milliseconds between two times that what has happened is counted, while somebody is here."""


class Door:
    """Open as long as `serve` runs."""

    def __init__(self, path: Path, answers: Answers | None = None) -> None:
        """Raises `places.Unfit` or OSError."""
        self.path = path
        self.answers = Answers() if answers is None else answers
        places.prepare(path.parent)
        self._bell, self._ringer = os.pipe()
        try:
            self._listener = places.listen(path, MOST)
        except BaseException:
            os.close(self._bell)
            os.close(self._ringer)
            raise
        self._listener.setblocking(False)
        made = os.lstat(path)
        self._identity = made.st_dev, made.st_ino
        self._over = threading.Event()
        self._inside: set[socket.socket] = set()
        self._pid = os.getpid()
        _doors.add(self)

    def serve(self) -> None:
        """Let visitors in until `end` is called."""
        try:
            poll = select.poll()
            poll.register(self._listener, select.POLLIN)
            poll.register(self._bell, select.POLLIN)
            while not self._over.is_set():
                ready = poll.poll(COUNTING if self._inside else None)
                if self._inside:
                    self.answers.count()
                if any(fd != self._bell for fd, _ in ready):
                    self._let_in()
        finally:
            self._close()

    def end(self) -> None:
        """Serve no more; by any thread."""
        self._over.set()
        with suppress(OSError):
            os.write(self._ringer, b".")

    def _close(self) -> None:
        _doors.discard(self)
        self._over.set()
        with suppress(OSError):
            now = os.lstat(self.path)
            if (now.st_dev, now.st_ino) == self._identity:
                os.unlink(self.path)
        self._listener.close()
        for each in list(self._inside):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for fd in (self._bell, self._ringer):
            os.close(fd)
        self.answers.end()

    def forked(self) -> None:
        """In a forked child."""
        self._listener.close()
        for each in list(self._inside):
            each.close()
        for fd in (self._bell, self._ringer):
            with suppress(OSError):
                os.close(fd)

    # -- visitors ----------------------------------------------------------------------------------------------------

    def _let_in(self) -> None:
        try:
            visitor, _ = self._listener.accept()
        except BlockingIOError:
            return  # he has gone again
        except OSError:
            self._over.wait(BUSY)  # there are no descriptors left: he stays at the door
            return
        visitor.settimeout(PATIENCE)
        who = places.stranger(visitor, os.geteuid())
        full = len(self._inside) >= MOST
        if who is not None or full:
            why = f"too many look on already ({MOST})" if full else f"not for the user with the number {who}"
            with suppress(OSError):
                visitor.setblocking(False)
                visitor.send(wire.error(why), _QUIETLY)
            visitor.close()
            return
        self._inside.add(visitor)
        try:
            threading.Thread(target=self._attend, args=(visitor,), name="procession-top-visitor", daemon=True).start()
        except RuntimeError:  # the system has no thread left
            self._inside.discard(visitor)
            visitor.close()

    def _attend(self, visitor: socket.socket) -> None:
        with ExitStack() as stay:
            try:
                self._converse(visitor, stay)
            except OSError:
                pass  # he has gone, or does not read
            finally:
                self._inside.discard(visitor)
                visitor.close()
                if os.getpid() != self._pid:
                    stay.pop_all()

    def _converse(self, visitor: socket.socket, stay: ExitStack) -> None:
        looks = False
        lines = wire.Lines(wire.MOST_REQUEST)
        while not self._over.is_set():
            visitor.settimeout(SILENCE)
            said = visitor.recv(wire.MOST_REQUEST)
            if not said:
                return
            try:
                requests = [wire.request(each) for each in lines.feed(said)]
            except wire.Nonsense as nonsense:
                _send(visitor, wire.error(str(nonsense)))
                return
            for request in requests:
                if request["do"] == "look" and not looks:
                    looks = True
                    self.answers.come()
                    stay.callback(self.answers.go)
                reply: dict[str, Any] = self.answers.answer(request)
                if "id" in request:
                    reply["id"] = str(request["id"])[:100]
                _send(visitor, wire.line(reply))
                if self._over.wait(PAUSE):
                    return


def _send(visitor: socket.socket, said: bytes) -> None:
    visitor.settimeout(PATIENCE)
    visitor.sendall(said, _QUIETLY)


_QUIETLY = getattr(socket, "MSG_NOSIGNAL", 0)
"""A program that has SIGPIPE end it, as many a filter does, is not to end because a visitor has gone."""

_doors: set[Door] = set()


def _in_child() -> None:
    for door in list(_doors):
        door.forked()
    _doors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

__all__ = ["Door"]
