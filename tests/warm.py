"""A zygote that is kept for the tests of a module.

A pool that is shut down takes its zygote with it, if no other pool needs it; so each test with a pool of its own costs
an interpreter's start, and each of its workers imports anew the module of its task, pytest included where that is the
test's. In a module whose tests are not about that, or in the conftest.py of a folder,

    kept_zygote = warm.keep()

has the zygote kept from the module's first test to its last, with the module loaded. That is four fifths of what such a
test costs. One that kills the zygote leaves those behind it without; then each starts its own, as ever. What is about
the start of a zygote, in such a module, is marked `@warm.afresh()`.

The next such module of the folder is lent the same one, which has pytest already. It ends before the first test of any
other module (`pytest_runtest_setup`), and with the session.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from procession.backends.launch import SERVE, choose
from procession.backends.zygote_client import ZygoteClient, close_socket

NAME = "kept_zygote"
"""Of the fixture."""
SOON = ("procession.worker.filters", "procession.worker.logs")
"""What workers of a pytest load, whose filters of warnings and levels of loggers are not those of a plain program."""


def keep(*modules: str, alone: bool = False) -> Any:
    """The fixture, which is used by itself. `alone`: with what no other module has loaded."""

    @pytest.fixture(scope="module", autouse=True)
    def kept_zygote(request: pytest.FixtureRequest) -> Iterator[None]:
        if choose(None).context is not None:  # there can be none here
            yield
            return
        with held(request.path if alone else request.path.parent).lent((*modules, request.module.__name__)):
            yield

    return kept_zygote


class Held:
    """A zygote that outlives its pools."""

    def __init__(self, place: Path) -> None:
        """For the modules that lie there."""
        self.place = place
        self._client = ZygoteClient.enter(SERVE)
        self._hide()

    def _hide(self) -> None:
        with ZygoteClient._lock:
            if ZygoteClient._current is self._client:
                ZygoteClient._current = None

    def lives(self) -> bool:
        """Nobody has killed it."""
        return not self._client.ended()

    @contextlib.contextmanager
    def lent(self, modules: Sequence[str]) -> Iterator[None]:
        """Meanwhile it is the zygote of this process, with these modules."""
        with ZygoteClient._lock:
            assert ZygoteClient._current is None, "a pool has been left behind"
            ZygoteClient._current = self._client
        with contextlib.ExitStack() as stack:
            stack.callback(self._hide)
            stack.callback(close_socket, self._client.connect((*modules, *SOON), (1, 2)))
            yield

    def end(self) -> None:
        """It is gone when this returns."""
        self._client.leave()


_held: list[Held] = []
"""That of the place whose tests are run."""


def held(place: Path) -> Held:
    """The one that is there already, or another."""
    if not (_held and _held[0].place == place and _held[0].lives()):
        let_go()
        _held.append(Held(place))
    return _held[0]


def let_go() -> None:
    """None is kept."""
    while _held:
        _held.pop().end()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that has nothing of it has no such process beside it."""
    if NAME not in getattr(item, "fixturenames", ()):
        let_go()


def pytest_sessionfinish() -> None:
    """Nothing stays behind."""
    let_go()


@contextlib.contextmanager
def afresh() -> Iterator[None]:
    """Pools made meanwhile have a zygote that starts for them, whatever is kept."""
    with ZygoteClient._lock:
        hidden, ZygoteClient._current = ZygoteClient._current, None
    try:
        yield
    finally:
        with ZygoteClient._lock:
            ZygoteClient._current = hidden
