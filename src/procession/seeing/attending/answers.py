"""What is answered to who looks on: how the pools are, and whether what he asks for was done.

Laws
1. While nobody looks on nothing is measured. Who looks for the first time has the tap opened, by a thread of its own,
   since drivers that hang may be waited for there; when the last has gone it is closed again. Who only counts does not
   look on: he is told what the engines count anyway.
2. What cannot be had of one pool is said of that pool, and the others are shown.
3. Requests are answered on the thread of who asks, and wait for no other one's, but for `Lately`, for a moment.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

from procession import tapping
from procession.cgroups import read
from procession.cpu import cpu_budget
from procession.seeing.attending.lately import Lately
from procession.seeing.hub import hub
from procession.seeing.tracing import about, of_program

MOST = 20_000
"""Happenings that may wait to be counted."""
LONGEST = 1 << 20
"""Characters of a dump."""


class Answers:
    """Of this process."""

    def __init__(self) -> None:
        self._visitors = 0
        self._ended = False
        self._heard: deque[tuple[Any, ...]] = deque(maxlen=MOST)
        self._hear = self._heard.append
        self._lately: Lately | None = None
        self._trouble = ""
        self._lock = threading.Lock()  # of all above
        self._turn = threading.Lock()  # of whoever opens and closes the tap
        self._about = about()
        self._born = age()

    # -- who looks on ------------------------------------------------------------------------------------------------

    def come(self) -> None:
        """One more looks on."""
        self._changed(1)

    def go(self) -> None:
        """One less."""
        self._changed(-1)

    def end(self) -> None:
        """Nobody looks on any more, nor will."""
        with self._lock:
            self._ended = True
        self._tap()

    def _changed(self, by: int) -> None:
        with self._lock:
            before, self._visitors = self._visitors, self._visitors + by
            turned = not self._ended and (before > 0) != (self._visitors > 0)
        if turned:
            with suppress(RuntimeError):  # the interpreter is ending
                threading.Thread(target=self._tap, name="procession-top-tap", daemon=True).start()

    def _tap(self) -> None:
        with self._turn:
            with self._lock:
                wanted, is_open = self._visitors > 0 and not self._ended, self._lately is not None
                if wanted and not is_open:
                    self._heard.clear()
                    self._lately = Lately(time.perf_counter_ns())
                elif not wanted:
                    self._lately = None
            try:
                if wanted and not is_open:
                    hub.join(self._hear)
                elif is_open and not wanted:
                    hub.leave(self._hear)
            except Exception as error:
                self._trouble = f"rates and errors are not known: {error!r}"

    def count(self) -> None:
        """Take in what has been heard. To be called often."""
        with self._lock:
            lately, heard = self._lately, self._heard
            try:
                for _ in range(len(heard)):
                    happening = heard.popleft()
                    if lately is not None:
                        lately.take(happening)
            except Exception as error:
                self._trouble = f"rates and errors are not known: {error!r}"
                heard.clear()

    # -- answers -----------------------------------------------------------------------------------------------------

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """To what `wire.request` has let through."""
        what = request["do"]
        try:
            if what == "look":
                return self.look()
            if what == "count":
                return self.numbers()
            engine = next((each for each in tapping.engines() if each.number == request["pool"]), None)
            if engine is None:
                return {"error": f"there is no pool {request['pool']}"}
            if what == "dump":
                return {"dump": engine.dump()[:LONGEST]}
            why = engine.bid(what, request["n"] if what == "resize" else request["worker"])
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        return {"error": why} if why else {"done": what}

    def look(self) -> dict[str, Any]:
        """All there is to be seen now."""
        found = pools(unbind=True)
        self.count()
        now = time.perf_counter_ns()
        with self._lock:
            if (lately := self._lately) is not None:
                lately.keep(set(found))
                for number, pool in found.items():
                    pool.update(lately.told(number, now))
        return self._told(found, now)

    def numbers(self) -> dict[str, Any]:
        """The same without rates, times and errors."""
        return self._told(pools(), time.perf_counter_ns())

    def _told(self, found: dict[int, dict[str, Any]], now: int) -> dict[str, Any]:
        shown = [found[number] for number in sorted(found)]
        return {"program": self._program(), "at": now / 1e9, "pools": shown, "streams": streams()}

    def _program(self) -> dict[str, Any]:
        mine = of_program()
        return {
            "pid": os.getpid(),
            **{name: self._about[name] for name in ("python", "procession", "host", "accelerated")},
            "command": " ".join(sys.orig_argv)[:1000],
            "age": None if self._born is None else time.monotonic() - self._born,
            "cpus": cpu_budget().cpus,
            "memory": mine["memory"],
            "cpu": mine["cpu"],
            "threads": threading.active_count(),
            "trouble": self._trouble,
        }


def pools(unbind: bool = False) -> dict[int, dict[str, Any]]:
    """Of each engine of this process that is not over what it shows, by its number. `unbind`: also have threads tell
    whoever listens of what they have run."""
    found: dict[int, dict[str, Any]] = {}
    for engine in tapping.engines():
        try:
            seen = dict(engine.show())
            if unbind and seen and seen["backend"] != "processes":
                engine.unbind()
        except Exception as error:
            seen = {"backend": "?", "width": 0, "trouble": f"it cannot be looked at: {error!r}"}
        if seen:
            kind, name = engine.role
            found[engine.number] = {"number": engine.number, "kind": kind, "name": name, **seen}
    return found


def streams() -> list[dict[str, Any]]:
    """The streams in which something is under way, or may be put."""
    found = []
    for kind, name, stream in tapping.streams():
        try:
            seen = dict(stream.seen())
        except Exception as error:
            seen = {"trouble": f"it cannot be looked at: {error!r}"}
        if kind == "SpinOff" or seen.get("unfinished") or seen.get("ready") or "trouble" in seen:
            found.append({"kind": kind, "name": name, **seen})
    return found


def age() -> float | None:
    """When this process was started, by CLOCK_MONOTONIC; proc_pid_stat(5). None where that cannot be known."""
    try:
        ticks = int(read("/proc/self/stat").rpartition(")")[2].split()[19])
        return ticks / os.sysconf("SC_CLK_TCK") - time.clock_gettime(time.CLOCK_BOOTTIME) + time.monotonic()
    except (AttributeError, IndexError, ValueError, OSError):
        return None


__all__ = ["Answers", "age", "pools", "streams"]
