"""Which launcher a pool takes, and that it says why."""

import ctypes
import functools
import logging
import multiprocessing
import multiprocessing.context
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from procession.backends import launch
from tests.logs import all_said


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No start method chosen, nothing remembered."""
    monkeypatch.setattr(multiprocessing.context._default_context, "_actual_context", None)
    launch._lacking.cache_clear()
    yield
    launch._lacking.cache_clear()


def test_the_zygote_is_the_default() -> None:
    assert launch.choose(None).context is None
    assert launch.choose(None, (1, "two", {"three": [3]}), print).context is None


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_context_is_obeyed(method: str) -> None:
    context = multiprocessing.get_context(method)
    assert launch.choose(context, (multiprocessing.Lock(),)).context is context


def test_a_start_method_of_the_program_is_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "procession")
    multiprocessing.set_start_method("spawn")
    choice = launch.choose(None)
    assert choice.context is not None
    assert choice.context.get_start_method() == "spawn"
    all_said()
    assert "set_start_method('spawn')" in caplog.text


def test_a_default_that_multiprocessing_has_fixed_by_itself_is_no_choice() -> None:
    multiprocessing.get_context()
    assert multiprocessing.get_start_method(allow_none=True) is not None
    assert launch.choose(None).context is None


def test_multiprocessing_that_another_thread_is_just_importing_has_chosen_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "multiprocessing.context", types.ModuleType("multiprocessing.context"))
    assert launch.choose(None).context is None


def locks() -> list[object]:
    return [
        multiprocessing.Lock(),
        multiprocessing.Event(),
        multiprocessing.Value("i"),
        multiprocessing.Value("i", lock=False),
        multiprocessing.Array("d", 2),
        multiprocessing.RawArray(ctypes.c_int, 2),
    ]


@pytest.mark.leaks("multiprocessing keeps the arena of its shared values")
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": [(x,)]}, lambda x: SimpleNamespace(lock=x)])
def test_locks_in_the_initargs_take_multiprocessing(wrap, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "procession")
    for lock in locks():
        choice = launch.choose(None, (wrap(lock),))
        assert choice.context is multiprocessing.get_context()
        assert "which only a child of multiprocessing can take over" in choice.why
    all_said()
    assert len(caplog.records) == len(locks())


def test_queues_connections_and_partials() -> None:
    queue = multiprocessing.SimpleQueue()
    one, two = multiprocessing.Pipe()
    try:
        assert launch.choose(None, (queue,)).context is not None
        assert launch.choose(None, (one,)).context is not None
        assert launch.choose(None, (), functools.partial(print, queue)).context is not None
        assert launch.choose(None, (), queue.put).context is not None
    finally:
        for each in (queue, one, two):
            each.close()


def test_without_an_interpreter_or_a_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    assert "sys.executable" in launch.choose(None).why
    monkeypatch.undo()
    launch._lacking.cache_clear()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "frozen" in launch.choose(None).why
    monkeypatch.undo()
    launch._lacking.cache_clear()
    monkeypatch.delattr(os, "pidfd_open")
    assert "os.pidfd_open" in launch.choose(None).why


def test_choosing_imports_no_multiprocessing() -> None:
    code = (
        "import sys; from procession.backends import launch; launch.choose(None, (1,)); "
        "print('multiprocessing' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_limits_are_explained() -> None:
    assert "RLIMIT_NPROC" in str(launch.explained(BlockingIOError(11, "Resource temporarily unavailable")))
    other = OSError(2, "No such file")
    assert launch.explained(other) is other
