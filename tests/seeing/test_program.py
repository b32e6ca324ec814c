"""Whole programs on a terminal: streams in streams and threads, and ^C."""

from __future__ import annotations

import sys
from pathlib import Path

import pexpect
import pyte

NESTED = """
import threading, time
from procession import Pool, SpinOff

def work(n):
    time.sleep(0.005)
    if n == 7:
        raise ValueError(n)
    return n

def thread():
    with SpinOff(work, backend="threads", progress=True, name="spun", on_error="skip") as spin:
        spin.put_many(range(30))

if __name__ == "__main__":
    threads = [threading.Thread(target=thread) for _ in range(2)]
    for each in threads:
        each.start()
    with Pool(2, backend="threads") as pool:
        inner = pool.options(name="inner").imap(work, range(40), progress=True, on_error="skip")
        for n in pool.options(name="outer").imap(work, inner, progress=True, on_error="skip"):
            if n % 10 == 0:
                print("taken", n)
    for each in threads:
        each.join()
    print("the end")
"""

ENDLESS = """
import itertools, time
from procession import Pool

def work(n):
    time.sleep(0.01)
    return n

if __name__ == "__main__":
    with Pool(2, backend="threads") as pool:
        for n in pool.imap(work, itertools.count(), progress=True):
            if n == 5:
                print("it runs")
            time.sleep(0)
"""


def screen_of(tmp_path: Path, program: str, interrupt: bool = False) -> tuple[list[str], pexpect.spawn]:
    """What is on the screen when it has ended."""
    script = tmp_path / "program.py"
    script.write_text(program)
    screen = pyte.Screen(100, 24)
    stream = pyte.Stream(screen)
    child = pexpect.spawn(sys.executable, ["-u", str(script)], dimensions=(24, 100), encoding="utf-8", timeout=60)
    if interrupt:
        for awaited in ("it runs", "work"):  # it prints, and there is a bar
            child.expect(awaited)
            stream.feed(child.before + child.after)
        child.sendintr()
    child.expect(pexpect.EOF)
    stream.feed(child.before)
    child.close()
    assert not screen.cursor.hidden
    return [row.rstrip() for row in screen.display if row.strip()], child


def test_bars_of_streams_in_streams_and_threads_are_whole(tmp_path: Path) -> None:
    rows, child = screen_of(tmp_path, NESTED)
    assert child.exitstatus == 0, rows
    bars = [row for row in rows if "━" in row]
    assert sorted(row.split()[0] for row in bars) == ["inner", "outer", "spun", "spun"]
    for row in bars:
        label = row.split()[0]
        assert {"inner": " 40/40 100% ", "outer": " 39/39 100% ", "spun": " 30/30 100% "}[label] in row
        assert ("1 error" in row) == (label != "outer")
    rest = [row for row in rows if row not in bars]
    assert rest == ["taken 0", "taken 10", "taken 20", "taken 30", "the end"]


def test_interrupted(tmp_path: Path) -> None:
    rows, child = screen_of(tmp_path, ENDLESS, interrupt=True)
    bars = [row for row in rows if "work " in row and "stopped" in row]  # behind the terminal's own ^C, it may be
    assert len(bars) == 1, rows
    (bar,) = bars
    assert bar.endswith(" stopped")
    assert rows[-1].endswith("KeyboardInterrupt"), rows
    assert child.signalstatus == 2 or child.exitstatus == 130
