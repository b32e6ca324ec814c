"""What is answered to a browser: the page, the stream of events, what is to be done, and the numbers.

`GET /` the page, `GET /page/NAME` its files, `GET /events` the stream (`events.py`), `POST /do` something for a pool,
`GET /metrics` for Prometheus and its like (`metrics.py`). Each request passes `Guard` first.
"""

from __future__ import annotations

import asyncio
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from procession.cli.top_asking import Gone, Refused
from procession.cli.web import access, metrics
from procession.cli.web.events import Events, Message, Receive, Send
from procession.cli.web.feed import Feed
from procession.seeing.attending import wire

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MOST_BODY = 4096
"""Bytes of what is to be done."""
ACTIONS = ("dump", "resize", "drain", "kill")
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Askable(Protocol):
    """See `source.Source`."""

    def count(self) -> dict[str, Any]:
        """Blocks; raises Gone or Refused."""
        ...

    def act(self, do: str, **words: int) -> dict[str, Any]:
        """Blocks; raises Gone or Refused."""
        ...


class Guard:
    """Lets in who may, and puts `access.HEADERS` on every answer."""

    def __init__(self, app: Any, guard: access.Access) -> None:
        self._app = app
        self._access = guard

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in access.HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *ours]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        verdict = self._access.judge(scope["method"], scope["path"], query, headers)
        answer: Any = self._app
        if isinstance(verdict, access.Refused):
            if scope["method"] == "POST":
                answer = _json({"error": verdict.text}, verdict.status)
            else:
                answer = PlainTextResponse(f"{verdict.text}\n", verdict.status)
        elif isinstance(verdict, access.Enter):
            with_cookie = {"set-cookie": verdict.cookie}
            if verdict.directly:
                answer = RedirectResponse("/", 303, with_cookie)
            else:
                answer = HTMLResponse(GO_ON, 200, with_cookie)
        await answer(scope, receive, guarded)


GO_ON = '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"></html>\n'


class Answers:
    """To requests that were let in."""

    def __init__(self, feed: Feed, source: Askable) -> None:
        self._feed = feed
        self._source = source
        self._tally = metrics.Tally()
        self._counting = asyncio.Lock()

    async def page(self, request: Request) -> Response:
        """One of the page's files."""
        from starlette.responses import PlainTextResponse, Response

        name = request.path_params.get("name", "index.html")
        kind = KINDS.get(name.rpartition(".")[2])
        folder = files("procession.cli.web").joinpath("page")
        if kind is None or name not in {each.name for each in folder.iterdir()}:
            return PlainTextResponse("there is no such file\n", 404)
        return Response(folder.joinpath(name).read_bytes(), media_type=kind)

    async def events(self, request: Request) -> Response:
        """What there is to be seen, as it changes."""
        if request.method == "HEAD":  # an answer without a body, and so without an end that would ever come
            return _empty("text/event-stream")
        answer: Any = Events(self._feed)
        return answer  # type: ignore[no-any-return]  # an application of ASGI, too

    async def do(self, request: Request) -> Response:
        """Something for a pool."""
        from starlette.requests import ClientDisconnect

        body = b""
        try:
            async for each in request.stream():
                body += each
                if len(body) > MOST_BODY:
                    return _json({"error": f"more than {MOST_BODY} bytes"}, 413)
        except ClientDisconnect:
            return _json({"error": "this was not said to its end"}, 400)  # which nobody reads
        try:
            said = wire.request(body, versioned=False)
            if said["do"] not in ACTIONS:
                raise wire.Nonsense(f"do must be one of {', '.join(ACTIONS)}; got {said['do']!r}")
            words = {name: said[name] for name in wire.REQUESTS[said["do"]]}
            reply = await asyncio.to_thread(self._source.act, said["do"], **words)
        except wire.Nonsense as nonsense:
            return _json({"error": str(nonsense)}, 400)
        except Refused as refused:
            return _json({"error": str(refused)}, 409)
        except Gone as gone:
            return _json({"error": str(gone)}, 410)
        self._feed.hurry()
        return _json(reply)

    async def metrics(self, request: Request) -> Response:
        """The numbers."""
        from starlette.responses import PlainTextResponse, Response

        try:
            async with self._counting:
                now = await asyncio.to_thread(self._source.count)
                cpu = self._tally.take(now)
        except (Gone, Refused) as trouble:
            return PlainTextResponse(f"{trouble}\n", 503)
        text, kind = metrics.answer(now, cpu, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": kind})


def make_app(feed: Feed, source: Askable, guard: access.Access) -> Guard:
    """All of it, as an application of ASGI."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    answers = Answers(feed, source)
    app: Starlette = Starlette(
        routes=[
            Route("/", answers.page),
            Route("/page/{name}", answers.page),
            Route("/events", answers.events),
            Route("/do", answers.do, methods=["POST"]),
            Route("/metrics", answers.metrics),
        ]
    )
    return Guard(app, guard)


def _empty(kind: str) -> Response:
    from starlette.responses import Response

    return Response(media_type=kind)


def _json(what: object, status: int = 200) -> Response:
    from starlette.responses import Response

    return Response(json.dumps(what), status, media_type="application/json")


__all__ = ["make_app"]
