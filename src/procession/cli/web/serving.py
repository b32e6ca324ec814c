"""The server: an event loop on which uvicorn serves until the program has ended or somebody wants an end.

Laws
1. It listens at 127.0.0.1 and nowhere else; the socket is there before, and is handed in.
2. The end of the program is known from the kernel (a pidfd), not from its silence. Then all tabs are told, and the
   server ends when they have been, or after LINGER seconds.
3. ^C and SIGTERM end the streams first: nobody waits for a tab to go by itself.
4. Ending takes some seconds at most, whatever tabs and the program do.
5. A connection that has not said in SILENCE seconds what it wants is closed: so many of those as there may be would
   keep everybody else out, and they need no token.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from procession.cli.web.access import Access
from procession.cli.web.app import make_app
from procession.cli.web.feed import Feed
from procession.cli.web.source import Source
from procession.seeing.attending import address

LINGER = 1.0
FINISH = 2
"""Seconds that answers under way have when the server ends."""
SILENCE = 10.0
POLL = 1.0
"""Seconds between two looks whether the program is there, where the kernel does not tell."""


def serve(
    pid: int, listener: socket.socket, token: str, orders: int | None = None, ready: Callable[[], object] = bool
) -> bool:
    """Until the program has ended: True; or somebody wants an end.

    orders: a pipe from the program that says when it wants the end, see `Orders`. ready: called when requests are
    answered. Raises KeyboardInterrupt when it was ^C.
    """
    return asyncio.run(_Serving(pid, listener, token).run(orders, ready), debug=False)


class _Serving:
    def __init__(self, pid: int, listener: socket.socket, token: str) -> None:
        self._pid = pid
        self._listener = listener
        self._source = Source(pid)
        self._feed = Feed(self._source)
        self._app = make_app(self._feed, self._source, Access(token, listener.getsockname()[1]))

    async def run(self, orders: int | None, ready: Callable[[], object]) -> bool:
        loop = asyncio.get_running_loop()
        # From a signal's handler, in the midst of anything.
        server = _server(self._app, lambda: loop.call_soon_threadsafe(self._feed.end, STOPPED), ready)
        asking = asyncio.ensure_future(self._feed.run())
        serving = asyncio.ensure_future(server.serve(sockets=[self._listener]))
        watching = asyncio.ensure_future(watch(self._pid, orders))
        ended = False
        try:
            await asyncio.wait((serving, watching, asking), return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and not serving.done():
                ended = True
                self._feed.end(*watching.result())
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER):
                        await self._feed.left()
        finally:
            self._feed.end(STOPPED)
            server.should_exit = True
            watching.cancel()
            await asyncio.wait((serving, watching, asking))
        serving.result()
        asking.result()
        return ended


STOPPED = "the dashboard has been stopped"


Last = list[dict[str, Any]]
"""Of pools, by their number: what of the latest look is to be replaced, since they have ended."""


async def watch(pid: int, orders: int | None = None) -> tuple[str, Last]:
    """Until the program has ended, or says by `orders` that it does not need this any more; what is to be said then."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[tuple[str, Last]] = loop.create_future()
    gone = f"program {pid} has ended"
    words = bytearray()

    def say(text: str, last: Last) -> None:
        if not heard.done():
            heard.set_result((text, last))

    def read() -> None:
        assert orders is not None
        came = os.read(orders, 1 << 16)
        words.extend(came)
        if not came:
            say(
                *((DISMISSED, json.loads(words[len(address.OVER) :])) if words.startswith(address.OVER) else (gone, []))
            )

    with ExitStack() as stack:
        if orders is not None:
            loop.add_reader(orders, read)
            stack.callback(loop.remove_reader, orders)
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return gone, []
        except (AttributeError, OSError):  # not this system's, or no descriptor is left
            _look_after(pid, heard.done, lambda: say(gone, []))
        else:
            stack.callback(os.close, pidfd)
            loop.add_reader(pidfd, say, gone, [])
            stack.callback(loop.remove_reader, pidfd)
        return await heard


DISMISSED = "the last pool with a dashboard has ended"


def _look_after(pid: int, over: Callable[[], bool], say: Callable[[], None]) -> None:
    if not os.path.exists(f"/proc/{pid}"):
        say()
    elif not over():
        asyncio.get_running_loop().call_later(POLL, _look_after, pid, over, say)


def _server(app: Any, stop: Callable[[], object], ready: Callable[[], object]) -> Any:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Connection(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(SILENCE, self._mind)

        def _mind(self) -> None:
            asked: Any = self.cycle
            if asked is None:
                self.transport.close()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        def handle_exit(self, sig: int, frame: Any) -> None:
            stop()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=256,
        timeout_graceful_shutdown=FINISH,
    )
    return Server(config)


__all__ = ["DISMISSED", "serve", "watch"]
