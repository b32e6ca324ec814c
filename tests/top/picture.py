"""docs/top.svg: the screen of `procession top`, cell by cell, while a program runs.

python -m tests.top.picture docs/top.svg
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import pyte

from tests.seeing.picture import CELL, COLUMNS, LINE, svg

ROWS = 32
SECONDS = 6.0

PROGRAM = """
import random, sys, threading, time
from procession import Pool, SpinOff

def resize(path, width):
    end = time.monotonic() + 0.15 + random.random() / 4
    while time.monotonic() < end:
        sum(range(1000))
        time.sleep(0.001)
    if path.endswith("7.png"):
        raise ValueError(f"{path}: not a PNG, or a broken one")

def fetch(url):
    time.sleep(0.3 + random.random() / 2)

def detect(frame):
    time.sleep(3.0 if frame % 40 == 20 else 0.06)
    return frame

if __name__ == "__main__":
    pool, net, spin = Pool(3), Pool(2, backend="threads"), SpinOff(detect, workers=2)

    def feed():
        for frame in range(10_000):
            spin.put(frame)

    def take():
        for frame in spin:
            pass

    for each in (feed, take):
        threading.Thread(target=each, daemon=True).start()
    for number in range(100_000):
        while pool.stats().pending > 40:
            time.sleep(0.02)
        pool.submit(resize, f"img{number:04}.png", width=80)
        net.submit(fetch, f"https://example.org/{number}") if number % 8 == 0 else None
"""


def screen() -> pyte.Screen:
    """What is seen after some seconds, one worker being selected."""
    shown = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(shown)
    with tempfile.TemporaryDirectory(prefix="ptop", dir="/tmp") as folder:
        script = Path(folder) / "nightly.py"
        script.write_text(PROGRAM)
        here = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        environ = {
            **os.environ,
            "PATH": here,
            "XDG_RUNTIME_DIR": folder,
            "PROCESSION_TOP": "1",
            "TERM": "xterm-256color",
        }
        program = subprocess.Popen(["python", "nightly.py"], cwd=folder, env=environ)
        try:
            while not (Path(folder) / "procession" / f"{program.pid}.sock").exists():
                time.sleep(0.05)
            words = ["-c", "import sys; from procession.cli import main; sys.exit(main())", "top", str(program.pid)]
            child = pexpect.spawn(sys.executable, words, env=environ, dimensions=(ROWS, COLUMNS), encoding="utf-8")
            end = time.monotonic() + SECONDS
            child.send("jj")
            while time.monotonic() < end or "is what they wait for" not in "\n".join(shown.display):
                try:
                    stream.feed(child.read_nonblocking(1 << 16, 0.2))
                except pexpect.TIMEOUT:
                    continue
            child.send("q")
            child.close()
        finally:
            program.kill()
            program.wait()
    return shown


def selected(shown: pyte.Screen) -> str:
    """What lies behind the line that is selected."""
    rows = [y for y in range(ROWS) if shown.buffer[y][4].reverse]
    box = '<rect x="12" y="{}" width="{:g}" height="19" fill="#3a4250"/>'
    return "".join(box.format(30 + y * LINE, (COLUMNS - 1) * CELL) + "\n" for y in rows)


if __name__ == "__main__":
    seen = screen()
    made = svg(seen).replace("<g ", selected(seen) + "<g ", 1)
    # Spaces between columns are to stay.
    made = re.sub(r">([^<]+)</text>", lambda text: text[0].replace(" ", "\N{NO-BREAK SPACE}"), made)
    Path(sys.argv[1]).write_text(made, encoding="utf-8")
