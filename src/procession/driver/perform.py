"""Stepping a core and performing its commands on real processes.

Only one thread does this for a pool (law 8). Between a step and the end of its commands nothing else is stepped, except
that a `Withdraw` is answered at once; withdrawals come after all other commands, because the tokens that are counted
must include everything that the core has decided to send.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession.backends import tasks
from procession.backends.channel import Channel
from procession.backends.channel_fast import channel_class
from procession.backends.launch import explained
from procession.backends.saying import say
from procession.backends.tasks import CallFuture, ChunkTask
from procession.core import commands, events
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.driver.answers import start_error
from procession.driver.keeping import Keeper
from procession.driver.killing import Killing
from procession.driver.verdicts import Obituary

if TYPE_CHECKING:
    from procession.driver.callbacks import Callbacks
    from procession.transport.codec import Codec


UNKNOWN = Obituary(None, None)


class Performer(Killing, ABC):
    """A core, the channels of its workers, and the hand that moves them."""

    def __init__(self, core: PoolCore, codec: Codec, callbacks: Callbacks) -> None:
        super().__init__(callbacks)
        self.core = core
        self.codec = codec
        self.config: dict[str, Any] = {}
        self.starting: set[int] = set()  # asked for, neither Started nor StartFailed yet
        self.heard_at: dict[int, float] = {}
        self.moved_at: dict[int, float] = {}  # when a worker was given something while idle, or had answered something
        self.broken: BaseException | None = None
        self.when_broken: Callable[[], object] = lambda: None
        self.closed = False
        self.todo: deque[commands.Command] = deque()
        self._channel_class = channel_class()
        self._withdrawals: dict[int, None] = {}
        self._looks: dict[int, None] = {}
        self.obituaries: dict[int, Obituary] = {}  # of the latest workers that were lost
        self.keeper = Keeper(self)
        self.asked: dict[int, Cause] = {}  # workers whose item was asked to end, and why
        self.recall_wanted = False
        self._performing = False
        self._perform: dict[type, Callable[[Any], None]] = {
            commands.Send: self._send,
            commands.Resolve: self._resolve,
            commands.ResolveItems: self._resolve_items,
            commands.MarkRunning: self._mark_running,
            commands.Withdraw: self._withdraw,
            commands.Recall: self._recall,
            commands.Look: self._look,
            commands.Ask: self._ask,
            commands.Spawn: self._spawn,
            commands.Stop: self._stop,
            commands.Kill: self.kill,
            commands.Cancel: self.cancel,
            commands.Drop: self.cancel,
            commands.FailItem: self._fail_item,
            commands.TryAgain: self.try_again,
            commands.GiveUp: self.give_up,
            commands.Expire: self.expire,
            commands.FailAll: self.fail_all,
            commands.Broken: self._break,
            commands.Narrowed: self._narrowed,
            commands.Closed: self._close,
        }

    @abstractmethod
    def watch(self, fd: int, source: Callable[[int], object]) -> None:
        """Call `source(fd)` when `fd` is readable."""

    @abstractmethod
    def unwatch(self, fd: int) -> None:
        """No longer."""

    @abstractmethod
    def await_room(self, channel: Channel) -> None:
        """Go on sending when the task pipe takes more."""

    # -- the step ------------------------------------------------------------------------------------------------

    def step(self, event: events.Event) -> None:
        """Tell the core and do what it says."""
        with tasks.LOCK:  # claims and cancels exclude each other
            self.todo.extend(self.core.step(event))
        self.perform()

    def perform(self) -> None:
        """Do what is to be done; called while that is going on, leaves it to who does it."""
        if self._performing:
            return
        self._performing = True
        try:
            todo = self.todo
            while True:
                if todo:
                    command = todo.popleft()
                    self._perform[type(command)](command)
                elif self._looks:
                    wid, _ = self._looks.popitem()
                    self.look(wid)
                elif self._withdrawals:
                    wid, _ = self._withdrawals.popitem()
                    self._answer_withdrawal(wid)
                elif self.recall_wanted:
                    self.recall_wanted = not self.recall_lane()
                    if self.recall_wanted:
                        break
                else:
                    break
        finally:
            self._performing = False

    def _recall(self, _command: commands.Recall) -> None:
        self.recall_wanted = True

    @abstractmethod
    def recall_lane(self) -> bool:
        """Let no caller hand anything to the lent worker any more, and tell the core; False: not yet possible."""

    @abstractmethod
    def read_notes(self) -> None:
        """Hear of what callers have handed to the lent worker."""

    @abstractmethod
    def receive(self, channel: Channel) -> None:
        """There is something to read from this worker."""

    def _look(self, command: commands.Look) -> None:
        self._looks[command.wid] = None

    def look(self, wid: int) -> None:
        """Tell all that this worker has published, and that this is all."""
        channel = self.channels.get(wid)
        if channel is not None:
            self.keeper.looked(wid, channel.catch_up())

    def _ask(self, command: commands.Ask) -> None:
        channel = self.channels.get(command.wid)
        if channel is not None:
            self.asked[command.wid] = command.cause
            self.ran_ns[command.wid] = self.core.workers[command.wid].ran_ns
            channel.ask()

    def _withdraw(self, command: commands.Withdraw) -> None:
        self._withdrawals[command.wid] = None

    def _answer_withdrawal(self, wid: int) -> None:
        channel = self.channels.get(wid)
        if channel is not None:
            count = channel.withdraw()
            self.read_notes()  # one of these tokens may be a caller's
            with tasks.LOCK:
                self.todo.extend(self.core.step(events.Withdrawn(wid, count)))

    # -- workers -------------------------------------------------------------------------------------------------

    def _spawn(self, command: commands.Spawn) -> None:
        wid = command.wid
        assert self.launcher is not None
        channel = None
        try:
            channel = self._channel_class(wid, self.codec, self)  # type: ignore[arg-type]  # the loop hears
            self.channels[wid] = channel
            self.launcher.start(wid, channel.child, self.config)
        except Exception as error:
            if channel is not None:
                channel.close_child_ends()
                self.close_channel(channel)
            reason = explained(error) if isinstance(error, OSError) else error
            with tasks.LOCK:
                self.todo.extend(self.core.step(events.StartFailed(wid, reason, fatal=False)))
            return
        channel.close_child_ends()
        self.starting.add(wid)

        self.watch_results(channel)

    def watch_results(self, channel: Channel) -> None:
        """Read what the worker says when it says it."""

        def receive(_fd: int) -> None:
            self.heard_at[channel.wid] = monotonic()
            self.receive(channel)
            if channel.ended:
                self.unwatch(channel.results_fd)  # the end is known from the reaper, not from here

        self.watch(channel.results_fd, receive)

    def close_channel(self, channel: Channel) -> None:
        """Its worker is gone and nothing more can come."""
        self.unwatch(channel.results_fd)
        self.unwatch(channel.tasks_fd)
        del self.channels[channel.wid]
        self.heard_at.pop(channel.wid, None)
        self.moved_at.pop(channel.wid, None)
        self.asked.pop(channel.wid, None)
        self.forget_killed(channel.wid)
        channel.close()

    def _send(self, command: commands.Send) -> None:
        channel = self.channels.get(command.wid)
        worker = self.core.workers.get(command.wid)
        if worker is not None and worker.items <= command.tokens:
            self.moved_at[command.wid] = monotonic()
        if channel is not None and not channel.send(command.number, command.tasks, command.tokens):
            self.await_room(channel)

    def _stop(self, command: commands.Stop) -> None:
        channel = self.channels.get(command.wid)
        if channel is not None and not channel.stop():
            self.await_room(channel)

    # -- outcomes ------------------------------------------------------------------------------------------------

    def _resolve(self, command: commands.Resolve) -> None:
        self.done += len(command.outcomes)
        if self.core.ruled:
            self.annotate(command.tasks, command.outcomes)
        self.call_back(tasks.resolve(command.tasks, command.outcomes))

    def _resolve_items(self, command: commands.ResolveItems) -> None:
        task, count = command.task, len(command.outcomes)
        assert isinstance(task, ChunkTask)
        if not task.run.whole:  # answered for good: their bodies, which may be large, are not needed any more
            at = task.low - task.start + command.start
            bodies: Any = task.bodies  # a list, since they were encoded
            bodies[at : at + count] = [None] * count
        self.answer_items(command)

    def _mark_running(self, command: commands.MarkRunning) -> None:
        if isinstance(command.task, CallFuture):
            command.task.mark_running()

    def _fail_item(self, command: commands.FailItem) -> None:
        self.fail_item(command, self.obituaries.get(command.wid, UNKNOWN))

    # -- the pool ------------------------------------------------------------------------------------------------

    def _break(self, command: commands.Broken) -> None:
        self.broken = start_error(command.reason)
        self.when_broken()

    def _narrowed(self, command: commands.Narrowed) -> None:
        text = "no further workers can be started, going on with %d: %s"
        say(logging.WARNING, text, command.width, command.reason)

    def _close(self, _command: commands.Closed) -> None:
        self.closed = True
