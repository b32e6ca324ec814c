"""What a browser does, as far as the server can tell: requests, a cookie, a stream of events."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.top.running import PATIENCE


class Browser:
    """At the address that was printed; it has the cookie when it has been there."""

    def __init__(self, address: str) -> None:
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([A-Za-z0-9_.~-]+)", address.strip())
        assert found, address
        self.port, self.token = int(found[1]), found[2]
        self.cookie = ""

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and text."""
        with self.asked(path, method, body, **headers) as reply:
            return reply.status, reply.headers, reply.read().decode()

    @contextmanager
    def asked(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie and "cookie" not in said:
            said["cookie"] = self.cookie
        if body is not None:
            said.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, None if body is None else json.dumps(body), said)
            yield connection.getresponse()
        finally:
            connection.close()

    def enter(self) -> Browser:
        """By the address with the token."""
        status, headers, _ = self.ask(f"/?token={self.token}")
        assert (status, headers["location"]) == (303, "/")
        self.cookie = headers["set-cookie"].partition(";")[0]
        return self

    def do(self, **words: Any) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        status, _, text = self.ask("/do", "POST", words)
        return status, json.loads(text)

    @contextmanager
    def tab(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """Its events, until the server ends them."""
        with self.asked("/events") as reply:
            assert reply.status == 200
            assert reply.headers["content-type"].startswith("text/event-stream")
            yield events(reply)


def events(reply: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Kind and data."""
    kind = ""
    while line := reply.readline().decode():
        name, _, value = line.rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)
