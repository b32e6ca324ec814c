"""Bars on a real terminal, a pty whose screen pyte keeps; and where nothing can be drawn, or there is an error."""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import pty
import struct
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import pyte
import pytest
from rich.console import Console
from rich.file_proxy import FileProxy
from rich.live import Live

from procession.seeing import choosing, painter
from procession.seeing.display import Dumb, Line
from procession.seeing.painter import Bar
from procession.seeing.progress import OFF, begin, check_progress
from procession.seeing.terminal import StandIn, Terminal
from tests.seeing.fakes import FakeStream, Says
from tests.seeing.fakes import Terminal as FakeTerminal
from tests.seeing.test_painter import Hand


class Tty:
    """A terminal of 80 columns and 12 rows."""

    def __init__(self, columns: int = 80, encoding: str = "utf-8") -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 12, columns, 0, 0))
        os.set_blocking(self.master, False)
        self.file: TextIO = open(slave, "w", encoding=encoding)  # noqa: SIM115
        self.screen = pyte.Screen(columns, 12)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.patch: pytest.MonkeyPatch

    def take(self) -> None:
        """Be what this process writes to; in the test, since pytest takes the streams back after its fixtures."""
        self.patch.setattr(sys, "stdout", self.file)
        self.patch.setattr(sys, "stderr", self.file)

    @property
    def rows(self) -> list[str]:
        """What is on the screen, empty rows left out."""
        with contextlib.suppress(BlockingIOError):
            while got := os.read(self.master, 1 << 16):
                self.raw += got
                self._stream.feed(got)
        return [row.rstrip() for row in self.screen.display if row.strip()]

    def close(self) -> None:
        self.file.close()
        os.close(self.master)


@pytest.fixture
def tty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tty]:
    made = Tty(**getattr(request, "param", {}))
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    made.patch = monkeypatch
    yield made
    with contextlib.suppress(OSError):
        made.close()


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    made = Hand()
    monkeypatch.setattr(painter, "_painter", made)
    KEPT.clear()
    return made


KEPT: list[FakeStream] = []
"""Streams that would be gone."""


def show(stream: FakeStream, label: str = "work") -> Any:
    """As a stream does; nobody waits for the painter, who is by hand here."""
    KEPT.append(stream)
    meter: Any = begin(True, stream, label, Says(), waits=False)
    watcher = meter._watcher
    watcher._pace.began = watcher._pace.at = watcher._pace.moved = watcher._since = 0.0
    return meter


def test_a_bar(tty: Tty, hand: Hand) -> None:
    tty.take()
    stream = FakeStream(3, running=1, width=2)
    show(stream)
    hand.turn(1.0)
    assert tty.rows == ["work ━━━━━━━━━━──────────────────────── 3/10 30% 3.0/s 0:01 eta 0:02 1 of 2 run"]
    assert isinstance(sys.stderr, StandIn)
    stream.done = 10
    hand.turn(2.0)
    print("after", flush=True)
    assert tty.rows == ["work ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 10/10 100% 5.0/s 0:02", "after"]
    assert sys.stderr is sys.stdout is tty.file
    assert not tty.screen.cursor.hidden
    assert b"\x1b[?25l" not in tty.raw


def test_two_bars_share_the_bottom_and_the_first_that_ends_goes_above(tty: Tty, hand: Hand) -> None:
    tty.take()
    one, two = FakeStream(2), FakeStream(4)
    show(one, "one")
    meter = show(two, "two")
    hand.turn(1.0)
    assert [row.split()[0] for row in tty.rows] == ["one", "two"]
    meter.close()
    hand.turn(1.1)
    assert [row.split()[0] for row in tty.rows] == ["two", "one"]
    assert "stopped" in tty.rows[0]
    one.done = 10
    hand.turn(2.0)
    assert [row.split()[0] for row in tty.rows] == ["two", "one"]
    third = show(FakeStream(1), "three")
    hand.turn(3.0)
    third.drop()
    hand.turn(3.1)
    assert [row.split()[0] for row in tty.rows] == ["two", "one", "three"]


@pytest.mark.parametrize("tty", [{"columns": 30}], indirect=True)
def test_more_bars_than_rows(tty: Tty, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is not drawn, and spoils nothing; at its end each has its line."""
    tty.take()
    monkeypatch.setenv("NO_COLOR", "1")  # a pty that nobody reads holds 4,096 bytes
    print("before")
    streams = [FakeStream(n) for n in range(9)]
    for n, stream in enumerate(streams):
        show(stream, f"bar{n}")
    more = [FakeStream(n) for n in range(8)]
    for n, stream in enumerate(more):
        show(stream, f"more{n}")
    for tenth in range(1, 6):
        streams[0].done = tenth
        hand.turn(tenth / 10)
        rows = tty.rows
    assert [row.split()[0] for row in rows[:9]] == [f"bar{n}" for n in range(9)]
    assert "..." in rows[11]
    for stream in more:
        stream.done = 10
        hand.turn(0.6)
        assert len(tty.rows) >= 11
    assert [row.split()[0] for row in tty.rows[-10:]] == ["more7", *[f"bar{n}" for n in range(9)]]


def test_what_is_printed_meanwhile_stands_above(tty: Tty, hand: Hand) -> None:
    tty.take()
    stream = FakeStream(2)
    meter = show(stream)
    hand.turn(1.0)
    print("printed")
    print("a line that is longer than the terminal is wide: " + "x" * 60)
    print("\x1b[31mred\x1b[0m and [bold]no markup[/bold]", file=sys.stderr)
    logging.lastResort.handle(logging.makeLogRecord({"msg": "logged", "levelno": logging.ERROR}))  # type: ignore[union-attr]
    sys.stdout.write("in ")
    sys.stdout.write("parts\n")
    stream.done = 5
    hand.turn(1.2)
    meter.close()
    hand.turn(1.3)
    rows = tty.rows
    assert rows[:2] == ["printed", "a line that is longer than the terminal is wide: " + "x" * 31]
    assert rows[2:6] == ["x" * 29, "red and [bold]no markup[/bold]", "logged", "in parts"]
    assert [row.split()[0] for row in rows[6:]] == ["work"]


def in_a_thread(do: Callable[[], object]) -> None:
    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


def test_what_is_printed_while_the_last_bar_goes_waits_for_that(
    tty: Tty, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be drawn with the bar, below the last line of that."""
    tty.take()
    stream, may_print = FakeStream(3), list[bool]()
    show(stream)
    hand.turn(1.0)
    stand_in: Any = sys.stdout
    stop = Live.stop

    def stopping(live: Live) -> None:
        in_a_thread(lambda: may_print.append(stand_in._lock.acquire(blocking=False)))
        stop(live)

    monkeypatch.setattr(Live, "stop", stopping)
    stream.done = 10
    hand.turn(2.0)
    assert may_print == [False]
    print("after", file=stand_in, flush=True)
    assert [row.split()[0] for row in tty.rows] == ["work", "after"]


def test_lines_of_threads_are_whole(tty: Tty, hand: Hand) -> None:
    tty.take()
    show(FakeStream(3))
    hand.turn(1.0)
    sys.stdout.write("one ")
    in_a_thread(lambda: print("three"))
    print("line")
    assert tty.rows[:2] == ["three", "one line"]
    painter._in_child()
    assert sys.stdout is tty.file


def test_a_forked_child_does_not_wait_for_who_paints(tty: Tty, hand: Hand) -> None:
    tty.take()
    show(FakeStream(3))
    hand.turn(1.0)
    stand_in: Any = sys.stdout
    stand_in.write("begun")
    in_a_thread(stand_in._lock.acquire)  # as it is in a child that was forked meanwhile
    painter._in_child()
    print("in the child", flush=True)
    assert "in the child" in tty.rows[-1]


def test_what_goes_to_a_file_goes_there(tty: Tty, hand: Hand, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    tty.take()
    with open(tmp_path / "out", "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        meter = show(FakeStream(2))
        hand.turn(1.0)
        assert sys.stdout is out
        assert isinstance(sys.stderr, StandIn)
        print("data")
        meter.close()
        hand.turn(1.1)
    assert (tmp_path / "out").read_text() == "data\n"
    assert "data" not in "".join(tty.rows)


def test_who_has_kept_a_stand_in_goes_on_writing(tty: Tty, hand: Hand) -> None:
    """What `contextlib.redirect_stdout` puts back, and a handler of logging that was made meanwhile."""
    tty.take()
    meter = show(FakeStream(2))
    hand.turn(1.0)
    kept = sys.stdout
    with contextlib.redirect_stdout(io.StringIO()) as other:
        print("elsewhere")
        meter.close()
        hand.turn(1.1)
        assert sys.stdout is other
    assert sys.stdout is kept
    print("kept", flush=True)
    assert tty.rows[-1] == "kept"
    assert kept.isatty()
    assert kept.fileno() == tty.file.fileno()
    assert kept.encoding == "utf-8"
    assert not kept.closed
    second = show(FakeStream(3), "second")
    hand.turn(2.0)
    print("above", flush=True)
    second.close()
    hand.turn(2.1)
    assert [row.split()[0] for row in tty.rows[-2:]] == ["above", "second"]


def test_what_stands_for_a_stream_already_is_left_alone(tty: Tty, hand: Hand) -> None:
    """As for tasks on threads whose output is captured: it must get what they write."""
    tty.take()

    class Other:
        def __init__(self, stream: Any) -> None:
            self.stream = stream
            self.seen: list[str] = []

        def write(self, text: str) -> int:
            self.seen.append(text)
            return len(text)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    sys.stdout = out = Other(sys.stdout)  # type: ignore[assignment]
    meter = show(FakeStream(2))
    hand.turn(1.0)
    print("captured")
    assert "".join(out.seen) == "captured\n"
    assert isinstance(sys.stderr, StandIn)
    sys.stderr = Other(sys.stderr)  # type: ignore[assignment]
    assert choosing.current() is meter._watcher.display, "one live display for a terminal, whatever stands for it"
    meter.close()
    hand.turn(1.1)
    sys.stderr = sys.stderr.stream
    second = show(FakeStream(3), "second")
    hand.turn(2.0)
    second.close()
    hand.turn(2.1)
    assert sys.stderr is tty.file


def test_handlers_of_logging_write_above_it_too(tty: Tty, hand: Hand) -> None:
    """They were made before there were bars, and have kept the stream: as `logging.basicConfig()` makes them."""
    tty.take()
    logger, handler = logging.getLogger("tests.seeing.kept"), logging.StreamHandler()
    logger.addHandler(handler)
    logger.propagate = False
    try:
        assert handler.stream is tty.file
        meter = show(FakeStream(2))
        hand.turn(1.0)
        logger.warning("logged")
        assert [row.split()[0] for row in tty.rows] == ["logged", "work"]
        meter.close()
        hand.turn(1.1)
        assert handler.stream is tty.file
        logger.warning("logged again")
        assert tty.rows[-1] == "logged again"
    finally:
        logger.removeHandler(handler)


def test_what_is_written_to_the_descriptor_begins_a_line(tty: Tty, hand: Hand) -> None:
    tty.take()
    stream = FakeStream(2)
    show(stream)
    hand.turn(1.0)
    os.write(tty.file.fileno(), b"raw\n")
    stream.done = 5
    hand.turn(1.2)
    print("printed")
    os.write(tty.file.fileno(), b"raw again\n")
    stream.done = 10
    hand.turn(1.4)
    rows = tty.rows
    assert [row.split()[0][:3] for row in rows] == ["raw", "pri", "raw", "wor"]
    assert rows[-1].startswith("work ━")


def test_a_prompt_is_seen(tty: Tty, hand: Hand) -> None:
    tty.take()
    meter = show(FakeStream(2))
    hand.turn(1.0)
    print("Continue? ", end="", flush=True)
    assert "Continue?" in "".join(tty.rows)
    print("half", end="")
    meter.close()
    hand.turn(1.1)
    print(" and half", flush=True)
    assert tty.rows[-1] == "half and half"


@pytest.mark.parametrize("tty", [{"columns": 40}], indirect=True)
def test_forty_columns(tty: Tty, hand: Hand) -> None:
    tty.take()
    show(FakeStream(250, 1000, errors=3, retries=7, running=4, width=4))
    hand.turn(1.0)
    assert tty.rows == ["work 250/1,000 250/s eta 0:03 3 errors"]


@pytest.mark.parametrize("tty", [{"encoding": "ascii"}], indirect=True)
def test_a_terminal_that_knows_only_ascii(tty: Tty, hand: Hand) -> None:
    tty.take()
    show(FakeStream(5), "müll")
    hand.turn(1.0)
    assert tty.rows == ["m?ll ####################-------------------- 5/10 50% 5.0/s 0:01 eta 0:01"]


def test_no_color(tty: Tty, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    tty.take()
    monkeypatch.setenv("NO_COLOR", "1")
    show(FakeStream(5, errors=1))
    hand.turn(1.0)
    assert "1 error" in tty.rows[0]
    assert b"\x1b[3" not in tty.raw
    assert b"36m" not in tty.raw


def shows_only_the_last_line(stream: FakeStream, tty: Tty, hand: Hand) -> None:
    show(stream)
    hand.turn(1.0)
    assert tty.rows == []
    stream.done = 10
    hand.turn(2.0)
    assert tty.rows == ["work ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 10/10 100% 5.0/s 0:02"]


def test_a_terminal_that_can_do_nothing_gets_last_lines(tty: Tty, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    tty.take()
    monkeypatch.setenv("TERM", "dumb")
    shows_only_the_last_line(FakeStream(5), tty, hand)
    assert b"\x1b" not in tty.raw


def test_stages_stand_below_their_pipeline(tty: Tty, hand: Hand) -> None:
    tty.take()
    from procession.seeing.lines import Stage

    stream = FakeStream(2, stages=(Stage("decode", 5, 1, 2, 1, 2), Stage("infer", 3, 0, 1, 1, 1)))
    show(stream, "pipeline")
    hand.turn(1.0)
    assert tty.rows[1:] == ["  decode 5 done 1 error 2 waiting 1 of 2 run", "  infer 3 done 1 waiting 1 of 1 run"]
    stream.done = 10
    hand.turn(2.0)
    assert len(tty.rows) == 1


# --------------------------------------------------------------------------------------------------------------- errors


def test_a_broken_pipe_stops_the_bars_and_nothing_else(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich would turn stdout to /dev/null, and end the program."""

    class Broken(FakeTerminal):
        broken = False

        def write(self, text: str) -> int:
            if self.broken:
                raise BrokenPipeError
            return super().write(text)

    monkeypatch.setenv("TERM", "xterm")
    terminal, before = Broken(), os.fstat(1)
    monkeypatch.setattr(sys, "stderr", terminal)
    stream = FakeStream(2)
    meter = show(stream)
    hand.turn(1.0)
    assert "2/10" in terminal.getvalue()
    assert isinstance(sys.stderr, StandIn)
    terminal.broken = True
    stream.done = 3
    hand.turn(1.2)
    assert not hand.watchers
    assert [text for text, _ in meter._watcher._say.lines] == ["the progress of streams cannot be shown any more"]
    assert os.fstat(1) == before
    assert sys.stderr is terminal
    meter.close()


def test_a_terminal_that_was_stopped_is_not_waited_for(tty: Tty, hand: Hand) -> None:
    """As by Ctrl-S. What goes on is drawn when it goes on."""
    tty.take()
    first, second = FakeStream(2), FakeStream(3)
    show(first, "first")
    meter = show(second, "second")
    hand.turn(1.0)
    assert len(tty.rows) == 2
    termios.tcflow(tty.file.fileno(), termios.TCOOFF)
    first.done = 5
    hand.turn(1.1)
    meter.close()
    hand.turn(1.2)
    assert "2/10" in tty.rows[0]
    termios.tcflow(tty.file.fileno(), termios.TCOON)
    hand.turn(1.3)
    assert [row.split()[0] for row in tty.rows if "5/10" in row] == ["first"]
    termios.tcflow(tty.file.fileno(), termios.TCOOFF)
    first.done = 10
    hand.turn(1.4)
    assert not hand.watchers
    assert sys.stdout is sys.stderr is tty.file
    termios.tcflow(tty.file.fileno(), termios.TCOON)
    show(FakeStream(1), "third")
    hand.turn(1.5)
    assert tty.rows[-1].startswith("third ")


def test_prints_go_on_when_the_console_fails(tty: Tty, hand: Hand) -> None:
    tty.take()
    show(FakeStream(2))
    hand.turn(1.0)
    stand_in: Any = sys.stdout
    stand_in.console = object()
    print("goes on", flush=True)
    assert tty.rows[-1].startswith("goes on")
    hand.end(None, wait=False)
    hand.turn(1.1)


def test_a_closed_stderr_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for nowhere in (None, closed, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", nowhere)
        check_progress(True)
        assert begin(True, FakeStream(), "work", Says()) is OFF


def test_without_rich_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "rich", None)
    check_progress(True)  # nothing would be drawn
    monkeypatch.setattr(sys, "stderr", FakeTerminal())
    with pytest.raises(ImportError, match=r"pip install procession\[progress\]"):
        check_progress(True)
    check_progress(print)


def test_which_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", FakeTerminal())
    first = choosing.current()
    assert isinstance(first, Terminal)
    assert choosing.current() is first
    first.broken = True
    assert choosing.current() is not first
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choosing.current(), Dumb)


def test_beside_a_live_display_of_the_program_itself_only_last_lines_are_drawn(
    tty: Tty, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rich has put something in the place of stderr, that prints above it: two who move the cursor make a mess."""
    monkeypatch.setattr(sys, "stderr", FileProxy(Console(file=tty.file), tty.file))
    shows_only_the_last_line(FakeStream(3), tty, hand)


# ------------------------------------------------------------------------------------------------------------- notebook


def test_a_notebook_has_one_line_that_is_written_over(hand: Hand) -> None:
    file = io.StringIO()
    line = Line(file)
    streams = [FakeStream(3), FakeStream(5)]
    for label, stream in zip(("one", "two"), streams, strict=True):
        bar = Bar(stream, label, line, Says())
        bar._pace.began = bar._pace.at = bar._pace.moved = 0.0
        hand.order(bar)
    hand.turn(1.0)
    streams[0].done = 10
    hand.turn(2.0)
    streams[1].done = 10
    hand.turn(4.0)
    screen = pyte.Screen(120, 5)
    screen.set_mode(pyte.modes.LNM)
    pyte.Stream(screen).feed(file.getvalue())
    assert [row.rstrip() for row in screen.display if row.strip()] == [
        "one ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 10/10 100% 5.0/s 0:02",
        "two ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 10/10 100% 2.5/s 0:04",
    ]
    assert "\x1b" not in file.getvalue()
    first = file.getvalue().split("\r")[1]
    assert first == "one ━━━━────────── 3/10 30% 3.0/s 0:01 eta 0:02 | two ━━━━━━━─────── 5/10 50% 5.0/s 0:01 eta 0:01"
