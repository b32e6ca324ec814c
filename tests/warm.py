"""A zygote that is kept for the tests of a module.

A pool that is shut down takes its zygote with it, if no other pool needs it; so each test with a pool of its own costs
an interpreter's start, and each of its workers imports anew the module of its task, pytest included where that is the
test's. In a module whose tests are not about that, or in the conftest.py of a folder,

    kept_zygote = warm.keep()

has the zygote kept from the module's first test to its last, with the module loaded. That is four fifths of what such a
test costs. One that kills the zygote leaves those behind it without; then each starts its own, as ever. What is about
the start of a zygote, in such a module, is marked `@warm.afresh()`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from procession.backends.launch import SERVE, choose
from procession.backends.zygote_client import ZygoteClient, close_socket

NAME = "kept_zygote"
"""Of the fixture."""
SOON = ("procession.worker.filters", "procession.worker.logs")
"""What workers of a pytest load, whose filters of warnings and levels of loggers are not those of a plain program."""


def keep(*modules: str) -> Any:
    """The fixture, which is used by itself."""

    @pytest.fixture(scope="module", autouse=True)
    def kept_zygote(request: pytest.FixtureRequest) -> Iterator[None]:
        with kept((*modules, request.module.__name__)):
            yield

    return kept_zygote


@contextlib.contextmanager
def kept(modules: Sequence[str]) -> Iterator[None]:
    """The zygote of this process lives as long as this."""
    if choose(None).context is not None:  # there can be none here
        yield
        return
    with contextlib.ExitStack() as stack:
        client = ZygoteClient.enter(SERVE)
        stack.callback(client.leave)
        stack.callback(close_socket, client.connect((*modules, *SOON), (1, 2)))
        yield


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
