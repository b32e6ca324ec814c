"""What a process of a cluster hosts for us: agents, each by its key; called by name from what a cluster runs there.

Laws
1. A call of an agent that has not begun waits for it: calls may overtake each other on their way. One of an agent that
   has ended, or never begins, fails after PATIENCE.
2. The zygote, by which agents start workers, stays for KEPT seconds after the last agent: the next one finds it up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from procession.backends.zygote_client import ZygoteClient

PATIENCE = 30.0
KEPT = 10.0
SERVE = "procession.worker.loop:serve"


class Hosting:
    """The agents of this process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._agents: dict[str, Any] = {}
        self._ended: dict[str, None] = {}
        self._zygote: ZygoteClient | None = None
        self._timer: threading.Timer | None = None

    def begin(self, key: str, make: Callable[[Any], Any], setting: Any) -> None:
        """An agent of this key; when this returns it can be called."""
        self._hold_zygote()
        made = make(setting)
        with self._changed:
            self._agents[key] = made
            self._changed.notify_all()

    def call(self, key: str, name: str, args: tuple[Any, ...], patience: float = PATIENCE) -> Any:
        """`agent.name(*args)`: a future of its answer, or the answer."""
        return getattr(self._agent(key, patience), name)(*args)

    def answer(self, key: str, name: str, args: tuple[Any, ...]) -> Any:
        """The same; waits for it."""
        found = self.call(key, name, args)
        return found.result() if isinstance(found, Future) else found

    def end(self, key: str) -> None:
        """Close it. Twice is no error."""
        with self._changed:
            agent = self._agents.pop(key, None)
            self._ended[key] = None
            if len(self._ended) > 1000:
                del self._ended[next(iter(self._ended))]
            self._changed.notify_all()
        if agent is not None:
            agent.close()
            self._let_go_later()

    def _agent(self, key: str, patience: float) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: key in self._agents or key in self._ended, patience)
            if key not in self._agents:
                raise RuntimeError("this agent has been closed" if key in self._ended else "there is no such agent")
            return self._agents[key]

    def _hold_zygote(self) -> None:
        with self._changed:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._zygote is not None and self._zygote.ended():
                self._zygote.leave()
                self._zygote = None
            if self._zygote is None:
                with suppress(OSError):  # the agent will meet the same, and tell
                    self._zygote = ZygoteClient.enter(SERVE)

    def _let_go_later(self) -> None:
        with self._changed:
            if not self._agents and self._timer is None:
                self._timer = threading.Timer(KEPT, self._let_go)
                self._timer.daemon = True
                self._timer.start()

    def _let_go(self) -> None:
        with self._changed:
            self._timer = None
            zygote, self._zygote = (None, self._zygote) if self._agents else (self._zygote, None)
        if zygote is not None:
            zygote.leave()


here = Hosting()
"""That of this process."""

__all__ = ["SERVE", "Hosting", "here"]
