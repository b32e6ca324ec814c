"""What workers print arrives, whole lines, in the streams that the parent has now."""

import codecs
import contextlib
import io
import os
import pty
import sys
import threading

import pytest

from procession.backends import forksafe
from procession.backends.output import OutputPump
from procession.worker import stdio
from tests.launch.harness import Driver, wait_until


def test_lines_go_out_at_once_and_partial_ones_at_flush(capsys: pytest.CaptureFixture[str]) -> None:
    with Driver() as driver:
        driver.start(1, "write", ("out", "whole\n"), ("out", "part"), ("err", "error\npart"))
        driver.hear(1)
        assert tuple(capsys.readouterr()) == ("whole\n", "error\npart")
        driver.let_go(1)
        driver.exited(1)
        assert capsys.readouterr().out == "part"
        driver.start(2, "write", ("out", "part"), ("flush", ""))
        driver.hear(2)
        assert capsys.readouterr().out == "part"


def test_what_is_written_before_a_result_is_shown_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Driver() as driver:
        for wid in range(20):
            driver.start(wid, "write", ("out", f"{wid}\n"))
            driver.hear(wid)
            assert capsys.readouterr().out == f"{wid}\n"


def test_c_code_and_subprocesses_arrive_too(capsys: pytest.CaptureFixture[str]) -> None:
    with Driver() as driver:
        driver.start(1, "write", ("fd", "from fd 1\n"), ("system", "echo from a shell; echo and its stderr >&2"))
        driver.hear(1)
        out, err = capsys.readouterr()
    assert out == "from fd 1\nfrom a shell\n"
    assert err == "and its stderr\n"


def test_the_streams_of_this_moment_are_the_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with Driver() as driver:
        for wid in (1, 2):
            caught, caught_err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(caught), contextlib.redirect_stderr(caught_err):
                driver.start(wid, "write", ("out", "into the buffer\n"), ("err", "and this\n"))
                driver.hear(wid)
            assert caught.getvalue() == "into the buffer\n"
            assert caught_err.getvalue() == "and this\n"
    assert tuple(capsys.readouterr()) == ("", "")


def test_output_before_a_death_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    with Driver() as driver:
        for wid in range(10):
            driver.start(wid, "write_and_die", f"the last word of {wid}")
            assert driver.exited(wid).exitcode == -9
            driver.pump.drain()
            assert capsys.readouterr().out == f"the last word of {wid}\n"


@pytest.mark.parametrize("do", ["lines", "one_print"])
@pytest.mark.parametrize("length", [7, 4095, 4096])
def test_ten_megabytes_and_no_line_torn(do: str, length: int, capsys: pytest.CaptureFixture[str]) -> None:
    letters = "abcd"
    count = 2_500_000 // length if length > 7 else 100_000
    with Driver() as driver:
        for wid, letter in enumerate(letters):
            driver.start(wid, do, letter, length, count)
        for wid in range(len(letters)):
            assert driver.hear(wid) == "written"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(letters) * count
    assert set(lines) == {letter * (length - 1) for letter in letters}


def test_text_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    text = "αβγ ← ☃ 🐍\n" * 20_000  # its characters fall between reads
    with Driver() as driver:
        driver.start(1, "write", ("out", text), ("fd", b"\xff\xfe bytes\n"), ("fd", b"half \xe2\x82"))
        driver.hear(1)
        driver.start(2, "write", ("err", "lone \udcff surrogate\n"))
        driver.hear(2)
    out, err = capsys.readouterr()
    assert out == text + "\ufffd\ufffd bytes\nhalf \ufffd"
    assert err == "lone \\udcff surrogate\n"


class Ascii(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii", newline="\n")


class Words:
    """A stream that is no more than a write method."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def write(self, text: str) -> None:
        assert type(text) is str
        self.words.append(text)


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise RuntimeError("a stream with a fault")


def test_poor_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow, words, closed, last = Ascii(), Words(), io.StringIO(), io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "__stdout__", last)
    with Driver() as driver:
        for wid, stream in enumerate((narrow, words, closed, Broken(), None)):
            with contextlib.redirect_stdout(stream):
                driver.start(wid, "write", ("out", f"ö{wid}\n"))
                driver.hear(wid)
        monkeypatch.setattr(sys, "__stdout__", None)
        with contextlib.redirect_stdout(None):
            driver.start(9, "write", ("out", "nobody reads this\n"))
            driver.hear(9)
    narrow.seek(0)
    assert narrow.read() == "?0\n"
    assert words.words == ["ö1\n"]
    assert last.getvalue() == "ö2\nö3\nö4\n"


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_a_reader_who_does_not_read_does_not_stop_the_driver(kind: str) -> None:
    read, write = os.pipe() if kind == "pipe" else pty.openpty()
    got = bytearray()
    if kind == "terminal":
        os.write(read, b"\x13")  # Ctrl-S
    with open(write, "w", encoding="utf-8", newline="\n") as slow, Driver() as driver:
        with contextlib.redirect_stdout(slow):
            driver.start(1, "lines", "x", 100, 20_000)
            driver.start(2, "echo", "the driver goes on")
            assert driver.hear(2) == "the driver goes on"
            wait_until(lambda: driver.step(0.01) or driver.pump._channels[0].room is not None)

            def slowly() -> None:
                if kind == "terminal":
                    os.write(read, b"\x11")  # Ctrl-Q
                while got.count(b"x") < 99 * 20_000:
                    got.extend(os.read(read, 1 << 14))

            reader = threading.Thread(target=slowly)
            reader.start()
            assert driver.hear(1) == "written"
            driver.until(lambda: not reader.is_alive())
            reader.join()
    os.close(read)
    assert got.replace(b"\r\n", b"\n") == (b"x" * 99 + b"\n") * 20_000


def test_closing_with_a_reader_who_does_not_read_gives_up() -> None:
    read, write = os.pipe()
    with open(write, "w") as slow, Driver() as driver:
        with contextlib.redirect_stdout(slow):
            driver.start(1, "lines", "x", 100, 20_000)
            wait_until(lambda: driver.step(0.01) or driver.pump._channels[0].room is not None)
            driver.launcher.kill(1)
            driver.exited(1)
            driver.pump.close(patience=0.05)
        os.close(read)
        with contextlib.suppress(BrokenPipeError):
            slow.flush()


def test_a_reader_who_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with contextlib.suppress(BrokenPipeError), open(write, "w") as broken:
        with Driver() as driver, contextlib.redirect_stdout(broken):
            driver.start(1, "lines", "x", 100, 2_000)
            assert driver.hear(1) == "written"


def test_a_pump_alone() -> None:
    watched: set[int] = set()
    pump = OutputPump(watched.add, watched.remove)
    assert watched == set(pump.fds())
    out, err = pump.child_ends
    assert {out, err} <= forksafe.owned()
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        os.write(out, "sn\u2603w".encode()[:4])
        pump.drain()
        assert caught.getvalue() == "sn"
        os.write(out, "sn\u2603w".encode()[4:])
        pump.pump(99999)
        pump.drain()
        assert caught.getvalue() == "sn☃w"
        os.write(out, codecs.BOM_UTF8[:2])
        pump.close()
    assert caught.getvalue() == "sn☃w�"
    assert watched == set()


def test_flush_costs_nothing_where_nothing_was_installed() -> None:
    assert stdio._streams == ()
    stdio.flush()
