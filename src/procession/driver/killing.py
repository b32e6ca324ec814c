"""Ending workers for what they run, with the programs that this has started."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from procession.backends.offspring import Offspring
from procession.core import commands
from procession.core.rules import Cause
from procession.driver.verdicts import Verdicts
from procession.worker import showing

if TYPE_CHECKING:
    from procession.backends.channel import Channel
    from procession.backends.launch import Launcher
    from procession.core.pool import PoolCore
    from procession.driver.callbacks import Callbacks

MERCY_NS = 500_000_000
"""A worker that was told to show its stacks and die has so long, then it is killed: it may be stopped, or deaf."""
SIGKILL = 9


class Killing(Verdicts):
    """Whom it hits, and when."""

    core: PoolCore

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__(callbacks)
        self.launcher: Launcher | None = None
        self.channels: dict[int, Channel] = {}
        self.pids: dict[int, int] = {}
        self.kill_signal = 9
        self.killed: set[int] = set()  # workers that were told to die
        self._doomed: dict[int, commands.Kill] = {}  # of them, those whose start has not been heard of yet
        self._offspring: dict[int, Offspring] = {}  # of those that die for what they run
        self.deadlines: dict[int, int] = {}  # when a worker that was told to show its stacks and die is killed

    def kill(self, command: commands.Kill) -> None:
        """What it is killed for may have started programs, which are found by its pid while it lives.

        It may run something before it is heard that it was started; so it is killed when that has been heard.
        """
        assert self.launcher is not None
        wid, signum = command.wid, self.kill_signal
        self.killed.add(wid)
        if command.cause is not None and wid not in self.pids:
            self._doomed[wid] = command
            return
        if command.cause is Cause.TIMEOUT or command.cause is Cause.MEMORY:
            signum = showing.SHOW_AND_DIE
            self.channels[wid].rewind()
            self.ran_ns.setdefault(wid, self.core.workers[wid].ran_ns)
            self.deadlines[wid] = monotonic_ns() + MERCY_NS
        elif command.cause is not None:
            signum = SIGKILL
        if command.cause is not None and wid not in self._offspring:
            self._offspring[wid] = Offspring(self.pids[wid])
        self.launcher.kill(wid, signum)

    def has_begun(self, wid: int) -> bool:
        """There is a process of this worker."""
        return wid in self.pids

    def strike(self, wid: int) -> None:
        """Who looks on wants it dead: as if it had died by itself, but with the programs that it has started."""
        assert self.launcher is not None
        if wid not in self._offspring:  # of one that is struck twice: what holds its programs is held once
            self._offspring[wid] = Offspring(self.pids[wid])
        self.launcher.kill(wid, SIGKILL)

    def end_offspring(self, wid: int) -> None:
        """What it was killed for is over, with the programs that this had started."""
        offspring = self._offspring.pop(wid, None)
        if offspring is not None:
            offspring.end()

    def started(self, wid: int, pid: int) -> None:
        """It has been heard of."""
        self.pids[wid] = pid
        command = self._doomed.pop(wid, None)
        if command is not None:
            self.kill(command)

    def forget_killed(self, wid: int) -> None:
        """It is gone."""
        self.pids.pop(wid, None)
        self.deadlines.pop(wid, None)
        self.killed.discard(wid)
        self._doomed.pop(wid, None)
        self.end_offspring(wid)
