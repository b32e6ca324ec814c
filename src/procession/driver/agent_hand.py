"""One worker process, as its agent (agent.py) holds it: its descriptors, what it has said, and how it is ended."""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

from procession.backends.ends import Ends
from procession.backends.launch_zygote import ZygoteLauncher
from procession.backends.memory import OomWatch
from procession.backends.offspring import Offspring
from procession.backends.stacks import last_words
from procession.backends.written import Written, instead
from procession.driver.agent_wire import BEGAN, PAGE, SAID, End, Entry
from procession.driver.asking import Asked, ask, await_stacks, show_in_c
from procession.driver.killing import MERCY_NS, SIGKILL
from procession.transport import frames, page
from procession.worker import showing

BOUND = 0.05
"""Seconds between two looks whether captured tasks write too much."""
OUTCOMES = (frames.OUTCOMES, frames.PACKED_OUTCOMES)


class Hand:
    """See the module. For the agent's thread alone."""

    def __init__(
        self, wid: int, beside: tuple[int, int], launcher: ZygoteLauncher, said: Callable[[int], object]
    ) -> None:
        self.wid = wid
        self.ends = Ends(beside)
        self.launcher: Any = launcher
        self.pid: int | None = None
        self.ended = False
        self.heard = False
        self.killed: set[int] = set()
        self._said = said
        self._entries: list[Entry] = []
        self._generation = 0  # of the page: the latest that went through the pipe
        self._shown = 0  # outcomes of the next one that were taken from the page
        self._doomed: tuple[int, bool, bool] | None = None
        self._struck = False  # before it was heard that it had been started
        self._offspring: Offspring | None = None
        self._mercy: float | None = None  # until then it may show its stacks, and die of that
        self._written: Written | None = None
        self._bound_at = 0.0
        self._oom = OomWatch()

    # -- to the worker -----------------------------------------------------------------------------------------------

    def start(self, config: dict[str, Any]) -> None:
        """Raises what a launcher's `start` raises."""
        try:
            self.launcher.start(self.wid, self.ends.child, config)
        finally:
            self.ends.close_child_ends()

    # -- from the worker ---------------------------------------------------------------------------------------------

    def read(self, _fd: int) -> None:
        """Something has come by its pipe."""
        for kind, payload in self.ends.read():
            self._take(kind, payload)

    def take(self) -> list[Entry]:
        """All that it has said by now, wherever it lies, and nobody was told."""
        if not self.ended:
            self._gather()
        self.heard = False
        entries, self._entries = self._entries, []
        return entries

    def published(self) -> bool:
        """There is something in its page that nobody was told."""
        words = self.ends.page.words
        return not self.ended and words[page.GENERATION] > self._generation and words[page.COUNT] > self._shown

    def _gather(self) -> None:
        """The pipe, then the page; and again, if the worker has published by the pipe what the page had meanwhile."""
        while True:
            self.ends.hear(self._take)
            shared, mode = self.ends.page, 0
            found: list[Any] = []
            generation = shared.words[page.GENERATION]
            if generation == self._generation + 1:
                mode, found = shared.outcomes(generation, self._shown)
            if not self.ends.hear(self._take):
                break
        if found:
            self._entries.append((PAGE, generation, mode, self._shown, found))
            self._shown += len(found)

    def _take(self, kind: int, payload: Any) -> None:
        if kind == frames.WRITTEN:
            self._written = instead(self._written, *frames.WRITTEN_AT.unpack(payload))
            return
        if kind in OUTCOMES:
            self._generation, self._shown = frames.OUTCOMES_HEAD.unpack_from(payload)[0], 0
        self._entries.append((SAID, kind, bytes(payload)))
        self.heard = True
        self._said(kind)

    # -- its end -----------------------------------------------------------------------------------------------------

    def began(self, pid: int) -> None:
        """It has been started."""
        self.pid = pid
        self._entries.append((BEGAN, pid, socket.gethostname()))
        self.heard = True
        if self._doomed is not None:
            self.kill(*self._doomed)
        elif self._struck:
            self.strike()

    def kill(self, signum: int, with_stacks: bool, for_its_item: bool) -> None:
        """See `Agent.kill`; one that has not been heard of yet is killed when it is."""
        if self.pid is None:
            self._doomed = signum, with_stacks, for_its_item
            return
        self.killed.add(self.wid)
        if for_its_item and self._offspring is None:
            self._offspring = Offspring(self.pid)
        if with_stacks:
            signum = showing.SHOW_AND_DIE
            self.ends.rewind()
            self._mercy = monotonic() + MERCY_NS / 1e9
        self.launcher.kill(self.wid, signum)

    def strike(self) -> None:
        """See `Agent.strike`: nobody has killed it, for all that is said of its end."""
        self._struck = True
        if self.pid is not None and self._offspring is None:
            self._offspring = Offspring(self.pid)
            self.launcher.kill(self.wid, SIGKILL)

    def deadline(self) -> float | None:
        """When `mind` has something to do."""
        found = [] if self._mercy is None else [self._mercy]
        if self._written is not None and not self.ended:
            found.append(self._bound_at + BOUND)
        return min(found, default=None)

    def mind(self, now: float) -> None:
        """What the time has come for."""
        if self._mercy is not None and self._mercy <= now:
            self._mercy = None
            self.launcher.kill(self.wid, SIGKILL)
        if self._written is not None and not self.ended and self._bound_at + BOUND <= now:
            self._bound_at = now
            self._written.bound()

    def end(self, exitcode: int | None, peak_rss: int | None) -> End:
        """It is gone: everything that it has left is gathered, and then its tokens are counted."""
        self._gather()
        unowned = self.ends.withdraw()
        stack = last_words(self.ends.stacks(), bool(self.killed))
        oom = self._oom.blamed(exitcode, bool(self.killed))
        written = None if self._written is None else self._written.read()
        self.ended, self._mercy = True, None
        if self._offspring is not None:
            self._offspring.end()
        self._close()
        return End(self.pid or 0, exitcode, peak_rss, unowned, stack, written, oom)

    def over(self, entry: Entry) -> None:
        """The last that is said of it."""
        self._entries.append(entry)
        self.heard = True

    def close(self) -> None:
        """Its agent ends."""
        if not self.ended:
            self.ended = True
            self._close()

    def _close(self) -> None:
        if self._written is not None:
            self._written.seal()
            self._written.close()
        self.ends.close()

    # -- what it is at -----------------------------------------------------------------------------------------------

    @property
    def pids(self) -> dict[int, int]:
        """See `asking.Host`."""
        return {} if self.pid is None or self.ended else {self.wid: self.pid}

    @property
    def channels(self) -> dict[int, Ends]:
        """See `asking.Host`."""
        return {} if self.ended else {self.wid: self.ends}

    def ask_for_stacks(self) -> Asked:
        """By the agent's thread: ask it to show its stacks; `stacks_of` awaits them."""
        return ask(self, self.wid, "")

    def stacks_of(self, asked: Asked, leave: Callable[[Callable[[], object]], object]) -> str:
        """By whoever wants them; `leave` has something done by the agent's thread."""
        return await_stacks([asked], lambda stuck: leave(lambda: show_in_c(self, stuck)))[0].stack


__all__ = ["Hand"]
