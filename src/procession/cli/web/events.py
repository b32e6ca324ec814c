"""The stream of events to one tab (text/event-stream), as an application of ASGI.

Laws
1. A tab is told what is new as fast as it takes it. One that takes nothing for STUCK seconds, or has gone, is left.
2. After PING seconds without news it is sent a comment: a connection that is dead is found out by that.
3. At most MOST tabs at once; one more is told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from procession.cli.web.feed import Feed, Said, Watcher

PING = 10.0
STUCK = 30.0
MOST = 64

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def written(said: Sequence[Said]) -> bytes:
    """As it goes over the wire; no news are a comment. The data are JSON of one line."""
    if not said:
        return b": ping\n\n"
    return "".join(f"event: {each.kind}\ndata: {each.data}\n\n" for each in said).encode()


class Events:
    """The answer to one tab."""

    def __init__(self, feed: Feed, ping: float = PING, stuck: float = STUCK) -> None:
        self._feed = feed
        self._ping = ping
        self._stuck = stuck

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if self._feed.watchers >= MOST:
            await _refuse(send)
            return
        with self._feed.watcher() as watcher:  # counted before anything is awaited: many may come at once
            telling = asyncio.ensure_future(self._tell(watcher, send))
            leaving = asyncio.ensure_future(_left(receive))
            try:
                await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (telling, leaving):
                    each.cancel()
                with suppress(asyncio.CancelledError, TimeoutError, OSError):
                    await telling

    async def _tell(self, watcher: Watcher, send: Send) -> None:
        kind = (b"content-type", b"text/event-stream; charset=utf-8")
        await send({"type": "http.response.start", "status": 200, "headers": [kind]})
        while (news := await watcher.next(self._ping)) is not None:
            async with asyncio.timeout(self._stuck):
                await send({"type": "http.response.body", "body": written(news), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send) -> None:
    text = f"too many tabs look on already ({MOST})".encode()
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": 503, "headers": [kind]})
    await send({"type": "http.response.body", "body": text})


__all__ = ["MOST", "Events", "written"]
