"""A dashboard in the browser: what one can do with it, what one sees; and a server that says what a test wants said."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

PATIENCE = 30.0
KINDS = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class DashboardPage:
    """See the module."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.expected = ""
        """What stands in errors of the console that a test provokes."""
        self.patience = PATIENCE

    def open(self, address: str) -> DashboardPage:
        """Show it, and wait for the first look."""
        self.browser.get(address)
        self.until(lambda: self.script("return document.documentElement.dataset.shown"))
        return self

    def script(self, text: str, *words: object) -> Any:
        return self.browser.execute_script(text, *words)

    def module(self, text: str, *words: object) -> Any:
        """What the body of an async function returns, in which the page's modules can be imported."""
        call = f"(async () => {{ {text} }})().then(done, (error) => done(`${{error}}`))"
        return self.browser.execute_async_script(f"const done = arguments[arguments.length - 1]; {call}", *words)

    def until(self, found: Callable[[], Any], what: str = "") -> Any:
        """What `found` gives as soon as it is true. Elements that go while they are looked at are looked for again."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        ignored = (StaleElementReferenceException,)
        wait = WebDriverWait(self.browser, self.patience, poll_frequency=0.03, ignored_exceptions=ignored)
        return wait.until(lambda _: found(), what)

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        """Of the first such element; empty if there is none, or it is not seen."""
        return self.script(
            "const found = document.querySelector(arguments[0]);"
            "return found && found.checkVisibility() ? found.innerText.trim() : ''",
            selector,
        )

    def texts(self, selector: str) -> list[str]:
        return self.script(
            "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", selector
        )

    def press(self, *keys: str) -> None:
        """Struck one after the other, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.browser, duration=0).send_keys(*keys).perform()

    def focused(self, *names: str) -> str:
        """What the element with the focus has as `data-`, or as its id."""
        return self.script(
            "const at = document.activeElement;"
            "return arguments[0].map((name) => at.dataset[name] ?? '').join(' ') || at.id",
            names,
        )

    # -------------------------------------------------------------------------------------------------- what is shown

    def state(self) -> str:
        return self.text("#state")

    def tile(self, pool: int, name: str) -> str:
        """A number of a pool, as it is written."""
        return self.script(
            "return document.querySelector(arguments[0])?.textContent ?? ''",
            f"[data-pool='{pool}'] [data-tile='{name}'] dd > span",
        )

    def number(self, pool: int, name: str) -> float:
        """The same as a number; -1 while there is none."""
        try:
            return float(self.tile(pool, name).split(" ")[0].replace(",", ""))
        except ValueError:
            return -1.0

    def workers(self, pool: int) -> list[int]:
        """In the order in which they are shown."""
        return self.script(
            "return [...document.querySelectorAll(arguments[0])].map((line) => Number(line.dataset.worker))",
            f"[data-pool='{pool}'] tr[data-worker]",
        )

    def cell(self, pool: int, wid: int, name: str) -> str:
        return self.text(f"[data-pool='{pool}'] tr[data-worker='{wid}'] .c-{name}")

    def sizes(self, width: int, height: int, *, mobile: bool = False, ratio: float = 1) -> None:
        """Of the window, from now on; the fixture takes it back."""
        words = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": mobile}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", words)

    def prefers(self, **features: str) -> None:
        """What the system is said to prefer: `color_scheme="dark"`."""
        said = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": said})


class Server:
    """Serves the page, and says to all who listen what `say` is given; who comes later is told the last look first."""

    def __init__(self) -> None:
        self.asked: queue.Queue[dict[str, Any]] = queue.Queue()
        """What the page wanted done."""
        self.answer: tuple[int, dict[str, Any]] = (200, {"done": "so"})
        self.listening = threading.Semaphore(0)
        """Released when somebody has begun to listen."""
        self._lock = threading.Lock()
        self._queues: list[queue.Queue[bytes | None]] = []
        self._last = b""
        self._port = 0
        self._http: _Http | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """At the port of before, if there was one."""
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = _Http(("127.0.0.1", self._port), handler)
        self._port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """End all that there is between it and the page."""
        assert self._http is not None
        self._http.shutdown()
        self._thread.join()
        with self._lock:
            for each in self._queues:
                each.put(None)
        self._http.hang_up()
        self._http.server_close()

    def say(self, event: str, said: Any) -> None:
        data = said if isinstance(said, str) else json.dumps(said)
        told = f"event: {event}\ndata: {data}\n\n".encode()
        with self._lock:
            if event == "look":
                self._last = told
            for each in self._queues:
                each.put(told)

    def listen(self) -> queue.Queue[bytes | None]:
        mine: queue.Queue[bytes | None] = queue.Queue()
        with self._lock:
            if self._last:
                mine.put(self._last)
            self._queues.append(mine)
        self.listening.release()
        return mine

    def leave(self, mine: queue.Queue[bytes | None]) -> None:
        with self._lock:
            self._queues.remove(mine)


class _Http(ThreadingHTTPServer):
    """A browser keeps connections for what may come; they are closed when nothing more is to come, and no sooner."""

    daemon_threads = False  # they are waited for

    def __init__(self, *words: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*words)

    def get_request(self) -> tuple[socket.socket, Any]:
        made, address = super().get_request()
        self._open.add(made)
        return made, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/events":
            self._events()
            return
        name = "index.html" if path == "/" else path.removeprefix("/page/")
        self._reply(200, KINDS[name.rpartition(".")[2]], (PAGE / name).read_bytes())

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.owner.asked.put(said)
        status, reply = self.owner.answer
        self._reply(status, "application/json", json.dumps(reply).encode())

    def _events(self) -> None:
        self._head(200, "text/event-stream")
        self.close_connection = True
        mine = self.owner.listen()
        try:
            while (told := mine.get()) is not None:
                self.wfile.write(told)
        except OSError:
            pass  # the page has gone
        finally:
            self.owner.leave(mine)

    def _head(self, status: int, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in POLICY.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _reply(self, status: int, kind: str, content: bytes) -> None:
        self._head(status, kind, len(content))
        with suppress(OSError):  # a page that has gone meanwhile
            self.wfile.write(content)

    def log_message(self, *_words: Any) -> None:
        pass


def seen(server: Server, page: DashboardPage, *looks: dict[str, Any]) -> None:
    """Open the page, with these looks, the last of which is shown."""
    server.say("look", looks[0])
    page.open(server.address)
    for each in looks[1:]:
        say(server, page, each)


def say(server: Server, page: DashboardPage, told: dict[str, Any]) -> None:
    """One look more; it is shown when this returns."""
    server.say("look", told)
    page.until(lambda: page.script("return document.documentElement.dataset.shown") == f"{told['at']:g}")


PAGE = files("procession.cli") / "web" / "page"
POLICY = {"content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}


@contextmanager
def served() -> Iterator[Server]:
    """A server, until the end."""
    server = Server()
    try:
        yield server
    finally:
        server.stop()
