"""A report in the browser: what one can do with it, and what one sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from procession.seeing.page import write_html
from procession.seeing.recording import Recording
from procession.seeing.verdict import Verdict

PATIENCE = 30.0


class Range(NamedTuple):
    """What the timeline shows, in nanoseconds since the recording began."""

    since: float
    until: float

    @property
    def length(self) -> float:
        return self.until - self.since


class ReportPage:
    """See the module."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self.browser = browser
        self.path = folder / "run.html"

    def open(self, recording: Recording, said: Verdict | None = None) -> ReportPage:
        """Write it, show it, and wait until all of it is there."""
        write_html(recording, self.path, said=said)
        return self.load()

    def load(self) -> ReportPage:
        self.browser.get(self.path.as_uri())
        self.until(lambda: self.script("return document.documentElement.dataset.complete"))
        return self

    def script(self, text: str, *words: object) -> Any:
        return self.browser.execute_script(text, *words)

    def until(self, found: Callable[[], Any]) -> Any:
        """What `found` gives as soon as it is true."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, PATIENCE, poll_frequency=0.02).until(lambda _: found())

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.script("return document.querySelector(arguments[0]).textContent", selector)

    def console(self) -> list[dict[str, Any]]:
        return self.browser.get_log("browser")

    # ------------------------------------------------------------------------------------------------- the timeline

    def shown(self) -> Range:
        return Range(
            *map(float, self.script("const {from, to} = document.getElementById('rows').dataset; return [from, to]"))
        )

    def changed(self, before: Range) -> Range:
        """What is shown as soon as that is something else."""
        return self.until(lambda: (now := self.shown()) != before and now)

    def act(self) -> Any:
        from selenium.webdriver import ActionChains

        return ActionChains(self.browser, duration=0)

    def place(self, share: float, row: float = 0.5) -> tuple[int, int]:
        """Where that share of what is shown is, from the middle of the canvas, in the first row."""
        box = self.script(
            "const box = document.getElementById('bars').getBoundingClientRect(); return [box.width, box.height]"
        )
        gutter = 156 if box[0] >= 640 else 58
        return round(gutter + share * (box[0] - gutter) - box[0] / 2), round(38 + 11 + row * 4 - box[1] / 2)

    def keys(self, *keys: str) -> None:
        """Struck while the rows have the focus."""
        self.script("document.getElementById('rows').focus()")
        self.act().send_keys(*keys).perform()

    def search(self, query: str, *more: str) -> str:
        """Look for it; what is then said of hits."""
        box = self.find("#query")
        box.clear()
        box.send_keys(query, *more)
        return self.until(lambda: self.text("#hits"))

    def details(self) -> str:
        """Of the task that is chosen; empty if none is."""
        return self.script(
            "const found = document.getElementById('details'); return found.hidden ? '' : found.innerText"
        )
