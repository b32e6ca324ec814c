"""What all tabs are told: one asker looks at the program for all of them, each takes what is new when it can.

Laws
1. The program is asked only while there is a watcher: at once for the first, then every INTERVAL seconds, and at once
   after `hurry`. When the last has left, the connection is given up, and the program measures nothing any more.
2. There is one state for all: the latest look, and what is to be said of it (trouble, or that all is over). A watcher
   has nothing but the number of what it was told last. So a slow one skips looks, delays nobody, and leaves nothing
   behind.
3. Who comes is told the latest look at once, unless nobody watched until now: then that is old, and a new one comes.
4. A program that does not answer is trouble, told once for each text, and asked on; the next look ends it.
5. After `end` there is no more news: each watcher is told the latest look if it lacks it, then that it is over, and
   then None for ever.

All on one event loop, but for the questions, which are asked on threads of the loop's executor.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from procession.cli.top_asking import Gone, Refused

INTERVAL = 1.0
SOON = 0.25
"""Seconds until a program that did not answer is asked again; also how long the news of its end may take."""

LOOK, TROUBLE, OVER = "look", "trouble", "over"


class Lookable(Protocol):
    """See `source.Source`."""

    def look(self) -> dict[str, Any]:
        """Blocks; raises Gone or Refused."""
        ...

    def rest(self) -> None:
        """Nobody looks on."""
        ...

    def hang_up(self) -> None:
        """Have a `look` return."""
        ...


class Said:
    """An event of the stream: its kind and its JSON; `number`: of all that were said."""

    __slots__ = ("data", "kind", "number")

    def __init__(self, number: int, kind: str, what: object) -> None:
        self.number = number
        self.kind = kind
        self.data = json.dumps(what, separators=(",", ":"))


class Watcher:
    """Somebody who looks on, in `with feed.watcher() as watcher`."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._told = 0

    async def next(self, patience: float) -> list[Said] | None:
        """What is new to this one, awaited so many seconds; [] when there was nothing; None: that was all."""
        feed = self._feed
        if not feed.news_since(self._told):
            if feed.is_over:
                return None
            try:
                # Not `wait_for`: until Python 3.12 it may take news for an answer to who cancels it, and go on.
                async with asyncio.timeout(patience):
                    await feed.changed.wait()
            except TimeoutError:
                return []
        news = feed.news_since(self._told)
        self._told = max([self._told, *(each.number for each in news)])
        return news


class Feed:
    """Of one program."""

    def __init__(self, source: Lookable, interval: float = INTERVAL, soon: float = SOON) -> None:
        self.changed = asyncio.Event()
        """Set, and replaced, with each change."""
        self.watchers = 0
        self.is_over = False
        self._source = source
        self._interval = interval
        self._soon = soon
        self._number = 0
        self._look: Said | None = None
        self._note: Said | None = None
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ended = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    # -- watchers ----------------------------------------------------------------------------------------------------

    @contextmanager
    def watcher(self) -> Iterator[Watcher]:
        """Look on, inside of the block."""
        self.watchers += 1
        self._wanted.set()
        self._empty.clear()
        if self.watchers == 1:
            self._hurry.set()
        try:
            yield Watcher(self)
        finally:
            self.watchers -= 1
            if not self.watchers:
                self._wanted.clear()
                self._empty.set()
                self._hurry.set()
                if not self.is_over:
                    self._look = self._note = None

    def news_since(self, number: int) -> list[Said]:
        """What was said later, in its order."""
        return [each for each in (self._look, self._note) if each is not None and each.number > number]

    def hurry(self) -> None:
        """Something was done: look now."""
        self._hurry.set()

    def end(self, text: str, last: Sequence[Mapping[str, Any]] = ()) -> None:
        """It is over, and why. May be called again. `last`: of pools what has changed since the latest look."""
        if not self.is_over:
            self.is_over = True
            if self._look is not None and last:
                self._say(LOOK, with_last(json.loads(self._look.data), last))
            self._say(OVER, {"text": text})
            self._ended.set()
            self._hurry.set()
            self._wanted.set()
            self._source.hang_up()

    async def left(self) -> None:
        """Until nobody watches."""
        await self._empty.wait()

    # -- the asker ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `end`."""
        while not self.is_over:
            await self._wanted.wait()
            while self.watchers and not self.is_over:
                self._hurry.clear()
                pause = await self._ask()
                try:
                    await asyncio.wait_for(self._hurry.wait(), pause)
                except TimeoutError:
                    pass
            self._source.rest()

    async def _ask(self) -> float:
        """How long to wait until the next time."""
        try:
            now = await asyncio.to_thread(self._source.look)
        except Exception as error:
            trouble = str(error) if isinstance(error, (Gone, Refused)) else f"it cannot be looked at: {error!r}"
            try:  # if it has ended, that is what there is to be said
                await asyncio.wait_for(self._ended.wait(), self._soon)
            except TimeoutError:
                self._complain(trouble)
            return self._soon
        if not self.is_over and self.watchers:
            self._say(LOOK, now)
        return self._interval

    def _complain(self, text: str) -> None:
        if self.watchers and (self._note is None or self._note.data != Said(0, TROUBLE, {"text": text}).data):
            self._say(TROUBLE, {"text": text})

    def _say(self, kind: str, what: object) -> None:
        self._number += 1
        said = Said(self._number, kind, what)
        if kind == LOOK:
            self._look, self._note = said, None
        else:
            self._note = said
        self.changed.set()
        self.changed = asyncio.Event()


def with_last(look: dict[str, Any], last: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As it looks when these pools have ended: with their last numbers, and without work, workers or streams."""
    ended = {pool["number"]: pool for pool in last}
    nothing = dict.fromkeys(("workers", "idle", "busy", "starting", "queued", "running"), 0)
    for pool in look["pools"]:
        if pool["number"] in ended:
            pool.update(nothing, rows=[], rate=None, **ended[pool["number"]])
    look["streams"] = [stream for stream in look["streams"] if stream.get("engine") not in ended]
    return look


__all__ = ["INTERVAL", "LOOK", "OVER", "TROUBLE", "Feed", "Lookable", "Said", "Watcher", "with_last"]
