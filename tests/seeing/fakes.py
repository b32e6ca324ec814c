"""Streams and displays for the tests of progress."""

from __future__ import annotations

import io
from typing import Any

from procession.seeing.display import Display
from procession.seeing.lines import Sight, joined
from procession.seeing.painter import Bar


class FakeStream:
    """A stream whose numbers are said."""

    def __init__(self, done: int = 0, total: int | None = 10, **numbers: Any) -> None:
        self.done, self.total, self.numbers = done, total, numbers
        self.keen = False
        self.called = 0

    @property
    def ended(self) -> bool:
        return self.done == self.total

    def count(self) -> tuple[int, int | None, bool]:
        return self.done, self.total, self.ended

    def sight(self) -> Sight:
        return Sight(done=self.done, total=self.total, ended=self.ended, **self.numbers)

    def call_taker(self) -> None:
        self.called += 1


class FakeDisplay(Display):
    """Remembers what was painted."""

    def __init__(self) -> None:
        self.live: list[list[str]] = []
        self.over: list[str] = []
        self.left = 0
        self.error: BaseException | None = None

    def paint(self, live: list[Bar], over: list[Bar], now: float) -> None:
        if self.error is not None:
            raise self.error
        self.over += [joined(each.lines(now, 80, over=True, ascii_only=False)[0]) for each in over]
        self.live.append([joined(each.lines(now, 80, over=False, ascii_only=False)[0]) for each in live])

    def leave(self) -> None:
        self.left += 1


class Terminal(io.StringIO):
    """A terminal without a descriptor."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


class Says:
    """Remembers log lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, BaseException | None]] = []

    def __call__(self, level: int, text: str, *args: object, error: BaseException | None = None) -> None:
        self.lines.append((text % args, error))


class FakeTqdm:
    """What there is of tqdm."""

    def __init__(self, *, total: int | None = None, error: Exception | None = None) -> None:
        self.total, self.error = total, error
        self.n = self.updates = self.closes = 0
        self.postfix: dict[str, int] = {}

    def update(self, n: int) -> None:
        if self.error is not None:
            raise self.error
        self.n += n
        self.updates += 1

    def set_postfix(self, found: dict[str, int], refresh: bool = True) -> None:
        assert not refresh
        self.postfix = found

    def close(self) -> None:
        self.closes += 1
