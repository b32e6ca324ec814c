"""The thread of an agent (agent.py): it waits for descriptors, and does what others leave it to do.

Who comes when it has ended must not ring: the number of its bell may be that of another descriptor by then, the pipe of
another agent's worker say. So it has ended, for all, in the step in which the bell is closed.
"""

from __future__ import annotations

import os
import select
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from procession.backends import forksafe
from procession.backends.joinable import JoinableThread
from procession.driver.agent_wire import Report

CLOSED = "this agent has been closed"


class AgentLoop(ABC):
    """See the module. `ask_for`, `leave` and `end` are for any thread, all else for the agent's."""

    def __init__(self) -> None:
        self._todo: deque[Callable[[], object]] = deque()
        self._bell = forksafe.adopt(lambda: os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        self._epoll = select.epoll()
        forksafe.own(self._epoll.fileno())
        self._sources: dict[int, Callable[[int], object]] = {}
        self._closed = False
        self._ended = False  # its bell is nobody's, or another's
        self._thread = JoinableThread(self._run, "procession-agent")

    @abstractmethod
    def patience(self) -> float:
        """Seconds until there is something to do; -1: until something comes."""

    @abstractmethod
    def mind(self) -> None:
        """Do what the time has come for."""

    @abstractmethod
    def give_back(self) -> None:
        """It ends."""

    def begin(self) -> None:
        """All that it needs is there."""
        self.watch(self._bell, os.eventfd_read)
        self._thread.start()

    def end(self) -> None:
        """Nothing more is done; returns when it has ended."""
        self.leave(self._close)
        self._thread.join()

    def _close(self) -> None:
        self._closed = True

    def ask_for(self, what: Callable[[Future[Report]], object]) -> Future[Report]:
        """Have this done, which answers the future that it is given; that is returned."""
        done: Future[Report] = Future()

        def do() -> None:
            try:
                if self._closed:
                    raise RuntimeError(CLOSED)
                what(done)
            except BaseException as error:
                with suppress(InvalidStateError):
                    done.set_exception(error)

        if not self.leave(do):
            with suppress(InvalidStateError):  # it was told in passing
                done.set_exception(RuntimeError(CLOSED))
        return done

    def leave(self, what: Callable[[], object]) -> bool:
        """Have this done by the agent's thread. False: that has ended, or is about to."""
        self._todo.append(what)
        with forksafe.lock:
            if self._ended or not forksafe.owns(self._bell):
                return False
            os.eventfd_write(self._bell, 1)
        return True

    def watch(self, fd: int, source: Callable[[int], object]) -> None:
        """Call `source(fd)` when `fd` is readable."""
        self._sources[fd] = source
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """No longer."""
        if self._sources.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _run(self) -> None:
        try:
            while not self._closed:
                for fd, _mask in self._epoll.poll(self.patience()):
                    source = self._sources.get(fd)
                    if source is not None:
                        with suppress(BlockingIOError):
                            source(fd)
                while self._todo:
                    self._todo.popleft()()
                self.mind()
        finally:
            self.give_back()
            self._give_back_all()

    def watches(self, fd: int) -> bool:
        """Something is called for this one."""
        return fd in self._sources

    def watch_room(self, fd: int, source: Callable[[int], object]) -> None:
        """Call `source(fd)` when `fd` takes more."""
        self._sources[fd] = source
        self._epoll.register(fd, select.EPOLLOUT)

    def _give_back_all(self) -> None:
        with forksafe.lock:
            self._ended = True
            forksafe.close(self._bell)
            forksafe.disown(self._epoll.fileno())
            self._epoll.close()
        while self._todo:
            self._todo.popleft()()


def answer(done: Future[Report], report: Report) -> None:
    """Unless whoever asked has been given up, by a cluster that lost him: then the driver has lost this agent."""
    with suppress(InvalidStateError):
        done.set_result(report)


__all__ = ["CLOSED", "AgentLoop", "answer"]
