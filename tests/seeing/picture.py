"""docs/progress.svg: the screen of a terminal, cell by cell, while a program with bars runs there.

    python -m tests.seeing.picture docs/progress.svg

What is drawn is what a terminal makes of the bytes that the program has written (pyte keeps the screen); the picture is
taken when the program says so, by a control sequence that shows nothing.
"""

from __future__ import annotations

import sys
import tempfile
from html import escape
from pathlib import Path

import pexpect
import pyte

COLUMNS, ROWS = 110, 16
PICTURE = "\x1b]1337;picture\x07"
CELL, LINE, SIZE = 8.0, 19, 13.3
FONTS = "ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace"
PALETTE = {
    "default": "#d6d8dc",
    "cyan": "#4fc1d9",
    "green": "#7cc36e",
    "brown": "#d9b44f",
    "red": "#f0716b",
    "brightblack": "#80868f",
}

PROGRAM = f"""
import os, sys, time
from pathlib import Path
from procession import Pipeline, Pool, Stage

def thumbnail(n):
    time.sleep(0.012)
    return n

def parse(n):
    time.sleep(0.07)
    if n == 31 and not Path(sys.argv[1]).exists():
        Path(sys.argv[1]).touch()
        os._exit(9)
    if n % 13 == 5:
        raise ValueError(n)
    return n

def decode(n):
    time.sleep(0.05)
    return n

def infer(n):
    time.sleep(0.06)
    return n

if __name__ == "__main__":
    with Pool(4) as pool:
        print("$ python nightly.py")
        print(sum(pool.options(name="thumbnails").imap(thumbnail, range(400), progress=True)), "bytes of thumbnails")
        runs = Pipeline(Stage(decode, workers=2), Stage(infer, workers=2)).run(range(200), progress=True)
        parsed = pool.options(name="parse", retries=2).imap(parse, range(300), progress=True, on_error="skip")
        for n, _ in zip(parsed, runs):
            if n == 40:
                print("forty files, and it is going on")
            if n == 90:
                time.sleep(0.15)
                print({PICTURE!r}, end="", flush=True, file=sys.__stdout__)
                break
"""


def screen() -> pyte.Screen:
    """The screen, when the program wants to be looked at."""
    shown = pyte.Screen(COLUMNS, ROWS)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "nightly.py"
        script.write_text(PROGRAM)
        words = [str(script), str(Path(folder) / "died")]
        child = pexpect.spawn(sys.executable, words, dimensions=(ROWS, COLUMNS), encoding="utf-8", timeout=60)
        child.expect_exact(PICTURE)
        pyte.Stream(shown).feed(child.before)
        child.expect(pexpect.EOF)
        child.close()
    return shown


def svg(shown: pyte.Screen) -> str:
    """The screen as a picture, without the empty rows at its end."""
    used = max((y for y, row in enumerate(shown.display) if row.strip()), default=0) + 1
    width, height = COLUMNS * CELL + 24, used * LINE + 40
    found = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" width="{width:g}">',
        f'<rect width="{width:g}" height="{height}" rx="8" fill="#1b1e24"/>',
        *(f'<circle cx="{18 + 16 * n}" cy="14" r="4.5" fill="#454b55"/>' for n in range(3)),
        f'<g font-family="{FONTS}" font-size="{SIZE}">',
    ]
    for y in range(used):
        x = 0
        while x < COLUMNS:
            cell = shown.buffer[y][x]
            start, text = x, ""
            while x < COLUMNS and (each := shown.buffer[y][x])[1:] == cell[1:]:
                text += each.data
                x += 1
            if text.strip():
                found.append(_text(text.strip(), start + len(text) - len(text.lstrip()), y, cell))
    return "\n".join([*found, "</g>", "</svg>", ""])


def _text(text: str, x: int, y: int, cell: pyte.screens.Char) -> str:
    color = PALETTE.get(cell.fg, PALETTE["default"])
    bold = ' font-weight="bold"' if cell.bold else ""
    places = f'x="{12 + x * CELL:g}" y="{44 + y * LINE}" textLength="{len(text) * CELL:g}"'
    return f'<text {places} lengthAdjust="spacingAndGlyphs" fill="{color}"{bold}>{escape(text)}</text>'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(screen()), encoding="utf-8")
