"""A module that another thread is just importing is in `sys.modules`, and has not yet what is looked for in it.

Who looks whether something has been loaded meets such ones: a driver does while the program goes on importing, and the
program while a driver imports what it needs for a first error. Nothing of what they do may fail by that.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from procession.adapters.arrow_travel import is_pandas
from procession.backends.gate import on_event_loop
from procession.backends.zygote_client import context_now
from procession.seeing import choosing
from procession.transport import contexts
from procession.transport.codec import Codec
from procession.transport.pickler import dumps


def by_value() -> None:
    names: dict[str, Any] = {"__name__": "nowhere"}
    exec(compile("def fn(x): return x", "<typed in>", "exec"), names)
    Codec().function(names["fn"])


def pickled() -> None:
    assert pickle.loads(dumps([Path("here"), Path("there")])) == [Path("here"), Path("there")]


def asked_of_a_loop() -> None:
    assert not on_event_loop()


def started() -> None:
    context = context_now("worker", {})
    assert context["parent"][0] == "MainProcess"
    assert context["log"] is None


def shown() -> None:
    assert choosing._kind(io.StringIO()) is None


def sent_with_its_context() -> None:
    class PyCapsule:
        """As NumPy keeps its settings."""

    assert contexts._of_numpy(None, PyCapsule(), []) is None


@pytest.mark.parametrize(
    ("modules", "use"),
    [
        (["multiprocessing.reduction"], pickled),
        (["multiprocessing.process", "multiprocessing.util"], started),
        (["asyncio.events", "asyncio"], asked_of_a_loop),
        (["linecache"], by_value),
        (["pandas"], lambda: is_pandas(1)),
        (["ipykernel.iostream"], shown),
        (["numpy"], sent_with_its_context),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_it_is_as_if_it_were_not_loaded(
    modules: list[str], use: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in modules:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    use()
