"""A worker's agent, on the machine of a cluster where the worker is: it starts the worker process and serves its pipes.

    program                 what the cluster carries            a machine of the cluster
    driver, its `FarChannel`  --- calls, each with a report --->  Agent  --- pipes, tokens, page --->  worker process

An agent lives in a process of the cluster (an actor of Ray, a worker of Dask), holds what the cluster has given out for
one worker, and has one worker process at a time, a child of that process. What `backends/channel.py` does beside a
worker in one machine is done here in two halves: the descriptors are here, what is said through them is understood by
the driver.

Laws
1. One thread, the agent's own, touches descriptors. A call leaves what it wants, and has a future of the answer.
2. What a worker says is told once, in reports, which are numbered and whole: whichever call brings one, they are taken
   in order. A report has first what was printed and noted, then what came by the pipe, then what the page has, and last
   the end.
3. Whoever reads a token owns the item, as ever: `withdraw` reads them back on the worker's own machine, whatever code
   the worker is in. A lease that is on its way meanwhile is let in without tokens, and runs nothing.
4. A lease's call is answered when the worker has left the lease behind, or is gone. What is there before is told by
   `news`, `HELD` seconds after it came at the latest.
5. The worker dies with the process of its agent, by its lifeline, and with the agent (`close`).
6. Calls come in any order. One for a worker whose start is still to come waits for that; one for an earlier worker
   does nothing.
7. What is held back for the driver is bounded: the pipes of what is printed are not read beyond that (agent_ears.py).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any

from procession.backends.hosting import SERVE
from procession.backends.launch import Event, Exited, Started, StartFailed
from procession.backends.launch_zygote import ZygoteLauncher
from procession.backends.zygote_client import context_now
from procession.driver.agent_ears import Ears
from procession.driver.agent_hand import Hand
from procession.driver.agent_loop import answer
from procession.driver.agent_showing import Showing
from procession.driver.agent_wire import FAILED, GONE, Report, Setting, pickled
from procession.transport import frames

HELD = 0.005
"""Seconds that what was said may wait for the lease's own report."""
RARELY = 0.1
"""Seconds between two looks at the page, at most, while a lease of several items is out."""
QUIET = 10.0
"""Seconds after which `news` says that there is none: so that who asks knows that the agent lives, and asks again."""


class Agent(Showing):
    """See the module. Every method may be called by any thread; but for `show` and `close` none waits."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        super().__init__()
        self._ears = Ears(setting, self.watch, self.unwatch)
        self._hand: Hand | None = None
        self._launcher: ZygoteLauncher | None = None
        self._reports = 0
        self._come = 0  # the latest lease
        self._revoked = 0  # so many leases were withdrawn
        self._leases = 0  # that the worker has in hand
        self._early: list[tuple[int, Callable[[Hand], object]]] = []  # what came before the start of this worker
        self._waiting: Future[Report] | None = None  # the call of the lease
        self._listener: tuple[Future[Report], float] | None = None  # that of `news`, and when it is to be answered
        self._peek_at, self._peek_every = 0.0, HELD  # when to look whether a long item holds something back; 0: never
        self.begin()

    # -- what the driver asks, by way of the cluster ---------------------------------------------------------------

    def start(self, wid: int, config: dict[str, Any]) -> Future[Report]:
        """Start worker `wid`; that it is ready, or that it is not to be, is told by `news`."""
        return self.ask_for(lambda done: self._start(wid, config, done))

    def lease(self, wid: int, number: int, marks: bytes, leases: int, *data: bytes) -> Future[Report]:
        """Issue tokens, then hand over what bears them: call `number`, with so many leases. Answered when all are over.

        One at a time.
        """
        return self.ask_for(lambda done: self._lease(wid, number, marks, leases, data, done))

    def withdraw(self, wid: int, number: int) -> Future[Report]:
        """Read back every token that is not taken; leases up to call `number` that are still to come have none."""
        return self.ask_for(lambda done: self._withdraw(wid, number, done))

    def look(self) -> Future[Report]:
        """All that the worker has published by now."""
        return self.ask_for(lambda done: answer(done, self._report()))

    def ask(self, wid: int, number: int) -> Future[Report]:
        """The item that it is at is to end by itself, if that is of call `number`; what came later was not meant."""
        return self._tell(wid, lambda hand: hand.ends.ask() if number == self._come else None)

    def stop(self, wid: int) -> Future[Report]:
        """It is to end, after its teardown."""
        return self._tell(wid, lambda hand: self._write(frames.frame(frames.STOP)))

    def kill(self, wid: int, signum: int, with_stacks: bool, for_its_item: bool) -> Future[Report]:
        """End it. `with_stacks`: it shows them first; `for_its_item`: the programs that this has started end, too."""
        return self._tell(wid, lambda hand: hand.kill(signum, with_stacks, for_its_item))

    def strike(self, wid: int) -> Future[Report]:
        """Who looks on wants it dead: as if it had died by itself, but with the programs that it has started."""
        return self._tell(wid, Hand.strike)

    def heed(self, boards: bytes) -> Future[Report]:
        """The program has other levels of logging, or filters of warnings."""

        def heed(done: Future[Report]) -> None:
            self._ears.heed(boards)
            answer(done, self._report())

        return self.ask_for(heed)

    def news(self) -> Future[Report]:
        """What was said that no other call tells, when there is some; an empty report after `QUIET` seconds without."""
        return self.ask_for(self._listen)

    def whereabouts(self) -> str:
        """For people: which machine this is, and which process."""
        return f"{socket.gethostname()}, process {os.getpid()}"

    def close(self) -> None:
        """The worker is killed if it is there; all is given back. Idempotent."""
        self.end()

    # -- calls, by anybody's threads -------------------------------------------------------------------------------

    def _tell(self, wid: int, what: Callable[[Hand], object]) -> Future[Report]:
        """For this worker alone: what comes late must not hit the next one, and what comes before its start waits."""

        def told(done: Future[Report]) -> None:
            hand = self._hand
            if hand is None or hand.wid < wid:
                self._early.append((wid, what))
            elif hand.wid == wid and not hand.ended:
                what(hand)
            answer(done, self._report())

        return self.ask_for(told)

    # -- the agent's thread ----------------------------------------------------------------------------------------

    def patience(self) -> float:
        """Until when there is something to do; -1: until something comes."""
        hand, found = self._hand, []
        if self._listener is not None:
            found.append(self._listener[1])
        if hand is not None and (deadline := hand.deadline()) is not None:
            found.append(deadline)
        if self._peek_at:
            found.append(self._peek_at)
        return max(0.0, min(found) - monotonic()) if found else -1.0

    def mind(self) -> None:
        """What the time has come for."""
        now = monotonic()
        if self._hand is not None:
            self._hand.mind(now)
            if self._peek_at and self._peek_at <= now:
                self._peek(self._hand, now)
        if self._waiting is not None and not self._leases:
            waiting, self._waiting = self._waiting, None
            answer(waiting, self._report())
        elif self._listener is not None:
            done, until = self._listener
            if self._something():
                until = min(until, now + (HELD if self._waiting is not None else 0.0))
            if until <= now:
                self._listener = None
                answer(done, self._report())
            else:
                self._listener = done, until

    def _peek(self, hand: Hand, now: float) -> None:
        """A long item must not hold back what was finished before it; looked for ever more rarely, while nothing is."""
        if hand.published():
            hand.heard = True
            self._peek_every = HELD
        self._peek_every = min(2 * self._peek_every, RARELY)
        self._peek_at = now + self._peek_every if self._leases else 0.0

    def _something(self) -> bool:
        return self._ears.heard or (self._hand is not None and self._hand.heard)

    def _report(self, count: int = -1) -> Report:
        """Law 2."""
        self._reports += 1
        said = [] if self._hand is None else self._hand.take()  # its end is the last of it
        return Report(self._reports, [*self._ears.take(), *said], count, self._come)

    def _listen(self, done: Future[Report]) -> None:
        if self._listener is not None:  # whoever asked before has been given up
            answer(self._listener[0], Report(0, []))
        self._listener = done, monotonic() + QUIET

    # -- the worker ------------------------------------------------------------------------------------------------

    def _start(self, wid: int, config: dict[str, Any], done: Future[Report]) -> None:
        assert self._hand is None or self._hand.ended, "the last worker of this agent has not ended"
        self._come = self._revoked = 0
        self._hand = Hand(wid, self._ears.beside, self._launcher_now(), self._said)
        self.watch(self._hand.ends.results_fd, self._hand.read)
        try:
            self._hand.start(config)
        except (OSError, ValueError) as error:
            self._happened([StartFailed(wid, error)])
        early, self._early = self._early, []
        for what in [what for to, what in early if to == wid and not self._hand.ended]:
            what(self._hand)
        answer(done, self._report())

    def _launcher_now(self) -> ZygoteLauncher:
        if self._launcher is None:
            self._launcher = ZygoteLauncher(
                self._ears.child_ends,
                watch=lambda fd: self.watch(fd, self._poll),
                unwatch=self.unwatch,
                preload=self._setting.preload,
                serve=SERVE,
            )
            self._launcher.context = partial(_context, self._setting)
        return self._launcher

    def _poll(self, fd: int) -> None:
        assert self._launcher is not None
        self._happened(self._launcher.poll(fd))

    def _happened(self, found: Sequence[Event]) -> None:
        for event in found:
            hand = self._hand
            if hand is None or event.wid != hand.wid:
                continue
            if isinstance(event, Started):
                hand.began(event.pid)
                continue
            self.unwatch(hand.ends.results_fd)
            self.unwatch(hand.ends.tasks_fd)
            if isinstance(event, Exited):
                hand.over((GONE, hand.end(event.exitcode, event.peak_rss)))
            else:
                hand.over((FAILED, pickled(event.error), event.again, hand.end(None, None)))
            self._leases, self._peek_at = 0, 0.0
            if self._waiting is None and self._listener is not None:
                self._listener = self._listener[0], 0.0

    def _said(self, kind: int) -> None:
        """By the worker's pipe."""
        if kind == frames.LEASE_END and self._leases:
            self._leases -= 1

    def _lease(
        self, wid: int, number: int, marks: bytes, leases: int, data: Sequence[bytes], done: Future[Report]
    ) -> None:
        hand = self._hand
        if hand is None or hand.wid != wid or hand.ended:
            answer(done, self._report())
            return
        assert self._waiting is None, "one lease at a time"
        self._come = number
        if number > self._revoked:
            hand.ends.issue(marks)
        self._leases, self._waiting = leases, done
        self._peek_every = HELD
        self._peek_at = monotonic() + HELD if len(marks) > 1 else 0.0
        for each in data:
            self._write(each)

    def _write(self, data: bytes) -> None:
        hand = self._hand
        assert hand is not None
        fd = hand.ends.tasks_fd
        if not hand.ends.write(data) and not self.watches(fd):

            def flush(_fd: int) -> None:
                if hand.ends.flush():
                    self.unwatch(fd)

            self.watch_room(fd, flush)

    def _withdraw(self, wid: int, number: int, done: Future[Report]) -> None:
        hand, count = self._hand, 0
        if hand is not None and hand.wid == wid and not hand.ended:
            self._revoked = max(self._revoked, number)
            count = hand.ends.withdraw()
        answer(done, self._report(count))

    # -- the end ---------------------------------------------------------------------------------------------------

    def give_back(self) -> None:
        if self._launcher is not None:
            self._launcher.close()
        if self._hand is not None:
            self.unwatch(self._hand.ends.results_fd)
            self.unwatch(self._hand.ends.tasks_fd)
            self._hand.close()
            self._hand = None
        for done in (self._waiting, None if self._listener is None else self._listener[0]):
            if done is not None:
                answer(done, self._report())
        self._ears.close()


def _context(setting: Setting, name: str, environment: dict[str, str]) -> dict[str, Any]:
    """What workers take over: of this process, but for what the program has set."""
    now = context_now(name, environment)
    now.update(path=setting.path, argv=setting.argv)
    if setting.cwd is not None and os.path.isdir(setting.cwd):
        now["cwd"] = setting.cwd
    now["env"][0].update(setting.environment)
    return now


__all__ = ["HELD", "QUIET", "Agent"]
