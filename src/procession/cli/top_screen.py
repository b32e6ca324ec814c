"""`procession top` on a terminal: the whole screen, one write a frame, and keys.

Laws
1. However it ends, the terminal is as it was: its screen, its modes and its cursor. Ctrl-Z does nothing meanwhile.
2. A frame is put together first, and written at once; so nothing flickers, and nothing is half there.
3. The program is asked by threads: one that does not answer keeps nobody from leaving.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from procession.cli.top_asking import Gone, Program, Refused, find
from procession.cli.top_keys import ERROR_STACK, Act, State, pressed
from procession.cli.top_view import Key, Kind, Line, Look, Piece, keys, lines, story
from procession.cli.top_words import clean, cut, folds

if TYPE_CHECKING:
    from types import FrameType

TICK = 0.5
STYLES: Mapping[Kind, str] = {
    "plain": "",
    "title": "bold",
    "head": "underline",
    "dim": "dim",
    "bad": "bold red",
    "good": "green",
    "busy": "cyan",
    "pool": "bold",
}


class Painter:
    """Lines to what a terminal is sent; raises ImportError without rich."""

    def __init__(self) -> None:
        from rich.console import Console

        self._system = Console().color_system

    def paint(self, shown: Sequence[Line], selected: Key | None, width: int) -> list[str]:
        """One text a line."""
        from rich.console import Console
        from rich.text import Text

        out = io.StringIO()
        system: Any = self._system
        console = Console(
            file=out,
            force_terminal=True,
            color_system=system,
            width=max(width, 20) + 8,
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
        )
        for line in shown:
            text = Text.assemble(*((piece.text, STYLES[piece.kind]) for piece in line.pieces), no_wrap=True)
            if line.key is not None and line.key == selected:
                text.pad_right(max(0, width - text.cell_len))
                text.stylize("reverse")
            console.print(text, soft_wrap=True)
        return out.getvalue().split("\n")[: len(shown)]


def compose(state: State, look: Look | None, width: int, height: int) -> tuple[list[Line], list[Key]]:
    """The lines of a frame, and what can be selected."""
    room = max(1, height - 1)
    if state.mode == "text":
        folded = [part for each in state.text for part in folds(clean(each), width)]
        state.most = len(folded)
        state.scroll = min(state.scroll, max(0, len(folded) - room))
        body = [Line((Piece(each),)) for each in folded[state.scroll : state.scroll + room]]
        more = f"{state.scroll + 1} to {state.scroll + len(body)} of {len(folded)} lines, any key: back"
        return [*body, *[Line(())] * (room - len(body)), Line((Piece(cut(more, width), "dim"),))], []
    shown = [Line((Piece("asking ..."),))] if look is None else lines(look, width, state.sort)
    chosen = keys(shown)
    state.settle(chosen)
    at = next((place for place, line in enumerate(shown) if line.key is not None and line.key == state.selected), 0)
    first = min(max(0, at - room + 2), max(0, len(shown) - room)) if at >= room - 1 else 0
    body = shown[first : first + room]
    footer = Line((Piece(cut(state.footer, width), "dim" if state.mode == "list" and not state.message else "title"),))
    return [*body, *[Line(())] * (room - len(body)), footer], chosen


@contextmanager
def whole_screen(given: int, shown: int) -> Iterator[None]:
    """Law 1."""
    before = termios.tcgetattr(given)
    try:
        tty.setcbreak(given)
        mode = termios.tcgetattr(given)
        mode[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(given, termios.TCSANOW, mode)
        write(shown, "\x1b[?1049h\x1b[?25l\x1b[2J")
        yield
    finally:
        with suppress(OSError):
            write(shown, "\x1b[?25h\x1b[?1049l")
        termios.tcsetattr(given, termios.TCSADRAIN, before)


def write(fd: int, text: str) -> None:
    """All of it."""
    rest = memoryview(text.encode(sys.stdout.encoding or "utf-8", "replace"))
    while rest:
        rest = rest[os.write(fd, rest) :]


class View:
    """One program, on one terminal."""

    def __init__(self, program: Program, interval: float) -> None:
        """Raises ImportError without rich."""
        self._painter = Painter()
        self._program = program
        self._interval = interval
        self._state = State()
        self._look: Look | None = None
        self._chosen: list[Key] = []
        self._came: deque[Callable[[], None]] = deque()
        self._gone: Gone | None = None
        self._over = threading.Event()
        self._given, self._shown = sys.stdin.fileno(), sys.stdout.fileno()
        self._bell, self._ringer = os.pipe()
        os.set_blocking(self._ringer, False)

    def run(self) -> None:
        """Until somebody leaves. Raises Gone when the program has ended."""
        asker = threading.Thread(target=self._keep_looking, daemon=True)
        handlers = {signal.SIGTERM: _leave, signal.SIGHUP: _leave, signal.SIGWINCH: lambda *_: self._ring()}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            with whole_screen(self._given, self._shown):
                asker.start()
                while not self._state.over:
                    self._paint()
                    self._wait()
                    if self._gone is not None:
                        raise self._gone
        finally:
            self._over.set()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self) -> None:
        ready, _, _ = select.select([self._given, self._bell], [], [], TICK)
        if self._bell in ready:
            os.read(self._bell, 4096)
        while self._came:
            self._came.popleft()()
        if self._given in ready:
            came = os.read(self._given, 1024)
            if not came:
                self._state.over = True
            height = os.get_terminal_size(self._shown).lines
            for key in pressed(came.decode(errors="replace")):
                act = self._state.press(key, self._chosen, max(1, height - 1))
                if act is not None and act.do == ERROR_STACK:
                    if self._look is not None:
                        self._state.show(story(self._look, act.words["place"]))
                elif act is not None:
                    threading.Thread(target=self._act, args=(act,), daemon=True).start()
                if self._state.over:
                    return

    def _paint(self) -> None:
        width, height = os.get_terminal_size(self._shown)
        width = max(1, width - 1)  # some terminals fold when the last column is written
        shown, chosen = compose(self._state, self._look, width, height)
        if self._state.mode == "list":
            self._chosen = chosen
        painted = self._painter.paint(shown, self._state.selected if self._state.mode != "text" else None, width)
        write(self._shown, "\x1b[H" + "\x1b[K\r\n".join(painted[:height]) + "\x1b[K\x1b[J")

    # -- other threads -----------------------------------------------------------------------------------------------

    def _ring(self) -> None:
        with suppress(OSError):
            os.write(self._ringer, b".")

    def _tell(self, what: Callable[[], None]) -> None:
        self._came.append(what)
        self._ring()

    def _keep_looking(self) -> None:
        try:
            while not self._over.is_set():
                now = self._program.ask("look")
                self._tell(lambda now=now: self._saw(now))  # type: ignore[misc]
                self._over.wait(self._interval)
        except (Gone, Refused) as error:
            gone = error if isinstance(error, Gone) else Gone(str(error))
            self._tell(lambda: self._lose(gone))

    def _saw(self, now: Mapping[str, Any]) -> None:
        self._look = Look(now, None if self._look is None else self._look.now)

    def _lose(self, gone: Gone) -> None:
        self._gone = gone

    def _act(self, act: Act) -> None:
        reply: Mapping[str, Any] | str
        try:
            with closing(find(self._program.pid)) as another:
                reply = another.ask(act.do, **act.words)
        except (Gone, Refused) as error:
            reply = str(error)
        self._tell(lambda: self._state.answered(act, reply))


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


__all__ = ["Painter", "View", "compose", "whole_screen"]
