"""Code that a worker cannot import travels by value: programs of their own, because pytest's `__main__` is pytest."""

import sys
import types
from pathlib import Path

import pytest

from procession import Pool
from tests.failures import tasks
from tests.failures.kit import run_program


def test_lambdas_and_closures() -> None:
    """Row: Lambdas, closures, `__main__`, notebooks, no main guard. Lambdas, closures and local classes just work."""
    offset = 10

    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    def shift(x: int) -> int:
        return x + offset

    with Pool(2) as pool:
        assert pool.submit(lambda x: x * x, 7).result(60) == 49
        assert list(pool.map(shift, range(5))) == [10, 11, 12, 13, 14]
        back = pool.submit(lambda x: Local(x), 3).result(60)
        assert isinstance(back, Local)
        assert back.x == 3
        assert pool.submit(lambda: isinstance(pool_free(Local(1)), Local)).result(60) is True


def pool_free(x: object) -> object:
    return x


NO_GUARD = """
    from procession import Pool, SpinOff
    import os

    class Point:
        def __init__(self, x):
            self.x = x

    class Wrong(ValueError):
        def __init__(self, point, why):
            super().__init__(why)
            self.point = point
        def __reduce__(self):
            return Wrong, (self.point, str(self))

    def work(point):
        assert isinstance(point, Point)
        if point.x < 0:
            raise Wrong(point, "negative")
        return Point(point.x * 2)

    parent = os.getpid()
    print("main runs once")
    pool = Pool(2)
    with pool:
        back = list(pool.map(work, [Point(1), Point(2)]))
        assert [type(p) for p in back] == [Point, Point] and [p.x for p in back] == [2, 4]
        try:
            pool.submit(work, Point(-1)).result()
        except Wrong as error:
            assert type(error) is Wrong and type(error.point) is Point and error.point.x == -1
        else:
            raise AssertionError
        assert pool.submit(lambda: os.getpid()).result() != parent
    with SpinOff(lambda p: Point(p.x + 1)) as spin:
        spin.put(Point(1))
    assert [type(p) for p in spin] == [Point]
    print("done")
"""


def test_a_script_without_a_main_guard(tmp_path: Path) -> None:
    """Row: Lambdas, closures, `__main__`, notebooks, no main guard. A script with classes and no guard, `isinstance`
    on what comes back included; its `__main__` is run once, by the user alone."""
    assert run_program(tmp_path, NO_GUARD).splitlines() == ["main runs once", "done"]


def test_the_same_script_started_as_a_module(tmp_path: Path) -> None:
    """Row: Lambdas, closures, `__main__`, notebooks, no main guard. The same with `python -m`."""
    assert run_program(tmp_path, NO_GUARD, flags=("-m", "program")).splitlines() == ["main runs once", "done"]


NOTEBOOK = """
    import code, sys, __main__

    shell = code.InteractiveInterpreter(__main__.__dict__)

    def cell(source):
        exec(compile(source, "<cell>", "exec"), __main__.__dict__)

    cell("from procession import Pool\\npool = Pool(2)")
    cell("factor = 2\\ndef work(x): return helper(x) * factor\\ndef helper(x): return x + 1")
    cell("assert pool.submit(work, 1).result() == 4")
    cell("factor = 3")                                            # rebound: not stale
    cell("assert pool.submit(work, 1).result() == 6")
    cell("def helper(x): return x + 100")                         # redefined: not stale
    cell("assert pool.submit(work, 1).result() == 303")
    cell("class A: pass\\nfirst = A")
    cell("assert type(pool.submit(lambda: A()).result()) is A")
    cell("class A: pass")                                         # a cell run again
    cell("assert type(pool.submit(lambda: A()).result()) is A and A is not first")
    cell("assert list(pool.map(lambda a: type(a).__name__, [A(), A()])) == ['A', 'A']")
    cell("pool.shutdown()")
    print("done")
"""


def test_a_notebook(tmp_path: Path) -> None:
    """Row: Lambdas, closures, `__main__`, notebooks, no main guard. Cells executed in `__main__`, run again, and with
    names rebound between them: what a worker runs is never stale."""
    assert run_program(tmp_path, NOTEBOOK) == "done\n"


INITIALIZER = """
    from procession import Pool

    model = None
    calls = []

    def initialize(value):
        global model
        model = value

    def ask(x):
        calls.append(x)
        return model, x, len(calls)

    def other():
        return model

    with Pool(1, initializer=initialize, initargs=({"weights": 3},)) as pool:
        assert pool.submit(ask, 1).result() == ({"weights": 3}, 1, 1)
        assert pool.submit(ask, 2).result() == ({"weights": 3}, 2, 2)        # one globals dict in a worker
        assert pool.submit(other).result() == {"weights": 3}
        assert pool.submit(lambda: model).result() == {"weights": 3}
    assert model is None and calls == []
    print("done")
"""


def test_an_initializers_global_is_seen(tmp_path: Path) -> None:
    """Row: Lambdas, closures, `__main__`, notebooks, no main guard. An initializer's `global model` is seen by the
    task that reads it, and stays in the worker."""
    assert run_program(tmp_path, INITIALIZER) == "done\n"


@pytest.fixture
def plugin() -> types.ModuleType:
    """A module that exists here and that no worker can find."""
    module = types.ModuleType("a_plugin_of_the_failure_tests")
    source = """
class Thing:
    def __init__(self, x): self.x = x
class Trouble(Exception):
    pass
def work(thing):
    assert isinstance(thing, Thing)
    if thing.x < 0: raise Trouble("below zero")
    return Thing(helper(thing.x))
def helper(x): return x + 1
"""
    exec(source, module.__dict__)
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def test_a_module_that_the_worker_cannot_import(plugin: types.ModuleType) -> None:
    """Row: Lambdas, closures, `__main__`, notebooks, no main guard. A module made at run time goes by value."""
    with Pool(2) as pool:
        back = pool.submit(plugin.work, plugin.Thing(1)).result(60)
        assert type(back) is plugin.Thing
        assert back.x == 2
        assert type(pool.submit(plugin.work, plugin.Thing(-1)).exception(60)) is plugin.Trouble
        assert [t.x for t in pool.map(plugin.work, [plugin.Thing(n) for n in range(3)])] == [1, 2, 3]
        # an instance alone, to a function that is importable: it pickles here by reference and would fail there
        assert type(pool.submit(tasks.same, plugin.Thing(5)).result(60)) is plugin.Thing
