"""Functions and classes that a worker cannot import: what they may be made of, and what they share there."""

import abc
import collections
import dataclasses
import enum
import functools
import inspect
import os
import sys
import threading
import types
import typing
import warnings
import xml
import xml.etree.ElementTree as ElementTree  # noqa: F401  # named by a test, as a submodule

import pytest

from procession.transport.codec import Codec
from tests.transport import samples
from tests.transport.harness import Worker


@pytest.fixture(scope="module")
def shared_worker():
    with Worker() as worker:
        yield worker


@pytest.fixture
def worker(shared_worker):
    shared_worker.codec = Codec()
    shared_worker.known = set()
    shared_worker.ask("renew")
    return shared_worker


def module_of(source, name="__main__"):
    """A namespace as a notebook has it: source that was typed in, in globals that are no module's."""
    names = {"__name__": name}
    exec(compile(source, "<cell>", "exec"), names)
    return types.SimpleNamespace(names=names, retype=lambda more: exec(compile(more, "<cell>", "exec"), names))


# --------------------------------------------------------------------------------------------------------- by reference


def test_importable_things_go_by_reference(worker):
    assert worker.codec.function(os.path.join).payload.count(b"posixpath")
    assert worker(os.path.join, "a", "b") == "a/b"
    assert worker(samples.double, 4) == 8
    assert worker(samples.Point, 1, 2) == samples.Point(1, 2)
    assert worker(len, [1, 2]) == 2
    assert worker(samples.whoami) == "tests.transport.samples"


def test_reference_even_inside_what_goes_by_value(worker):
    assert worker(lambda: samples.double(4)) == 8
    assert worker(lambda x: x is samples.double, samples.double)


# ------------------------------------------------------------------------------------------------------------ functions


def test_lambdas_and_closures(worker):
    base = 10
    assert worker(lambda x: x + base, 5) == 15
    assert worker(lambda: (lambda: base)()) == 10


def test_defaults_and_keyword_defaults(worker):
    def f(a, b=2, *, c=3):
        return a, b, c

    assert worker(f, 1) == (1, 2, 3)
    assert worker(f, 1, c=5) == (1, 2, 5)


def test_recursive_and_mutually_recursive_local_functions(worker):
    def fact(n):
        return 1 if n < 2 else n * fact(n - 1)

    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert worker(fact, 10) == 3628800
    assert worker(even, 10)
    assert not worker(odd, 10)


def test_recursive_and_mutually_recursive_module_functions(worker):
    cell = module_of(
        """
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
"""
    )
    assert worker(cell.names["fact"], 10) == 3628800
    assert worker(cell.names["even"], 10)


def test_closures_that_share_a_cell_still_share_it(worker):
    def counter():
        n = 0

        def more():
            nonlocal n
            n += 1

        def get():
            return n

        return more, get

    def use(more, get):
        more()
        more()
        return get()

    assert worker(use, *counter()) == 2


def test_generator_and_async_functions(worker):
    def gen(n):
        yield from range(n)

    async def later():
        return 7

    def drain(f, n):
        return list(f(n))

    def step(f):
        try:
            f().send(None)
        except StopIteration as stop:
            return stop.value

    assert worker(drain, gen, 3) == [0, 1, 2]
    assert worker(step, later) == 7
    assert worker(inspect.isgeneratorfunction, gen)


def test_decorated_partial_and_cached(worker):
    def twice(f):
        @functools.wraps(f)
        def wrapper(*args):
            return f(*args) * 2

        return wrapper

    @twice
    def one(x):
        """Doc."""
        return x + 1

    @functools.lru_cache(maxsize=7)
    def cached(x):
        return x * 3

    assert worker(one, 1) == 4
    assert worker(lambda: one.__doc__) == "Doc."
    assert worker(functools.partial(one, 1)) == 4
    assert worker(functools.partial(lambda a, b: a - b, b=1), 4) == 3
    assert worker(cached, 2) == 6
    assert worker(lambda: cached.cache_info().maxsize) == 7


def test_functions_keep_their_attributes(worker):
    def f():
        return f.note, f.__name__, f.__qualname__, f.__module__, f.__annotations__

    f.note = 5
    f.__annotations__["x"] = int
    name, qualname = f.__name__, f.__qualname__
    assert worker(f) == (5, name, qualname, __name__, {"x": int})


def test_functions_that_use_modules_and_submodules(worker):
    def by_global():
        return os.path.basename("/a/b"), xml.etree.ElementTree.fromstring("<a/>").tag

    def by_import():
        import json

        return json.dumps([1])

    assert worker(by_global) == ("b", "a")
    assert worker(by_import) == "[1]"


def test_name_and_file_are_those_of_the_module(worker):
    assert worker(lambda: (__name__, os.path.basename(__file__))) == (__name__, os.path.basename(__file__))


def test_a_class_body_inside_a_function_finds_its_globals(worker):
    def make():
        class Local:
            value = LIMIT
            base = sys.maxsize

        return Local.value

    assert worker(make) == LIMIT


LIMIT = 99


def test_a_bound_method_a_static_and_a_class_method(worker):
    class Adder:
        def __init__(self, n):
            self.n = n

        def add(self, x):
            return self.n + x

        @staticmethod
        def static(x):
            return -x

        @classmethod
        def make(cls, n):
            return cls(n)

        def __call__(self, x):
            return self.n * x

    adder = Adder(3)
    assert worker(adder.add, 4) == 7
    assert worker(adder, 4) == 12
    assert worker(Adder.static, 4) == -4
    assert type(worker(Adder.make, 4)) is Adder


# -------------------------------------------------------------------------------------------------------------- classes


def test_classes_of_all_kinds(worker):
    class Base(abc.ABC):
        @abc.abstractmethod
        def area(self): ...

        def twice(self):
            return 2 * self.area()

    class Square(Base):
        __slots__ = ("_side",)

        def __init__(self, side):
            super().__init__()
            self._side = side

        @property
        def side(self):
            return self._side

        @side.setter
        def side(self, value):
            self._side = value

        def area(self):
            return self.side**2

        @functools.cached_property
        def never(self): ...

    def grow(square):
        square.side += 1
        return square, square.twice(), isinstance(square, Base)

    square, twice, right = worker(grow, Square(2))
    assert (type(square), square.side, twice, right) == (Square, 3, 18, True)


def test_dataclasses_named_tuples_enums(worker):
    @dataclasses.dataclass(frozen=True)
    class Item:
        name: str
        tags: list = dataclasses.field(default_factory=list)
        count: int = 0

    class Pair(typing.NamedTuple):
        a: int
        b: int = 2

    Old = collections.namedtuple("Old", "x y")

    class Color(enum.Enum):
        RED = 1
        GREEN = "g"

        def other(self):
            return Color.GREEN if self is Color.RED else Color.RED

    class Bits(enum.Flag):
        A = 1
        B = 2

    def work(item, pair, old, color, bits):
        again = dataclasses.replace(item, count=item.count + 1)
        assert Item("x") == Item("x")
        assert color is Color.RED
        return again, pair._replace(a=5), old, color.other(), bits | Bits.B

    item, pair, old, color, bits = worker(work, Item("a"), Pair(1), Old(1, 2), Color.RED, Bits.A)
    assert item == Item("a", [], 1)
    assert type(item) is Item
    assert pair == Pair(5, 2)
    assert type(pair) is Pair
    assert type(old) is Old
    assert color is Color.GREEN
    assert bits is Bits.A | Bits.B


def test_generic_classes(worker):
    T = typing.TypeVar("T")

    class Stack(typing.Generic[T]):
        def __init__(self):
            self.items: list[T] = []

    def push(stack: "Stack[int]"):
        stack.items.append(Stack[int])
        return stack

    made = worker(push, Stack())
    assert type(made) is Stack
    assert made.items[0].__origin__ is Stack


def test_annotations_with_type_variables(worker):
    cell = module_of(
        """
import typing
T = typing.TypeVar("T")
P = typing.ParamSpec("P")
Id = typing.NewType("Id", int)
def f(x: T, y: Id, z: typing.Callable[P, T]) -> T: return x, sorted(f.__annotations__), Id(y)
"""
    )
    assert worker(cell.names["f"], 1, 2, 3) == (1, ["return", "x", "y", "z"], 2)


def test_single_dispatch(worker):
    class Local: ...

    @functools.singledispatch
    def show(x):
        return "other"

    @show.register
    def _(x: int):
        return "int"

    @show.register
    def _(x: Local):
        return "local"

    show(1)
    assert worker(lambda x: (show(1), show(x), show("")), Local()) == ("int", "local", "other")


def test_sentinels_of_dataclasses_keep_their_identity(worker):
    @dataclasses.dataclass
    class Item:
        a: int
        b: list = dataclasses.field(default_factory=list)

    def look():
        first, second = dataclasses.fields(Item)
        return first.default is dataclasses.MISSING, second.default is dataclasses.MISSING, Item(1).b

    assert worker(look) == (True, True, [])


def test_a_cell_that_is_typed_again(worker):
    cell = module_of("class A:\n  def v(self): return 1\ndef make(): return A()")
    old_class, old = cell.names["A"], worker(cell.names["make"])
    assert type(old) is old_class
    cell.retype("class A:\n  def v(self): return 2")
    new = worker(cell.names["make"])
    assert type(new) is cell.names["A"]
    assert worker(lambda a, b: (a.v(), b.v(), type(a) is type(b)), old, new) == (1, 2, False)
    assert type(worker(lambda a: a, old)) is old_class


def test_the_source_of_a_cell_is_in_the_traceback(worker):
    import linecache

    source = "def fail():\n    raise ValueError(1)  # typed in\n"
    names = {"__name__": "__main__"}
    exec(compile(source, "<cell-7>", "exec"), names)
    linecache.cache["<cell-7>"] = len(source), None, source.splitlines(True), "<cell-7>"
    with pytest.raises(ValueError) as caught:
        worker(names["fail"])
    assert "# typed in" in caught.value.__cause__.tb


def test_metaclasses_and_inheritance_from_importable_ones(worker):
    class Meta(type):
        def __call__(cls, *args):
            made = super().__call__(*args)
            made.marked = True
            return made

    class Thing(samples.Point, metaclass=Meta):
        pass

    made = worker(lambda x: Thing(1, x), 2)
    assert type(made) is Thing
    assert (made.x, made.y, made.marked) == (1, 2, True)


def test_one_class_in_a_worker_for_all_tasks(worker):
    class Local:
        pass

    def keep(x):
        builtins = sys.modules["builtins"]
        kept = builtins.__dict__.setdefault("kept_class", type(x))
        return kept is type(x), kept is Local

    assert worker(keep, Local()) == (True, True)
    assert worker(keep, Local()) == (True, True)
    Local.more = 5
    assert worker(lambda x: keep(x), Local()) == (True, True)


def test_identity_on_the_way_back(worker):
    class Local:
        pass

    def f(): ...

    def g(x):
        return x

    back = worker(g, [Local, Local(), f, g, len, samples.Point])
    assert back[0] is Local
    assert type(back[1]) is Local
    assert back[2] is f
    assert back[3] is g
    assert back[4] is len
    assert back[5] is samples.Point
    assert worker(lambda: Local) is Local
    assert worker(lambda: {Local: f})[Local] is f


def test_a_class_that_died_here_is_rebuilt(worker):
    def work():
        class Local:
            def hello(self):
                return "hello"

        return lambda: Local()

    assert worker(work()).hello() == "hello"


def test_things_defined_in_the_worker_work_here(worker):
    def work(n):
        class Made:
            def __init__(self):
                self.n = n

            def twice(self):
                return 2 * self.n

        return Made(), lambda x: x + n

    first, add = worker(work, 4)
    assert first.twice() == 8
    assert add(1) == 5
    again = worker(lambda x: x, first)
    assert type(again) is type(first)
    assert worker(lambda x: x.twice(), first) == 8


def test_a_class_defined_in_the_worker_is_one_class_here(worker):
    def setup():
        global Made

        class Made: ...

    def get():
        return Made()

    worker(setup)
    assert type(worker(get)) is type(worker(get))


# ----------------------------------------------------------------------------------------------- the globals are shared


def test_an_initializer_by_value_sets_what_tasks_read(worker):
    cell = module_of(
        """
model = None
def init(value):
    global model
    model = value
def read(): return model
def read_too(): return [model]
"""
    )
    worker.initialize(cell.names["init"], "loaded")
    assert worker(cell.names["read"]) == "loaded"
    assert worker(cell.names["read_too"]) == ["loaded"]
    assert worker(cell.names["read"]) == "loaded"
    cell.names["model"] = "rebound"
    assert worker(cell.names["read"]) == "rebound"


def test_an_initializer_by_reference_sets_what_lambdas_of_its_module_read(worker):
    read = samples.reader()
    worker.initialize(samples.initialize, "loaded")
    assert worker(samples.read) == "loaded"
    assert worker(read) == "loaded"


def test_a_rebound_global_is_seen(worker):
    cell = module_of(
        """
threshold = 1
def helper(): return threshold
def task(): return helper()
class Holder:
    def get(self): return threshold
"""
    )
    task = cell.names["task"]
    first = worker.codec.function(task)
    assert worker(task) == 1
    assert worker.codec.function(task) is first
    assert worker(lambda h: h.get(), cell.names["Holder"]()) == 1
    cell.names["threshold"] = 5
    second = worker.codec.function(task)
    assert second is not first
    assert second.id != first.id
    assert first.id in worker.codec.forgotten
    assert worker(task) == 5
    assert worker(lambda h: h.get(), cell.names["Holder"]()) == 5
    cell.retype("def helper(): return threshold * 10")
    assert worker(task) == 50


def test_what_a_task_counts_stays_until_it_is_rebound_here(worker):
    cell = module_of(
        """
n = 0
def count():
    global n
    n += 1
    return n
def look(): return n
"""
    )
    assert [worker(cell.names["count"]) for _ in range(3)] == [1, 2, 3]
    assert worker(cell.names["look"]) == 3
    cell.names["n"] = 100
    assert worker(cell.names["look"]) == 100
    assert worker(cell.names["count"]) == 101


def test_a_task_runs_with_the_values_of_its_submission(worker):
    cell = module_of("threshold = 1\ndef task(): return threshold")
    codec, task = worker.codec, cell.names["task"]
    old = codec.function(task)
    cell.names["threshold"] = 2
    new = codec.function(task)
    assert worker.run(new, ()) == 2
    assert worker.run(old, ()) == 1  # it comes late, from a worker that died, say
    assert worker.run(new, ()) == 2
    assert worker.run(old, ()) == 1


def test_a_rebound_default_cell_code(worker):
    def make():
        x = 1

        def get(a=1, *, b=1):
            return x, a, b

        def put(value):
            nonlocal x
            x = value

        return get, put

    get, put = make()
    assert worker(get) == (1, 1, 1)
    put(2)
    assert worker(get) == (2, 1, 1)
    get.__defaults__ = (3,)
    assert worker(get) == (2, 3, 1)
    get.__kwdefaults__ = {"b": 4}
    assert worker(get) == (2, 3, 4)
    get.__code__ = make()[0].__code__.replace(co_consts=get.__code__.co_consts, co_name="renamed")
    assert worker(get) == (2, 3, 4)


def make_getter(n):
    return lambda: n


def test_a_loop_variable_is_taken_at_submission(worker):
    jobs = [worker.codec.function(make_getter(n)) for n in range(3)]
    assert [worker.run(job, ()) for job in reversed(jobs)] == [2, 1, 0]
    cell = module_of("def jobs(function):\n  global i\n  for i in range(3): yield function(lambda: i)")
    entries = list(cell.names["jobs"](worker.codec.function))
    assert [worker.run(each, ()) for each in reversed(entries)] == [2, 1, 0]


def test_two_namespaces_do_not_mix(worker):
    one = module_of("x = 1\ndef f(): return x")
    two = module_of("x = 2\ndef f(): return x")
    assert (worker(one.names["f"]), worker(two.names["f"]), worker(one.names["f"])) == (1, 2, 1)


def test_a_name_that_is_unbound_is_a_name_error_there(worker):
    def f():
        return not_defined_anywhere  # noqa: F821

    with pytest.raises(NameError):
        worker(f)


def test_functions_whose_globals_stay_in_the_worker_come_back(worker):
    cell = module_of(
        """
import threading
lock = None
def init():
    global lock
    lock = threading.Lock()
class Holder:
    def get(self): return lock
def locked(x): return lock.locked(), locked, Holder()
"""
    )
    worker.initialize(cell.names["init"])
    state, function, holder = worker(cell.names["locked"], cell.names["Holder"]())
    assert state is False
    assert function is cell.names["locked"]
    assert type(holder) is cell.names["Holder"]


# ---------------------------------------------------------------------------------- modules that the worker cannot find


def test_a_module_made_by_hand(worker):
    module = types.ModuleType("made_by_hand")
    source = "n = 3\ndef f(): return n\ndef g(): return f() + 1\nclass C:\n  def m(self): return n"
    exec(compile(source, "<made>", "exec"), vars(module))
    sys.modules["made_by_hand"] = module
    try:
        assert worker(module.g) == 4
        assert type(worker(lambda c: c, module.C())) is module.C
        assert worker(lambda: module.f() + module.C().m()) == 6
        assert worker(lambda m: m.g(), module) == 4
    finally:
        del sys.modules["made_by_hand"]
    assert worker(module.g) == 4
    assert worker(lambda: module.f()) == 3


def test_a_deleted_module(tmp_path, monkeypatch, worker):
    (tmp_path / "gone_soon.py").write_text("def f(x): return g(x) + 1\ndef g(x): return x * 2\nclass K: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import gone_soon

    (tmp_path / "gone_soon.py").unlink()
    try:
        assert worker(gone_soon.f, 4) == 9
        assert type(worker(gone_soon.K)) is gone_soon.K
    finally:
        del sys.modules["gone_soon"]


def test_a_module_that_is_not_on_the_path(tmp_path, worker):
    import importlib.util

    file = tmp_path / "loose.py"
    file.write_text("def f(x): return x * 2\n")
    spec = importlib.util.spec_from_file_location("some.where.loose", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["some.where.loose"] = module
    try:
        spec.loader.exec_module(module)
        assert worker(module.f, 4) == 8
    finally:
        del sys.modules["some.where.loose"]


# --------------------------------------------------------------------------------------------------------------- limits


def test_cloudpickle_is_not_loaded_for_functions():
    with Worker() as fresh:
        base = 1
        fresh(lambda x: x + base, 1)
        fresh(samples.double, 1)
        assert not fresh.ask("loaded", "cloudpickle")
        assert not fresh.ask("loaded", "multiprocessing")
        assert not fresh.ask("loaded", "concurrent.futures")


def test_a_large_capture_warns_once(worker):
    big = bytes(11_000_000)

    def f():
        return len(big), threshold

    threshold = 1
    with pytest.warns(RuntimeWarning, match=r"f carries 11 MB"):
        worker.codec.function(f)
    threshold = 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert worker(f) == (11_000_000, 2)
        worker.codec.function(samples.double)


def test_locks_in_a_class_by_value_are_named(worker):
    class Holder:
        lock = threading.Lock()

    with pytest.raises(TypeError, match=r"Holder\.lock is a _thread\.lock"):
        worker(lambda: Holder)
