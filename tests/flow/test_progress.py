"""observe.progress: what is told, what is drawn, and what is said where rich is missing."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from procession.observe import progress
from procession.observe.progress import Bar, Meter, check_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_callable_is_told_each_number_once() -> None:
    told: list[Any] = []
    meter = Meter(lambda *each: told.append(each), 3)
    assert meter
    for done in (1, 1, 3, 3):
        meter.report(done)
    meter.close()
    assert told == [(1, 3), (3, 3)]


def test_off() -> None:
    meter = Meter(False)
    assert not meter
    meter.report(3)
    meter.close()


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(progress, "REDRAW", 0)
    meter = Meter(True, 3, "work")
    for done in (1, 2, 3):
        meter.report(done)
    meter.close()
    assert "work" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_a_bar_without_a_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    meter = Meter(True, None, "work")
    meter.report(5)
    meter.close()
    assert "5/5" in terminal.getvalue()


def test_quiet_where_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    bar = Bar("work")
    bar.move(1, 2)
    bar.close()
    assert stream.getvalue() == ""


def test_without_rich_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ImportError, match=r"pip install procession\[progress\]"):
        check_progress(True)
    check_progress(print)


@pytest.mark.parametrize("bad", [None, 1, "yes"])
def test_bad_words(bad: Any) -> None:
    with pytest.raises(ValueError, match="progress"):
        check_progress(bad)
