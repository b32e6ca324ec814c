"""Load the interpreter's own tests into this process, and point them at the subject.

Runs in a child process only: what it patches (module globals of the test package, never the package's
files and never ``concurrent.futures`` itself) stays there. A test's worker processes import the
unpatched test modules, which is right: tasks use nothing that is patched.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import multiprocessing
import pkgutil
import types
import unittest
import unittest.mock
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .model import Case, Start

PACKAGE = "test.test_concurrent_futures"
#: Where a program that uses the subject imports it from.
HOMES = {"procession": "procession.futures", "pool": "procession", "stdlib": "concurrent.futures"}

#: The mixin that decides how a test class starts its executor. A zygote run borrows the classes of
#: spawn, because a worker must find a test class under its own name: its executors are built without
#: the mp_context, which then only serves the semaphores and managers of the tests.
MIXINS: dict[str, Start] = {
    "ThreadPoolMixin": "threads",
    "ProcessPoolForkMixin": "fork",
    "ProcessPoolForkserverMixin": "forkserver",
    "ProcessPoolSpawnMixin": "spawn",
}

#: Private attributes of the stdlib's executor that a lent run hangs on the subject's class.
LENT: dict[str, Any] = {"_call_queue": types.SimpleNamespace(join_thread=lambda: None)}


class FuturesView(types.ModuleType):
    """What a test module sees as ``futures``: the subject's names first, the interpreter's for the rest."""

    def __init__(self, subject: types.ModuleType, overrides: dict[str, Any]) -> None:
        super().__init__("concurrent.futures")
        self.__dict__.update(overrides)
        self._subject = subject

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._subject, name)
        except AttributeError:
            return getattr(concurrent.futures, name)


def without_context(executor: Callable[..., Any]) -> Callable[..., Any]:
    """A stand-in for an executor class that builds it with the default start."""

    def build(*args: Any, mp_context: Any = None, **kwargs: Any) -> Any:
        return executor(*args, **kwargs)

    build.__name__ = build.__qualname__ = executor.__name__
    return build


def rewritten(script: str, subject: str, start: Start, path: Sequence[str]) -> str:
    """A script of the tests as a user of the subject would have written it."""
    ours = "import Pool as" if subject == "pool" else "import"
    script = script.replace("from concurrent.futures import", f"from {HOMES[subject]} {ours}")
    if start == "zygote":
        script = script.replace("mp_context=context", "mp_context=None")
    lines = [f"import sys; sys.path[:0] = {list(path)!r}"] if path else []
    if start == "zygote" and subject == "stdlib":
        lines.append("import multiprocessing; multiprocessing.set_start_method('spawn')")
    return "\n".join([*lines, script])


class TestPackage:
    """The test modules of this interpreter, patched for one subject and one start."""

    def __init__(self, subject: str, start: Start, path: Sequence[str] = ()) -> None:
        self.subject = subject
        self.start = start
        self.path = path
        if subject == "stdlib" and start == "zygote":
            multiprocessing.set_start_method("spawn")  # the stdlib has no zygote: its default, made portable
        self._configure()
        self.futures = self._view()
        self.modules = self._load()

    @staticmethod
    def _configure() -> None:
        """Quiet, and a deadlock is reported by the test that finds it before the harness ends the test."""
        from test import support  # type: ignore[import-not-found]

        support.verbose = 0
        support.SHORT_TIMEOUT = min(support.SHORT_TIMEOUT, 15.0)
        support.LONG_TIMEOUT = min(support.LONG_TIMEOUT, 20.0)

    def _view(self) -> FuturesView:
        subject = importlib.import_module(HOMES[self.subject])
        overrides = {}
        if self.subject == "pool":
            overrides["ProcessPoolExecutor"] = subject.Pool
        if self.start == "zygote":
            overrides["ProcessPoolExecutor"] = without_context(self._process_executor())
        return FuturesView(subject, overrides)

    def _process_executor(self) -> Any:
        subject = importlib.import_module(HOMES[self.subject])
        return subject.Pool if self.subject == "pool" else subject.ProcessPoolExecutor

    def _load(self) -> dict[str, types.ModuleType]:
        root = importlib.import_module(PACKAGE)
        names = [info.name for info in pkgutil.iter_modules(getattr(root, "__path__", ()))]
        modules = {name: importlib.import_module(f"{PACKAGE}.{name}") for name in names}
        if not modules:  # one file, as in 3.10 and before
            modules = {PACKAGE.rpartition(".")[2]: root}
        for module in modules.values():
            self._patch(module)
        return {name: module for name, module in modules.items() if name.startswith("test_")}

    def _patch(self, module: types.ModuleType) -> None:
        names = vars(module)
        if names.get("futures") is concurrent.futures:
            names["futures"] = self.futures
        if names.get("Future") is concurrent.futures.Future:
            names["Future"] = self.futures.Future
        if "assert_python_ok" in names:
            names["assert_python_ok"] = self._scripts(names["assert_python_ok"])
        for mixin in [value for name, value in names.items() if name in MIXINS]:
            if "executor_type" in vars(mixin):
                name = vars(mixin)["executor_type"].__name__
                mixin.executor_type = self._executor_type(name)

    def _executor_type(self, name: str) -> Any:
        return staticmethod(getattr(self.futures, name))

    def _scripts(self, assert_python_ok: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            if len(args) == 2 and args[0] == "-c":
                args = ("-c", rewritten(args[1], self.subject, self.start, self.path))
            return assert_python_ok(*args, **kwargs)

        return run

    def cases(self) -> Iterator[Case]:
        for name, module in self.modules.items():
            for test in flatten(unittest.defaultTestLoader.loadTestsFromModule(module)):
                case = self._describe(test, name)
                if case is not None:
                    yield case

    def tests(self, cases: Sequence[Case]) -> unittest.TestSuite:
        return unittest.TestSuite(self._test(case) for case in cases)

    def _test(self, case: Case) -> unittest.TestCase:
        test: unittest.TestCase = getattr(self.modules[case.module], case.cls)(case.method)
        if case.lent:
            lend = unittest.mock.patch.multiple(self._process_executor(), create=True, **LENT)
            setattr(test, case.method, lend(getattr(test, case.method)))
        return test

    def _describe(self, test: unittest.TestCase, module: str) -> Case | None:
        """The case that this test is in a run of our start, or None when it belongs to another start."""
        cls, method = type(test), test.id().rpartition(".")[2]
        home = start_of(cls, method)
        if home != ("spawn" if self.start == "zygote" else self.start):
            return None
        return Case(self.start, module, scenario_of(cls), method, cls.__name__)


def flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        elif isinstance(test, unittest.TestCase):
            yield test


def start_of(cls: type, method: str) -> str:
    """The start whose executor a test class gets; one that serves several says so in its method's name."""
    for base in cls.__mro__:
        if base.__name__ in MIXINS:
            return MIXINS[base.__name__]
    if any("Mixin" in base.__name__ for base in cls.__mro__):
        return "unknown"  # an executor that came after 3.13
    word = method.removeprefix("test_")
    return word if word in MIXINS.values() else "future"


def scenario_of(cls: type) -> str:
    """ "WaitTest" for ProcessPoolForkWaitTest, ThreadPoolWaitTests and their kin."""
    name = cls.__name__
    for mixin in sorted(MIXINS, key=len, reverse=True):
        prefix = mixin.removesuffix("Mixin")
        if name.startswith(prefix) and len(name) > len(prefix):
            return name.removeprefix(prefix)
    return name
