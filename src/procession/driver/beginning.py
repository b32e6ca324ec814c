"""How an engine of processes begins: with its first task, and with the zygote.

A fresh program waits for the zygote before anything else. So that is started first, and what drives the pool is
imported while it comes up: the modules that are loaded until then name little at their tops, and `arrange` the rest.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable

from procession import tapping
from procession.backends.base import Widening
from procession.backends.joinable import JoinableThread
from procession.backends.unstruck import unstruck
from procession.driver.looks import ProcessLooks
from procession.driver.tapped import TappedProcesses

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from typing import Any

    from procession.backends.base import WorkerConfig
    from procession.backends.zygote_client import ZygoteClient
    from procession.driver.callbacks import Callbacks
    from procession.driver.inbox import Inbox
    from procession.driver.loop import Driver
    from procession.transport.codec import Codec


class Beginning(ProcessLooks, TappedProcesses, Widening):
    """The part of `ProcessEngine` that starts it."""

    among: int
    callbacks: Callbacks
    last_words: tuple[list[Any], list[Any]]
    _starting: threading.RLock
    _config: WorkerConfig
    _mp_context: BaseContext | None
    _max_tasks: int | None
    _preload: tuple[str, ...]
    _limits: tuple[float | None, int | tuple[int, int] | None]
    _name: str
    _closing: bool
    _ruled: bool
    _dropped: list[None]
    door: Any
    """The short way of plain calls, on the fast lane; None without it."""
    codec: Codec
    encode: Callable[..., object]
    """See `Engine.encode`; the codec's own, which saves each submit a frame."""
    kit: Any
    """The module `arrange`, with all that the driver's modules are asked for here."""

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """These when they are first asked for: before the start, if something is wanted of a pool then."""
            if name in ("core", "codec", "encode", "kit"):
                # Not by the main thread: a signal handler that submits waits for another one, which imports all this.
                unstruck(self.load_kit if name == "kit" else self._load)
                return vars(self)[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @abstractmethod
    def _refuse(self) -> None:
        """Raise what a task is answered with that cannot be taken, if so it is."""

    @abstractmethod
    def _run(self, driver: Driver, inbox: Inbox) -> None:
        """What the driver's thread does."""

    @property
    @abstractmethod
    def takes_work(self) -> bool:
        """See `Engine.takes_work`."""

    @abstractmethod
    def _close_door(self) -> None:
        """No more tasks are taken."""

    def _open_door(self, inbox: Inbox) -> None:
        """Plain calls may take the short way from now on; unless the pool was closed meanwhile."""
        if self.door is not None:
            inbox.let_in(self.door, self.codec.entries)
            if not self.takes_work:
                self.door.close()

    def load_kit(self) -> None:
        """Import what drives a pool; may be called again."""
        from procession.driver import arrange

        self.kit = arrange

    def _load(self) -> None:
        """Whoever comes first has made them, and no lock is held: whoever waits for us may hold any."""
        from procession.backends.arenas import Arenas
        from procession.core.policy import Profile
        from procession.core.pool import PoolCore
        from procession.transport.codec import Codec

        core = PoolCore(self.max_workers, max_tasks_per_child=self._max_tasks)
        if self.cap is not None:
            from procession.core.auto import AutoWidth

            core.auto = AutoWidth(self.max_workers, self.cap)
        core, codec = vars(self).setdefault(
            "_first", (core, Codec(Profile, supply=Arenas(self.cap or self.max_workers)))
        )
        vars(self).update(core=core, codec=codec, encode=codec.encode)
        if tapping.tap is not None:
            self.note_encoding(tapping.tap)

    def _start(self) -> Inbox:
        """Start the driver, whole; by this very thread with a context, since `fork` comes before all threads."""
        if self._mp_context is None:
            unstruck(self._start_here)
        return self._start_here()

    def _start_here(self) -> Inbox:
        from procession.backends import launch

        with self._starting:
            if self.inbox is not None:
                return self.inbox
            self._refuse()
            config = self._config
            context = launch.choose(self._mp_context, config.initargs, config.initializer).context
            ahead = _zygote_ahead() if context is None else None
            try:
                return self._begin(context)
            except OSError as error:
                raise launch.explained(error) from error
            finally:
                if ahead is not None:
                    ahead.leave()  # the launcher has entered meanwhile, or there is none

    def _begin(self, context: BaseContext | None) -> Inbox:
        """With a context workers are not started by the zygote; else that is coming up meanwhile."""
        self.load_kit()
        self._load()
        kit = self.kit
        inbox: Inbox = kit.Inbox()
        driver: Driver = kit.Driver(self.core, inbox, self.codec, self.callbacks)
        driver.when_broken = self._close_door
        driver.limit(kit.limits(*self._limits))
        if self.core.auto is not None:
            driver.measure(self.core.auto, self.resized)
        driver.door = self.door
        try:
            kit.arrange(driver, self.codec, self._config, context, self._preload, self.among)
            self._driver = driver
            if tapping.tap is not None:
                self.track(tapping.tap)
            if driver.launcher is not None and driver.launcher.eager:
                driver.step(kit.events.StartWorkers(self.max_workers))
            inbox.tell_last(kit.events.ShutdownAsked(False), self.last_words)
            thread = JoinableThread(self._run, self._name, (driver, inbox))
            self._thread = thread
            self.inbox = inbox
            if self._ruled:  # in this order: whoever says so meanwhile finds the inbox, or is seen here
                inbox.ruled = True
            thread.start()
            self._open_door(inbox)
        except BaseException:
            if self._thread is None or self._thread.ident is None:
                self.last_words[0].clear()
                self.inbox = self._driver = self._thread = None
                driver.close()
                inbox.close()
            raise
        if self._closing or self._dropped:  # meanwhile; whoever said so did not wait, and saw no inbox
            self._request(kit.events.ShutdownAsked(False))
        return inbox


def _zygote_ahead() -> ZygoteClient | None:
    """A user of the zygote, which is started if there is none; whoever gets one lets it go by `leave`."""
    from procession.backends.launch import SERVE
    from procession.backends.zygote_client import ZygoteClient

    try:
        return ZygoteClient.enter(SERVE)
    except OSError:
        return None  # the launcher will meet the same, and tell


__all__ = ["Beginning"]
