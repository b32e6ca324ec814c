"""The other end of the socket: finding programs, and asking one."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

from procession.seeing.attending import places, wire

PATIENCE = 15.0
"""Seconds that a reply may take; a dump of a pool that hangs takes some."""

BRIEFLY = 3.0
"""The same when it is only one among all that there may be."""


class Gone(Exception):
    """The program cannot be looked at (any more); the text says why."""


class Refused(Exception):
    """It did not do what it was asked, and why."""


class Program:
    """A connection to one program; `pid` is its number."""

    def __init__(self, pid: int, path: Path, patience: float = PATIENCE) -> None:
        """Raises Gone."""
        self.pid = pid
        try:
            self._socket = places.connect(path)
        except places.Unfit as unfit:
            raise Gone(str(unfit)) from None
        except OSError as error:
            raise Gone(f"program {pid} does not answer: {error.strerror or error}") from None
        self._socket.settimeout(patience)
        self._lines = wire.Lines(wire.MOST_REPLY)

    def ask(self, do: str, **words: int) -> dict[str, Any]:
        """Its reply. Raises Gone or Refused."""
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # then it has said why, or has ended
                self._socket.sendall(wire.line({"do": do, **words}))
            lines: list[bytes] = []
            while not lines:
                came = self._socket.recv(1 << 16)
                if not came:
                    raise Gone(f"program {self.pid} has ended")
                lines = self._lines.feed(came)
            said = wire.reply(lines[0])
        except TimeoutError:
            raise Gone(f"program {self.pid} does not answer") from None
        except OSError:
            raise Gone(f"program {self.pid} has ended") from None
        except wire.Nonsense as nonsense:
            raise Gone(f"program {self.pid}: {nonsense}") from None
        if "error" in said:
            raise Refused(str(said["error"]))
        return said

    def hang_up(self) -> None:
        """By any thread: who waits for a reply waits no more, Gone is raised there."""
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Look on no more."""
        self._socket.close()


def find(pid: int, patience: float = PATIENCE) -> Program:
    """The program of that number, which has so many seconds for each reply. Raises Gone."""
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        raise Gone(f"there is no program {pid}") from None
    for each in places.folders(uid if os.geteuid() == 0 else os.geteuid()):
        path = each / f"{pid}.sock"
        if path.exists():
            return Program(pid, path, patience)
    raise Gone(
        f"program {pid} cannot be looked at: it does not use procession, has done so for less than a second, "
        "has PROCESSION_TOP=0 in its environment, or belongs to somebody else"
    )


def found() -> list[tuple[int, str]]:
    """The programs of this user that answer, with their commands. Raises Gone when none may be trusted."""
    answering = []
    try:
        programs = list(places.programs(os.geteuid()))
    except places.Unfit as unfit:
        raise Gone(str(unfit)) from None
    for pid, path in programs:
        try:
            with closing(Program(pid, path, BRIEFLY)) as program:
                answering.append((pid, str(program.ask("count")["program"]["command"])))
        except (Gone, Refused):
            continue
    return answering


__all__ = ["Gone", "Program", "Refused", "find", "found"]
