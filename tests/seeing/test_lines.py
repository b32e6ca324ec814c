"""seeing.lines: what a line says, and what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from procession.seeing.lines import (
    Sight,
    Stage,
    bar,
    columns,
    compose,
    compose_stage,
    counted,
    joined,
    shortened,
    workers_of,
)
from procession.seeing.pace import Pace


def at(seconds: float, done: int) -> Pace:
    pace = Pace(0.0)
    pace.saw(seconds, done)
    return pace


def line(width: int, pace: Pace | None = None, label: str = "thumbnail", over: bool = False, **numbers: Any) -> str:
    sight = Sight(**{"done": 412, "total": 1000, "running": 3, "idle": 1, "width": 4} | numbers)
    return joined(compose(label, sight, pace or at(4.0, 412), width, over=over))


def test_all_of_it() -> None:
    found = line(150, errors=2, retries=3, died=1, timeouts=1)
    label, drawn, rest = found.split(" ", 2)
    assert (label, drawn) == ("thumbnail", "━" * 16 + "─" * 24)
    assert rest == "412/1,000 41% 103/s 0:04 eta 0:06 2 errors 3 retries 1 death 1 timeout 3 of 4 run, 1 idle"


def test_before_anything() -> None:
    found = line(100, at(0.4, 0), done=0, running=0, idle=0, starting=4)
    assert "0/1,000 0% 0:00 eta ? 0 of 4 run, 4 starting" in found
    assert "/s" not in found


def test_of_an_unknown_number() -> None:
    assert line(100, total=None) == "thumbnail 412 103/s 0:04 3 of 4 run, 1 idle"
    assert line(100, at(1.0, 0), done=0, total=0) == "thumbnail 0/0 0:01 eta 0:00 3 of 4 run, 1 idle"


def test_at_the_end() -> None:
    assert line(100, at(8.0, 1000), over=True, done=1000, ended=True).endswith("━ 1,000/1,000 100% 125/s 0:08")
    assert line(100, at(8.0, 412), over=True, errors=1).endswith(" 412/1,000 41% 51.5/s 0:08 1 error stopped")


@pytest.mark.parametrize("over", [False, True])
def test_it_fits(over: bool) -> None:
    for width in range(8, 160):
        found = line(width, errors=12, retries=3, died=1, timeouts=1, starting=2, over=over)
        assert columns(found) <= width
        assert "412/1,000"[:width] in found
        if width >= 40:
            for part in ("412/1,000", "12 errors", "thumbnail", "0:04" if over else "eta 0:06"):
                assert part in found, width
        stage = joined(compose_stage(Stage("decode", 1234, 3, 17, 2, 4), width))
        assert columns(stage) <= max(width, len("1,234 done"))


def test_what_is_narrow_leaves_out_the_workers_first() -> None:
    widths = range(150, 40, -1)
    whole = [line(width, errors=2, retries=3, died=1) for width in widths]
    gone = {
        word: next(n for n, text in zip(widths, whole, strict=True) if word not in text)
        for word in ("run", "0:04 ", "%")
    }
    assert gone["run"] >= gone["0:04 "] >= gone["%"]


def test_a_bar() -> None:
    assert bar(0.0, 5) == [("─────", "full")]
    assert bar(0.5, 5) == [("━━╸", "full"), ("──", "empty")]
    assert bar(0.999, 5) == [("━━━━╸", "full")]
    assert bar(1.0, 5) == bar(7.0, 5) == [("━━━━━", "full")]
    assert bar(0.4, 5, ascii_only=True) == [("##", "full"), ("---", "empty")]


def test_words() -> None:
    assert [counted(n, "retry") for n in (1, 2, 2000)] == ["1 retry", "2 retries", "2,000 retries"]
    assert (
        workers_of(Sight(done=0, total=1, running=1, idle=2, starting=3, width=6)) == "1 of 6 run, 2 idle, 3 starting"
    )


def test_labels() -> None:
    assert shortened("short", 24) == "short"
    assert shortened("a\nb\x1b[2Jc", 24) == "a?b?[2Jc"
    assert shortened("x" * 30, 24) == "x" * 23 + "…"
    assert shortened("漢字" * 10, 24) == "漢字" * 5 + "漢…"
    assert columns("漢字é") == 5
    assert not line(60, label="").startswith(" ")
