"""A client of a debugger that speaks the Debug Adapter Protocol, as an editor is one: no more than tests need."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

PATIENCE = 60.0
Message = dict[str, Any]


class Dap:
    """One session with one process that is debugged."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), PATIENCE)
        self._file = self._socket.makefile("rwb")
        self._asked = 0
        self._kept: list[Message] = []

    def __enter__(self) -> Dap:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def begin(self, breakpoints: dict[str, list[int]], **attach: Any) -> None:
        """Attach, set breakpoints (path -> lines), and let it run."""
        self.ask("initialize", adapterID="tests", clientID="tests")
        self.send("attach", **{"justMyCode": False} | attach)
        self.event("initialized")
        for path, lines in breakpoints.items():
            self.ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": line} for line in lines])
        self.ask("configurationDone")

    def send(self, command: str, **arguments: Any) -> int:
        self._asked += 1
        request = {"seq": self._asked, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._file.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._file.flush()
        return self._asked

    def ask(self, command: str, **arguments: Any) -> Any:
        """The body of the answer."""
        number = self.send(command, **arguments)
        answer = self._first(lambda message: message.get("request_seq") == number)
        assert answer["success"], answer
        return answer.get("body")

    def event(self, name: str) -> Any:
        """The body of the next event of this name."""
        return self._first(lambda message: message.get("event") == name).get("body")

    def stopped(self) -> tuple[int, Message]:
        """Wait until it stops: the thread, and its innermost frame."""
        thread: int = self.event("stopped")["threadId"]
        return thread, self.ask("stackTrace", threadId=thread)["stackFrames"][0]

    def locals(self, frame: Message) -> dict[str, str]:
        """Names and values, as text."""
        scope = self.ask("scopes", frameId=frame["id"])["scopes"][0]
        found = self.ask("variables", variablesReference=scope["variablesReference"])["variables"]
        return {each["name"]: each["value"] for each in found}

    def _first(self, wanted: Callable[[Message], bool]) -> Message:
        for at, message in enumerate(self._kept):
            if wanted(message):
                return self._kept.pop(at)
        while True:
            message = self._read()
            if wanted(message):
                return message
            self._kept.append(message)

    def _read(self) -> Message:
        size = None
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            if name == b"Content-Length":
                size = int(value)
        assert size is not None, "the debugger has closed the connection"
        message: Message = json.loads(self._file.read(size))
        return message
