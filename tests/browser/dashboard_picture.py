"""The picture of the dashboard in docs/seeing.md: a program with errors and a slow item runs, and its page is shot.

    python -m tests.browser.dashboard_picture docs/dashboard.png

Needs what `make e2e` needs. It takes a minute, so that there is something in the charts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.conftest import started
from tests.browser.dashboards import DashboardPage

WIDTH, HEIGHT = 1400, 1330
SECONDS = 60.0

PROGRAM = """
import math, random, threading, time
from procession import Pool, SpinOff

def resize(path, width):
    end = time.monotonic() + 0.15 + random.random() / 4
    while time.monotonic() < end:
        sum(range(1000))
        time.sleep(0.004)
    if path.endswith("07.png"):
        raise ValueError(f"{path}: not a PNG, or a broken one")

def detect(frame):
    time.sleep(6.0 if frame % 220 == 20 else 0.06)
    return frame

def feed(spin):
    for frame in range(100_000):
        spin.put(frame)

def take(spin):
    for frame in spin:
        pass

if __name__ == "__main__":
    pool, spin = Pool(4, dashboard=True), SpinOff(detect, workers=2)
    print(pool.dashboard, flush=True)
    for each in (feed, take):
        threading.Thread(target=each, args=(spin,), daemon=True).start()
    for number in range(100_000):
        while pool.stats().pending > 60 + 40 * math.sin(time.monotonic() / 6):
            time.sleep(0.02)
        pool.submit(resize, f"img{number:04}.png", width=80)
"""


def main(target: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pweb", dir="/tmp") as folder:
        (Path(folder) / "nightly.py").write_text(PROGRAM)
        path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        environ = {**os.environ, "PATH": path, "XDG_RUNTIME_DIR": folder, "PROCESSION_TOP": "1"}
        command = ["python", "nightly.py", "--all"]
        program = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
        try:
            assert program.stdout is not None
            address = program.stdout.readline().strip()
            with started() as browser:
                page = DashboardPage(browser)
                page.sizes(WIDTH, HEIGHT)
                page.prefers(color_scheme="light")
                page.open(address)
                end = time.monotonic() + SECONDS
                page.patience = 2 * SECONDS
                page.until(lambda: time.monotonic() > end and page.all("tr[data-long]"))
                browser.save_screenshot(target)
                browser.get("about:blank")
        finally:
            program.kill()
            program.wait()


if __name__ == "__main__":
    main(sys.argv[1])
