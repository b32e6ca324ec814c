"""The picture of the report in docs/seeing.md: a program with errors and a death is traced, and its report is shot.

    python -m tests.browser.picture docs/report.png

Needs what `make e2e` needs. The page stays beside the picture's name as report.html, for looking at.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from procession import Pool, SpinOff, trace
from tests.browser.conftest import started

PAGES = 900
WIDTH, HEIGHT = 1400, 1150


def tokenize(page: int) -> Counter[str]:
    """Some milliseconds of honest work; a page in a hundred is no good."""
    if page % 97 == 5:
        raise ValueError(f"page {page} is not UTF-8")
    text = f"the quick brown fox {page} jumps over the lazy dog " * (300 + page * 7919 % 900)
    return Counter(word.lower() for word in text.split())


def thumbnail(image: int) -> bytes:
    """A picture made small, over and over; one crashes its decoder."""
    if image == 17:
        os.kill(os.getpid(), signal.SIGKILL)
    lines = [bytes((x * y + image) % 256 for x in range(220)) for y in range(110 + image % 40)]
    return b"".join(line[::4] for line in lines[::4])


def fetch(url: int) -> int:
    """What waits for somebody else."""
    time.sleep(0.004 + url % 7 * 0.002)
    if url % 41 == 3:
        raise OSError(f"address {url} does not answer")
    return url


def program(path: Path) -> None:
    """Two pools at once, and a last item that keeps all waiting."""
    with trace(path), Pool(4) as pool, SpinOff(fetch, workers=3, backend="threads", on_error="return") as out:
        for url in range(260):
            out.put(url)
        words = pool.imap(tokenize, range(PAGES), on_error="return")
        small = pool.imap(thumbnail, range(60), on_error="return")
        sum(1 for _ in words)
        sum(1 for _ in small)
        pool.submit(thumbnail, 4000).result()


def main(target: str) -> None:
    folder = Path(tempfile.mkdtemp())
    page = folder / "report.html"
    sys.argv[:] = ["shop.py", "--all"]
    program(page)
    with started() as browser:
        browser.set_window_size(WIDTH, HEIGHT)
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False},
        )
        browser.get(page.as_uri())
        while not browser.execute_script("return document.documentElement.dataset.complete"):
            time.sleep(0.05)
        time.sleep(0.3)
        browser.save_screenshot(target)
    shutil.copy(page, Path(target).with_suffix(".html"))


if __name__ == "__main__":
    main(sys.argv[1])
