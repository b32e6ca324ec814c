"""The public face: every name is there, is explained, and costs nothing until it is used."""

import concurrent.futures
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from types import ModuleType

import pytest

import procession

# What `import procession` must not bring in: modules that cost, start something, or belong to an extra.
HEAVY = (
    "asyncio",
    "cloudpickle",
    "concurrent.futures.process",
    "concurrent.futures.thread",
    "dask",
    "joblib",
    "logging",
    "multiprocessing",
    "numpy",
    "pickle",
    "psutil",
    "ray",
    "rich",
    "socket",
    "sqlite3",
    "subprocess",
)
# `import procession` takes less than this many times the import of concurrent.futures.process.
IMPORT_TIME_FACTOR = 2.0


def public(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def in_a_fresh_interpreter(program: str) -> object:
    """What `program` prints as JSON, in an interpreter that has imported nothing of ours."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ------------------------------------------------------------------------------------------------------------ the names


def test_there_is_a_public_face() -> None:
    assert {"Pool", "SpinOff"} <= set(procession.__all__)
    assert len(procession.__all__) == len(set(procession.__all__))


@pytest.mark.parametrize("name", procession.__all__)
def test_an_exported_name_resolves_and_is_explained(name: str) -> None:
    value = getattr(procession, name)
    if name == "__version__":
        assert isinstance(value, str)
        return
    own = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    assert own, f"procession.{name} has no docstring of its own"
    assert own.strip()


def test_dir_agrees_with_all() -> None:
    assert public(dir(procession)) == public(procession.__all__)


def test_dir_stays_the_same_when_names_have_been_used() -> None:
    before = dir(procession)
    for name in procession.__all__:
        getattr(procession, name)
    assert dir(procession) == before


def test_star_import_brings_exactly_all() -> None:
    scope: dict[str, object] = {}
    exec("from procession import *", scope)
    assert set(scope) - {"__builtins__"} == set(procession.__all__)


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        procession.no_such_name  # noqa: B018
    with pytest.raises(ImportError, match="no_such_name"):
        exec("from procession import no_such_name")


def test_public_classes_say_where_they_are_public() -> None:
    """What a traceback or a pickle shows must be importable: module and qualified name lead back to the object."""
    for name in procession.__all__:
        value = getattr(procession, name)
        if isinstance(value, ModuleType) or not hasattr(value, "__qualname__"):
            continue
        assert getattr(importlib.import_module(value.__module__), value.__qualname__) is value


# --------------------------------------------------------------------------------------------------- procession.futures

OURS = {"ProcessPoolExecutor", "ThreadPoolExecutor"}


def test_futures_has_everything_of_concurrent_futures() -> None:
    futures = importlib.import_module("procession.futures")
    assert set(concurrent.futures.__all__) <= set(futures.__all__)
    assert set(futures.__all__) <= set(dir(futures))
    for name in set(concurrent.futures.__all__) - OURS:
        assert getattr(futures, name) is getattr(concurrent.futures, name), name


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_executors_have_the_signature_of_the_standard_ones(name: str) -> None:
    ours = getattr(importlib.import_module("procession.futures"), name)
    theirs = getattr(concurrent.futures, name)
    assert ours is not theirs
    assert issubclass(ours, concurrent.futures.Executor)
    assert shape(ours.__init__) == shape(theirs.__init__)
    for method in ("submit", "map", "shutdown"):
        # Ours may know more words, and chunksize=None where the standard library has 1.
        assert kinds(getattr(theirs, method)).items() <= kinds(getattr(ours, method)).items(), method


def shape(function: Callable[..., object]) -> dict[str, tuple[object, object]]:
    """Each parameter with its kind and default, annotations left out."""
    return {name: (each.kind, each.default) for name, each in inspect.signature(function).parameters.items()}


def kinds(function: Callable[..., object]) -> dict[str, object]:
    return {name: kind for name, (kind, _) in shape(function).items()}


# ---------------------------------------------------------------------------------------------------- nothing at import


def test_import_brings_in_nothing_heavy_and_starts_nothing() -> None:
    program = f"""
import sys
before = set(sys.modules)
import procession
new = set(sys.modules) - before
threads = len(sys.modules["threading"].enumerate()) if "threading" in sys.modules else 1
import json, os
try:
    os.waitpid(-1, os.WNOHANG)
    children = True
except ChildProcessError:
    children = False
print(json.dumps({{"heavy": sorted(new & set({HEAVY!r})), "threads": threads, "children": children}}))
"""
    assert in_a_fresh_interpreter(program) == {"heavy": [], "threads": 1, "children": False}


def test_import_is_quicker_than_the_standard_library_allows() -> None:
    """The fastest of a few fresh interpreters each, in turns, so that a busy machine slows both."""

    def seconds(module: str) -> float:
        program = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        value = in_a_fresh_interpreter(program)
        assert isinstance(value, float)
        return value

    runs = [(seconds("procession"), seconds("concurrent.futures.process")) for _ in range(5)]
    ours, theirs = (min(column) for column in zip(*runs, strict=True))
    assert ours < IMPORT_TIME_FACTOR * theirs
