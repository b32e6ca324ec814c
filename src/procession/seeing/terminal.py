"""Bars on a terminal: one live display of rich for all of this process, at the bottom of what it prints.

Laws
1. The cursor is never hidden, so no end of the program leaves it so.
2. While bars are shown, what is written to `sys.stdout` and `sys.stderr` is printed above them; each of the two only if
   it is this terminal: what goes to a file still goes there, to the byte. So is what handlers of logging write to them
   that were there before. What is written to the descriptor itself, by C code or by child processes, begins where the
   last bar does, since the cursor rests there, and the bar is drawn again below.
3. They are put back only where they still are what we have put there. One that somebody has kept writes on, to what it
   stands for; so does one in a forked child, without our lock.
4. A terminal that has been stopped (Ctrl-S) is not written to: who is stuck in that at the end of the program would
   take it along. What ends meanwhile has no last line.
5. A broken pipe is an error like others (rich would turn stdout to /dev/null, and end the program).
"""

from __future__ import annotations

import io
import logging
import os
import select
import sys
import threading
from _thread import get_ident

from procession.seeing.display import Display, says_all
from procession.seeing.lines import spaced, whole

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

    from procession.seeing.display import Bar

STYLES = {
    "full": "cyan",
    "empty": "bright_black",
    "count": "bold",
    "bad": "bold red",
    "note": "bright_black",
    "time": "",
    "rate": "",
    "label": "",
    "": "",
}


class Terminal(Display):
    """See the module."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._live: Any = None
        self._stand_ins: dict[str, StandIn] = {}
        self._handlers: list[tuple[logging.StreamHandler[Any], StandIn]] = []  # those that write to a stand-in now
        self._lock = threading.RLock()  # what is printed is not drawn into what is painted

    def paint(self, live: Sequence[Bar], over: Sequence[Bar], now: float) -> None:
        """See `Display`."""
        with self._lock:
            self._paint(live, over, now)

    def _paint(self, live: Sequence[Bar], over: Sequence[Bar], now: float) -> None:
        from rich.console import Group

        if not _has_room(self._file):
            if not live:  # nobody saw them, and nobody waits until they can be seen
                self._live = None
                self._give_back()
            return
        screen = self._live or self._start()
        console = screen.console
        _measure(console)
        width = max(20, console.size.width - 1)  # some terminals fold when the last column is written
        last = [text for each in over for text in self._texts(each, now, width, over=True)]
        if live:
            drawn = [text for each in live for text in self._texts(each, now, width, over=False)]
            with console:  # all in one piece: what is printed draws the bars as they were, once more
                for text in last:
                    console.print(text, soft_wrap=True)
                screen.update(Group(*drawn), refresh=True)
                _rest(console)
        else:
            screen.update(Group(*last), refresh=False)
            self.leave()

    def _texts(self, bar: Bar, now: float, width: int, *, over: bool) -> list[Any]:
        from rich.text import Text

        ascii_only = not says_all(self._file)
        found = []
        for line in bar.lines(now, width, over=over, ascii_only=ascii_only):
            text = Text(no_wrap=True, overflow="crop")
            for part, kind in spaced(line):
                part = part.encode("ascii", "replace").decode() if ascii_only else part
                text.append(part, self._style(kind, bar, over))
            found.append(text)
        return found[:1] if over else found

    @staticmethod
    def _style(kind: str, bar: Bar, over: bool) -> str:
        if kind == "full" and over:
            return "green" if whole(bar.sight) and not bar.sight.errors else "yellow"
        return STYLES[kind]

    def _start(self) -> Any:
        console = _console(self._file)
        screen = self._live = _live(console)
        screen.start()
        for name in ("stdout", "stderr"):
            stream = behind(getattr(sys, name))
            if _is_plain(stream) and same_terminal(stream, self._file):
                stand_in = self._stand_ins[name] = StandIn(stream, console, self._lock)
                setattr(sys, name, stand_in)
                self._handlers += [(each, stand_in) for each in _handlers_of(stream)]
        for handler, stand_in in self._handlers:
            handler.stream = stand_in
        return screen

    def leave(self) -> None:
        """See `Display`."""
        with self._lock:
            live, self._live = self._live, None
            try:
                if live is not None:
                    live.stop()
            finally:
                self._give_back()

    def _give_back(self) -> None:
        for name, stand_in in self._stand_ins.items():
            if getattr(sys, name) is stand_in:
                setattr(sys, name, stand_in.stream)
            stand_in.end()
        for handler, stand_in in self._handlers:
            if handler.stream is stand_in:
                handler.stream = stand_in.stream
        self._stand_ins, self._handlers = {}, []

    def forsake(self) -> None:
        """See `Display`."""
        self._live, self._lock = None, threading.RLock()
        for stand_in in self._stand_ins.values():
            stand_in.forget()
        self._give_back()


class StandIn(io.TextIOBase):
    """What `sys.stdout` or `sys.stderr` is while bars are shown: whole lines are printed above them."""

    def __init__(self, stream: Any, console: Any, lock: Any) -> None:
        self.stream = stream
        self.console = console
        self._lock = lock
        self._begun: dict[int, str] = {}  # lines that are not whole yet, of each thread

    def write(self, text: str) -> int:
        """See `io.TextIOBase`."""
        if self.console is None:
            return self.stream.write(text)  # type: ignore[no-any-return]
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        me = get_ident()
        with self._lock:
            lines, newline, rest = (self._begun.pop(me, "") + text).rpartition("\n")
            if rest:
                self._begun[me] = rest
            if newline:
                self._print(lines)
        return len(text)

    def flush(self) -> None:
        """See `io.TextIOBase`. What is no whole line is made one, as rich does it."""
        if self.console is not None:
            with self._lock:
                if line := self._begun.pop(get_ident(), ""):
                    self._print(line)
        self.stream.flush()

    def _print(self, lines: str) -> None:
        from rich.text import Text

        console: Any = self.console
        if console is None:  # the last bar has gone meanwhile
            self.stream.write(lines + "\n")
            return
        try:
            with console:
                console.print(Text.from_ansi(lines), soft_wrap=True, crop=False, highlight=False)
                _rest(console)
        except Exception:  # whatever is wrong with the terminal is the stream's to say
            self.stream.write(lines + "\n")

    def end(self) -> None:
        """There are no bars any more: what was begun goes where it belongs."""
        with self._lock:
            self.console, begun = None, [*self._begun.values()]
            self._begun.clear()
        for line in begun:
            self.stream.write(line)

    def forget(self) -> None:
        """What was begun is the parent's to write, and so is the lock."""
        self.console, self._begun, self._lock = None, {}, threading.RLock()

    def fileno(self) -> int:
        """See `io.IOBase`."""
        return self.stream.fileno()  # type: ignore[no-any-return]

    def isatty(self) -> bool:
        """See `io.IOBase`."""
        return self.stream.isatty()  # type: ignore[no-any-return]

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """See `io.TextIOBase`."""
        return self.stream.encoding  # type: ignore[no-any-return]

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """See `io.TextIOBase`."""
        return self.stream.errors  # type: ignore[no-any-return]

    @property
    def closed(self) -> bool:
        """See `io.IOBase`."""
        return self.stream.closed  # type: ignore[no-any-return]

    def close(self) -> None:
        """See `io.IOBase`: it is the stream's own."""

    def writable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def behind(stream: Any) -> Any:
    """What a stand-in stood for that somebody has put back; any other stream itself."""
    return stream.stream if isinstance(stream, StandIn) and stream.console is None else stream


def _is_plain(stream: Any) -> bool:
    """It is what writes, and nothing that stands for it, as for tasks whose output is captured, or for rich."""
    return isinstance(stream, io.TextIOBase) and not hasattr(stream, "rich_proxied_file")


def _handlers_of(stream: Any) -> list[logging.StreamHandler[Any]]:
    """The handlers of logging that write to it; each once."""
    found: dict[logging.StreamHandler[Any], None] = {}
    for logger in (logging.root, *logging.root.manager.loggerDict.copy().values()):
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                found[handler] = None
    return list(found)


def _has_room(file: TextIO) -> bool:
    """Writing does not wait."""
    try:
        return bool(select.select([], [file.fileno()], [], 0)[1])
    except (OSError, ValueError):  # it is no descriptor that could be asked
        return True


def _rest(console: Any) -> None:
    """Leave the cursor at the beginning of the last bar."""
    from rich.control import Control
    from rich.segment import ControlType

    console.control(Control(ControlType.CARRIAGE_RETURN))


def same_terminal(stream: Any, file: Any) -> bool:
    try:
        return bool(stream.isatty()) and os.fstat(stream.fileno()).st_rdev == os.fstat(file.fileno()).st_rdev
    except Exception:  # one of them has no descriptor, or is closed
        return stream is file


def _measure(console: Any) -> None:
    """Rich asks the standard streams how large the terminal is, of which none may be this one."""
    try:
        columns, lines = os.get_terminal_size(console.file.fileno())
    except (OSError, ValueError):
        return
    if columns > 0 and lines > 0 and "COLUMNS" not in os.environ:
        console.size = (columns, lines)


def _console(file: TextIO) -> Any:
    from rich.console import Console

    class Quiet(Console):
        """See the laws."""

        def show_cursor(self, show: bool = True) -> bool:
            return False

        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704  # it is called where the error is handled

    return Quiet(file=file, highlight=False)


def _live(console: Any) -> Any:
    from rich.live import Live

    return Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)


__all__ = ["StandIn", "Terminal", "behind", "same_terminal"]
