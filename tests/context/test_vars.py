"""What context variables a task sees: those of whoever handed it over, as they were then, on every backend."""

import asyncio
import decimal
import importlib.util
import multiprocessing
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar, copy_context
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest

import procession
from procession import Pipeline, Pool, SpinOff, Stage, rng, surroundings
from tests import warm
from tests.context import varwork as work

kept_zygote = warm.keep()

SEED = 20261128
BACKENDS = ["inline", "pickled", "threads", "processes"]

nowhere: ContextVar[Any] = ContextVar("nowhere", default=("d", 1))


def make_pool(backend: str, workers: int = 2, **words: Any) -> Pool:
    if backend == "pickled":
        return Pool(workers, backend="inline", pickle=True, **words)
    return Pool(workers, backend=backend, **words)  # type: ignore[arg-type]


def backend_of(name: str) -> Any:
    return "inline" if name == "pickled" else name


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def pool(backend: str) -> Iterator[Pool]:
    with make_pool(backend) as made:
        yield made


def surrounded(request: Any, trail: Any, then: Callable[[], Any]) -> Any:
    """`then()`, where these variables are set."""

    def run() -> Any:
        work.request.set(request)
        work.trail.set(trail)
        return then()

    return Context().run(run)


def unset(then: Callable[[], Any]) -> Any:
    return Context().run(then)


# --------------------------------------------------------------------------------------------------------- every way in


WAYS: dict[str, Callable[[Pool], list[Any]]] = {
    "submit": lambda pool: [each.result() for each in [pool.submit(work.view, n) for n in range(6)]],
    "submit, by value": lambda pool: [pool.submit(lambda n: work.view(n), n).result() for n in range(3)],
    "submit, with a policy": lambda pool: [pool.options(retries=1, name="x").submit(work.view, [1]).result()],
    "map": lambda pool: list(pool.map(work.view, range(6))),
    "map, bounded": lambda pool: list(pool.map(work.view, range(6), buffersize=2)),
    "map, of objects": lambda pool: list(pool.map(work.view, [[1], {2}, "3"])),
    "imap": lambda pool: list(pool.imap(work.view, range(6), window=2)),
    "imap, live": lambda pool: list(pool.imap(work.view, iter(range(6)), live=True)),
    "imap, by key": lambda pool: list(pool.imap(work.view, range(6), key=lambda n: n % 2)),
    "imap, at a rate": lambda pool: list(pool.imap(work.view, range(3), rate=1000)),
    "imap, with a seed": lambda pool: list(pool.imap(work.view, range(6), seed=SEED)),
    "imap_unordered": lambda pool: list(pool.imap_unordered(work.view, range(6))),
    "submit, with a seed": lambda pool: [pool.options(seed=SEED).submit(work.view, n).result() for n in range(3)],
    "a generator": lambda pool: list(pool.stream(lambda n: (work.view() for _ in range(n)), 5)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_pool(pool: Pool, way: str) -> None:
    assert set(surrounded("r1", ("t", 1), lambda: WAYS[way](pool))) == {("r1", ("t", 1))}
    assert set(unset(lambda: WAYS[way](pool))) == {("nobody", None)}
    assert set(surrounded("r2", None, lambda: WAYS[way](pool))) == {("r2", None)}


def test_coroutines(pool: Pool) -> None:
    async def one(number: int) -> list[Any]:
        work.request.set(number)
        seen = [await pool.acall(work.view_and_spoil, 0), await pool.acall(work.view, [1])]
        seen.append(await asyncio.get_running_loop().run_in_executor(pool, work.view, 1))
        seen += [each async for each in pool.aimap(work.view, range(3))]
        with SpinOff(work.view, backend="threads") as spin:
            seen.append((await spin.aput(1)).result())
        seen += [each async for each in Pipeline(Stage(work.view, backend="threads")).arun(range(2))]
        return seen

    async def all_of_them() -> list[list[Any]]:
        return await asyncio.gather(*map(one, range(4)))

    for number, seen in enumerate(asyncio.run(all_of_them())):
        assert seen == [(number, None)] * 9


def test_a_spinoff(backend: str) -> None:
    """Each item sees what was set when it was put; of those that run together each sees what was set at the making."""

    def put_all(spin: SpinOff[Any]) -> None:
        surrounded("a", [1], lambda: spin.put(1))
        unset(lambda: spin.put(1))
        surrounded("b", None, lambda: spin.put_many([1, [2]]))

    with SpinOff(work.view_and_spoil, backend=backend_of(backend)) as spin:
        put_all(spin)
    assert list(spin) == [("a", [1]), ("nobody", None), ("b", None), ("b", None)]

    def make() -> SpinOff[Any]:
        return SpinOff(work.several, backend=backend_of(backend), batch=3)

    with surrounded("m", 0, make) as spin:
        put_all(spin)
    assert list(spin) == [("m", 0)] * 4
    with unset(make) as spin:
        put_all(spin)
    assert list(spin) == [("nobody", None)] * 4


def test_a_pipeline(backend: str) -> None:
    """A run sees what was set when it was begun; the pipeline may have been made elsewhere, and run before."""
    stages = [
        Stage(lambda n: (n, work.view_and_spoil()), backend=backend_of(backend)),
        Stage(lambda pairs: [(*pair, *work.several([1])) for pair in pairs], batch=2, backend=backend_of(backend)),
        Stage(lambda found: [found[1:], found[1:]], many=True, backend=backend_of(backend)),
    ]
    with surrounded("made", 0, lambda: Pipeline(*stages)) as pipeline:
        for name in ("first", "second"):
            seed = 7 if name == "second" else None
            run = surrounded(name, [0], partial(pipeline.run, iter(range(5)), seed=seed))
            assert list(run) == [((name, [0]), (name, [0]))] * 10
        assert list(unset(lambda: pipeline.run(range(2)))) == [(("nobody", None), ("nobody", None))] * 4


# ---------------------------------------------------------------------------------------------------- as they were then


def test_what_is_set_later_is_not_seen(pool: Pool) -> None:
    """Items that start long after the call that began their stream see what that saw."""

    def begin() -> tuple[Any, Any, Any]:
        work.request.set("then")
        stream = pool.imap(work.view, iter(range(20)), window=2)
        lazily = pool.map(work.view, iter(range(20)), buffersize=1)
        values = pool.stream(work.views, 20)
        work.request.set("later")
        return stream, lazily, values

    stream, lazily, values = unset(begin)

    def take() -> None:
        assert set(stream) == set(lazily) == {("then", None)}
        assert list(values) == [(("then", k), None) for k in range(20)]

    surrounded("taker", "taker", take)


def test_a_call_waits_for_its_worker(backend: str) -> None:
    started, go = threading.Event(), threading.Event()
    if backend != "threads":
        pytest.skip("elsewhere the arguments are frozen, or the call runs at once")
    with make_pool(backend, 1) as pool:
        pool.submit(lambda: (started.set(), go.wait(30)))
        assert started.wait(30)
        futures = [surrounded(n, None, lambda: pool.submit(work.view)) for n in range(5)]
        go.set()
        assert [each.result() for each in futures] == [(n, None) for n in range(5)]


def test_threads_share_objects_and_processes_copy_them() -> None:
    value: list[str] = []
    with make_pool("threads", 1) as threads, make_pool("processes", 1) as processes:
        seen = surrounded(0, value, lambda: [threads.submit(work.change_trail, k).result() for k in "ab"])
        assert seen == [[], ["a"]]
        assert value == ["a", "b"]
        seen = surrounded(0, value, lambda: [processes.submit(work.change_trail, k).result() for k in "cd"])
        assert seen == [["a", "b"]] * 2
        seen = surrounded(0, value, lambda: list(processes.imap(work.change_trail, "cdef")))
        assert seen == [["a", "b"]] * 4
        assert value == ["a", "b"]


@pytest.mark.parametrize("seed", range(SEED, SEED + 6))
def test_random_surroundings_are_equal_everywhere(seed: int) -> None:
    """Random values of random variables, set and not set, in random order, by calls and by streams."""
    draw = random.Random(seed)
    values = [None, True, 1, 1.5, "x", b"y", (1, ("a",)), [1, [2]], {"k": {1}}, frozenset({3}), decimal.Decimal("1.1")]
    pools = [make_pool(backend) for backend in BACKENDS]
    try:
        for _ in range(12):
            chosen = [
                (each, draw.choice(values)) for each in (work.request, work.trail, nowhere) if draw.random() < 0.7
            ]

            def see(chosen: Any = chosen, many: bool = draw.random() < 0.5) -> list[Any]:
                for variable, value in chosen:
                    variable.set(value)

                def look(_: int) -> Any:
                    seen = work.view_and_spoil(), nowhere.get()
                    nowhere.set("spoilt")
                    return seen

                if many:
                    return [list(pool.map(look, range(4))) for pool in pools]
                return [[pool.submit(look, n).result() for n in range(4)] for pool in pools]

            expected = dict(chosen)
            one = (
                (expected.get(work.request, "nobody"), expected.get(work.trail)),
                expected.get(nowhere, ("d", 1)),
            )
            assert unset(see) == [[one] * 4] * len(pools), seed
    finally:
        for pool in pools:
            pool.shutdown()


# --------------------------------------------------------------------------------------------------------------- alone


def test_what_a_task_sets_nobody_else_sees(pool: Pool) -> None:
    def check() -> None:
        before = copy_context()
        assert {pool.submit(work.view_and_spoil).result() for _ in range(6)} == {("nobody", None)}
        assert set(pool.map(work.view_and_spoil, range(50), chunksize=25)) == {("nobody", None)}
        assert set(pool.imap(work.view_and_spoil, [[n] for n in range(50)], chunksize=25)) == {("nobody", None)}
        assert pool.submit(lambda: work.view_and_spoil()).result() == ("nobody", None)
        assert next(pool.stream(lambda: iter([work.view_and_spoil(), work.view_and_spoil()]))) == ("nobody", None)
        assert list(copy_context().items()) == list(before.items())

    unset(check)
    surrounded("nobody", None, check)


def test_two_generators_of_one_worker(backend: str) -> None:
    """Their turns take turns; each finds what it had set, and its tokens."""
    with make_pool(backend, 1) as pool:
        one = surrounded("one", 1, lambda: pool.stream(work.views, 12))
        two = unset(lambda: pool.stream(work.views, 12))
        found = list(zip(one, two, strict=True))
    assert found == [((("one", k), 1), (("nobody", k), None)) for k in range(12)]


def test_a_generator_that_is_closed_resets_its_token(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    with make_pool(backend, 1) as pool:
        values = surrounded("one", 1, lambda: pool.stream(work.views, 10_000))
        assert next(values) == (("one", 0), 1)
        values.close()
        assert pool.submit(work.view).result() == ("nobody", None)
    assert not caplog.records  # what it raises would be logged


def test_initializer_and_setup_lie_below(backend: str) -> None:
    with make_pool(backend, 1, initializer=work.initialize, initargs=("mine",)) as pool:
        for _ in range(2):
            assert pool.submit(work.view_and_spoil).result() == ("mine", "initialized")
            assert list(pool.map(work.view_and_spoil, range(2))) == [("mine", "initialized")] * 2

        def given() -> Any:
            work.request.set("given")
            return pool.submit(work.view_and_spoil).result(), *pool.map(work.view_and_spoil, range(2))

        assert unset(given) == (("given", "initialized"),) * 3
    assert work.view() == ("nobody", None)


def test_an_initializer_begins_with_nothing_set(backend: str) -> None:
    """Not with what is set where the pool is made, which is not what its tasks see; what it sets itself they see, also
    if the very same was set there."""
    begun: ContextVar[Any] = ContextVar("begun", default="not begun")

    def initialize() -> None:
        begun.set(work.view())
        work.request.set("mine")

    def see() -> Any:
        return begun.get(), work.view()

    def make() -> Pool:
        made = make_pool(backend, 1, initializer=initialize)
        assert made.submit(see).result() == (("nobody", None), ("mine", "t"))
        return made

    with surrounded("mine", "t", make) as pool:
        for _ in range(2):
            assert pool.submit(see).result() == (("nobody", None), ("mine", None))


def test_a_worker_that_is_forked_inherits_no_variable() -> None:
    def make() -> Pool:
        pool = Pool(1, mp_context=multiprocessing.get_context("fork"))
        assert pool.submit(work.view).result() == ("forked", 0)
        return pool

    with surrounded("forked", 0, make) as pool:
        assert pool.submit(work.view).result() == ("nobody", None)
        assert surrounded(1, None, lambda: pool.submit(work.view).result()) == (1, None)


def test_a_teardown_resets_what_its_setup_has_set(backend: str) -> None:
    class Setup:
        def __enter__(self) -> None:
            self.token = work.request.set("entered")

        def __exit__(self, *_: object) -> None:
            work.request.reset(self.token)

    with make_pool(backend, 1, setup=Setup) as pool:
        assert pool.submit(work.view_and_spoil).result() == ("entered", None)
    assert not pool._engine.teardown_errors


@pytest.mark.parametrize("how", [work.fail_first, work.kill_first])
def test_further_runs_see_the_same(tmp_path: Path, backend: str, how: Any) -> None:
    if how is work.kill_first and backend != "processes":
        pytest.skip("only processes can be killed")
    with make_pool(backend, 1) as pool:
        again = pool.options(retries=3)
        call = surrounded("r", (1,), lambda: again.submit(how, str(tmp_path / "call")))
        assert call.result() == ("r", (1,))
        stream = surrounded("r", (1,), lambda: again.imap(how, [str(tmp_path / "stream")]))
        assert list(stream) == [("r", (1,))]
        assert again.submit(work.view).result() == ("nobody", None)


def test_random_numbers_are_not_handed_on(backend: str) -> None:
    """A task of a seeded stream that has workers of its own does not share its generator with them."""

    def inner(n: int) -> Any:
        work.request.set(n)
        mine = id(rng())
        with Pool(1, backend="threads") as pool:
            return pool.submit(lambda: id(rng()) == mine).result(), pool.submit(work.view).result()

    with make_pool(backend) as pool:
        assert list(pool.imap(inner, range(3), seed=SEED)) == [(False, (n, None)) for n in range(3)]


# ----------------------------------------------------------------------------------------------------- into processes


def test_what_cannot_be_pickled_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def see(pool: Pool) -> Any:
        work.request.set("r")
        local: ContextVar[Any] = ContextVar("a lock of mine")
        local.set(threading.Lock())
        seen = [pool.submit(lambda: (work.view(), local.get("left out"))).result() for _ in range(3)]
        seen += pool.map(lambda _: (work.view(), local.get("left out")), range(3))
        assert surroundings.look(copy_context()) == 0

        def alone() -> None:
            local.set(threading.Lock())
            assert surroundings.look(copy_context()) == 2  # what is known to be left out closes no short way

        unset(alone)
        return seen

    with make_pool("processes", 1) as pool:
        assert unset(lambda: see(pool)) == [(("r", None), "left out")] * 6
    told = [each.getMessage() for each in caplog.records if each.name == "procession"]
    assert len(told) == 1
    assert "'a lock of mine'" in told[0]
    assert "cannot pickle" in told[0]


def test_a_list_is_not_left_out_for_what_another_held() -> None:
    """Of an own type one value tells of all: that is not pickled again. Of lists and the like each is tried."""

    class Own:
        tries = 0

        def __reduce__(self) -> Any:
            Own.tries += 1
            raise TypeError("never")

    def see(pool: Pool) -> Any:
        seen = []
        for value in ([threading.Lock()], [1], {"a": threading.Lock()}, {"a": 2}, (3, threading.Lock()), (3,)):
            work.thing.set(value)
            seen.append(pool.submit(lambda: work.thing.get("left out")).result())
        for _ in range(3):
            work.thing.set(Own())
            seen.append(pool.submit(lambda: work.thing.get("left out")).result())
        return seen

    with make_pool("processes", 1) as pool:
        assert unset(lambda: see(pool)) == ["left out", [1], "left out", {"a": 2}, "left out", (3,), *["left out"] * 3]
    assert Own.tries == 1


def test_what_cannot_be_rebuilt_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    def see(pool: Pool) -> Any:
        work.request.set("r")
        work.thing.set(Broken())
        return [pool.submit(lambda: (work.view(), work.thing.get(None))).result() for _ in range(3)]

    with make_pool("processes", 1) as pool:
        assert unset(lambda: see(pool)) == [(("r", None), None)] * 3
    told = [each.getMessage() for each in caplog.records if each.name == "procession"]
    assert len(told) == 1
    assert "'thing'" in told[0]
    assert "no number" in told[0]


def test_a_function_by_value_names_its_variable() -> None:
    """With its default, set and not set, there and back, the same object for all functions of this worker."""
    with make_pool("processes", 1) as pool:
        local: ContextVar[Any] = ContextVar("local", default=(1, [2]))
        bare: ContextVar[Any] = ContextVar("bare")
        assert pool.submit(lambda: (local.get(), bare.get(None), nowhere.get())).result() == ((1, [2]), None, ("d", 1))
        same = pool.submit(lambda: (local, bare, nowhere, work.request)).result()
        assert all(one is other for one, other in zip(same, (local, bare, nowhere, work.request), strict=True))

        def see() -> Any:
            local.set({"two": 2})
            bare.set(3)
            nowhere.set("set")
            return pool.submit(lambda: (local.get(), bare.get(), nowhere.get())).result()

        assert unset(see) == ({"two": 2}, 3, "set")
        assert pool.submit(lambda: (local.get(), bare.get(None), nowhere.get())).result() == ((1, [2]), None, ("d", 1))


def test_a_variable_that_was_set_before_any_function_named_it() -> None:
    """So the worker makes it for its value, and needs its default later."""
    local: ContextVar[Any] = ContextVar("early", default=("early", [0]))
    with make_pool("processes", 1) as pool:

        def early() -> Any:
            local.set(1)
            return pool.submit(work.view).result()

        unset(early)
        assert pool.submit(lambda: local.get()).result() == ("early", [0])


def test_a_worker_hands_on(backend: str) -> None:
    """A task that has workers of its own: three processes deep the same variable."""

    def deeper(levels: int) -> Any:
        if not levels:
            return work.view(), nowhere.get()
        with Pool(1) as pool:
            return pool.submit(deeper, levels - 1).result()

    def see() -> Any:
        work.request.set("far")
        nowhere.set("away")
        with make_pool(backend, 1) as pool:
            return pool.submit(deeper, 2).result()

    assert unset(see) == (("far", None), "away")


def test_variables_of_classes_objects_and_dicts() -> None:
    kept = work.register("user")

    def see(pool: Pool) -> Any:
        work.Holder.inner.set(1)
        work.holder.own.set(2)
        kept.set("me")
        found = pool.submit(work.view_by_name).result()
        assert found["kept_user"] == "me"
        return pool.submit(work.of_class_and_object).result(), pool.submit(work.from_registry, "user").result()

    with make_pool("processes", 1) as pool:
        assert unset(lambda: see(pool)) == ((1, 2), (["user"], "me"))
        assert pool.submit(work.from_registry, "user").result() == (["user"], None)


@pytest.fixture
def late_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "late_variables.py").write_text(
        "import contextvars\n"
        "late = contextvars.ContextVar('late', default='unset')\n"
        "mutable = contextvars.ContextVar('mutable', default='unset')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("late_variables")
    sys.modules.pop("late_variables", None)


MADE = "from contextvars import ContextVar\nof_package = ContextVar('of_package', default='unset')\n"
MADE_AS = "import contextvars\n_own = contextvars.ContextVar('of_package', default='unset')\n"


@pytest.mark.parametrize(
    ("made", "imported"),
    [
        (MADE, "from variables_package.deep.made import of_package\n"),
        (MADE_AS, "from variables_package.deep import made\nof_package = made._own\n"),
    ],
    ids=["of its name", "of another name"],
)
def test_a_variable_that_many_modules_import(
    made: str, imported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's task imports only the module that has made it, whose name is not the shortest, and gets the value;
    and a function by value that names the variable imports none of the others for it."""
    deep = tmp_path / "variables_package" / "deep"
    deep.mkdir(parents=True)
    (deep / "made.py").write_text(made)
    importers = [f"variables_of_{n}" for n in range(12)]
    for name in importers:
        (tmp_path / f"{name}.py").write_text(imported)
    monkeypatch.syspath_prepend(str(tmp_path))
    of_package, *_ = [importlib.import_module(name).of_package for name in importers]
    home = sys.modules["variables_package.deep.made"]
    attribute = "of_package" if hasattr(home, "of_package") else "_own"

    def see(_: int = 0) -> Any:
        found = importlib.import_module("variables_package.deep.made")
        return getattr(found, attribute).get(), [name for name in sys.modules if name.startswith("variables_of")]

    def by_value() -> Any:
        return of_package.get(), see()

    def run(pool: Pool) -> Any:
        of_package.set(["set"])
        return pool.submit(see).result(), *pool.map(see, [1]), pool.submit(by_value).result()

    try:
        with make_pool("processes", 1) as pool, make_pool("processes", 1) as other:
            assert unset(lambda: run(pool)) == ((["set"], []), (["set"], []), (["set"], (["set"], [])))
            assert other.submit(by_value).result() == ("unset", ("unset", []))
    finally:
        for name in [*importers, "variables_package", "variables_package.deep", "variables_package.deep.made"]:
            sys.modules.pop(name, None)


def test_no_module_is_imported_for_its_variables(late_module: Any) -> None:
    """They are set when a task imports it, in the middle of its run, and for later tasks."""

    def before() -> bool:
        return "late_variables" in sys.modules

    def imports() -> Any:
        assert importlib.util.find_spec("late_variables") is not None  # imports nothing
        import late_variables  # type: ignore[import-not-found]

        found = late_variables.late.get(), late_variables.mutable.get()
        late_variables.late.set("spoilt")
        return found

    def see(pool: Pool) -> Any:
        late_module.late.set("set")
        late_module.mutable.set(["set"])
        assert pool.submit(before).result() is False
        return (
            pool.submit(imports).result(),
            pool.submit(imports).result(),
            next(iter(pool.map(lambda _: imports(), [1]))),
        )

    def other(pool: Pool, then: Callable[[], Any]) -> Any:
        late_module.late.set("other")
        late_module.mutable.set(["other"])
        return pool.submit(then).result()

    with make_pool("processes", 1) as pool:
        assert unset(lambda: other(pool, before)) is False
        assert unset(lambda: see(pool)) == (("set", ["set"]),) * 3
        assert unset(lambda: other(pool, imports)) == ("other", ["other"])  # who came before, and comes again
        assert pool.submit(imports).result() == ("unset", "unset")


def test_what_the_module_of_a_function_sets_is_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is loaded before the run, in the worker's own context, also where others have run before."""
    (tmp_path / "sets_a_variable.py").write_text(
        "from tests.context.varwork import request, view\nrequest.set('imported')\ndef see(*_): return view()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    see: Any = unset(lambda: importlib.import_module("sets_a_variable").see)
    try:
        with make_pool("processes", 1) as pool:
            for _ in range(3):
                assert pool.submit(work.view_and_spoil).result() == ("nobody", None)
            assert {pool.submit(see, n).result() for n in range(3)} == {("imported", None)}
            assert pool.submit(work.view_and_spoil).result() == ("imported", None)
            assert set(pool.map(work.view_and_spoil, range(3))) == {("imported", None)}
    finally:
        sys.modules.pop("sets_a_variable", None)


@pytest.mark.parametrize("value", [[b"x" * 3_000_000], b"x" * 3_000_000, "x" * 3_000_000], ids=["list", "bytes", "str"])
def test_a_large_value_is_warned_of_once(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_told", {})

    def see(pool: Pool) -> None:
        work.trail.set(value)
        with pytest.warns(RuntimeWarning, match="'trail' takes 3 MB along with each task") as found:
            seen = [pool.submit(work.view).result() for _ in range(2)]
        assert [trail for _, trail in seen] == [value] * 2
        assert [each.filename for each in found] == [__file__]

    with make_pool("processes", 1) as pool:
        unset(lambda: see(pool))


def test_a_worker_keeps_few_bytes_of_what_it_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that come once, as those of requests do."""
    monkeypatch.setattr(surroundings, "_told", {})

    def kept() -> tuple[int, int]:
        from procession.worker import surroundings as there

        return sum(map(len, there._known)), there.KEPT_BYTES

    def see(pool: Pool) -> None:
        for number in range(24):
            work.trail.set([b"%d" % number * 400_000])
            size, most = pool.submit(kept).result()
            assert size <= most, number
        work.trail.set([b"%d" % most])
        few = pool.submit(kept).result()[0]
        assert pool.submit(kept).result()[0] == few  # the same is kept once
        work.request.set(b"r" * (most + 1))  # more than the most of all: it is the only one
        with pytest.warns(RuntimeWarning, match="'request' takes 4 MB"):
            sizes = [pool.submit(kept).result()[0] for _ in range(2)]
        assert all(most < size < 2 * most for size in sizes)

    with make_pool("processes", 1) as pool:
        unset(lambda: see(pool))


def test_errors_tell_the_same_as_ever(backend: str) -> None:
    """Arguments in messages, paths of what cannot be pickled, failures: nothing of what is carried is among them."""

    def fail(*args: Any) -> None:
        raise ValueError(f"of {len(args)}")

    def see() -> None:
        work.request.set("r")
        work.trail.set([1])
        with make_pool(backend, 1) as pool:
            with pytest.raises(ValueError, match="of 2"):
                pool.submit(fail, 1, [2]).result()
            failures: list[Any] = []
            assert list(pool.imap(fail, [1, [2]], on_error=failures.append)) == []
            assert [each.args for each in failures] == [(1,), ([2],)]
            if backend in ("processes", "pickled"):
                with pytest.raises(procession.PicklingError, match=r"argument 1|the arguments"):
                    pool.submit(fail, 1, threading.Lock()).result()
            if backend == "processes":
                import os

                with pytest.raises(procession.WorkerDied, match=r"9, \[1\]"):
                    pool.submit(lambda signum, _: os.kill(os.getpid(), signum), 9, [1]).result()

    unset(see)


# ------------------------------------------------------------------------------------------------- libraries' settings


def test_decimals_precision_comes_along(backend: str) -> None:
    def see() -> Any:
        with make_pool(backend, 1) as pool, decimal.localcontext() as context:
            context.prec = 7
            spoilt = pool.submit(work.precise, 2).result()
            found = [pool.submit(work.thirds, 2).result(), *pool.map(work.thirds, [2, 2])]
            assert decimal.getcontext().prec == 7
        return [spoilt, *found]

    assert unset(see) == ["0.66667", *["0.6666667"] * 3]


def test_decimal_as_ever_is_no_reason_to_carry_anything() -> None:
    def see() -> None:
        assert surroundings.look(copy_context()) == 2
        decimal.getcontext()
        with make_pool("processes", 1) as pool:
            assert surroundings.look(copy_context()) == 1
            assert surroundings.here(pool._engine) is None
            assert [pool.submit(work.thirds, 2).result() for _ in range(3)] == ["0." + "6" * 27 + "7"] * 3
            decimal.getcontext().prec = 4  # changed in place: no variable is set
            assert surroundings.look(copy_context()) == 0
            assert pool.submit(work.thirds, 2).result() == "0.6667"

    unset(see)


def test_numpys_errstate_comes_along(backend: str) -> None:
    def see() -> Any:
        with make_pool(backend, 1) as pool:
            assert surroundings.look(copy_context()) == 2
            with numpy.errstate(divide="raise", invalid="ignore"):
                assert surroundings.look(copy_context()) == 0
                found = pool.submit(work.errors_of_numpy).result(), *pool.map(lambda _: work.errors_of_numpy(), [1])
            return *found, pool.submit(work.errors_of_numpy).result()

    fresh = numpy.geterr()
    set_so = {**fresh, "divide": "raise", "invalid": "ignore"}
    assert unset(see) == (set_so, set_so, fresh)


def test_whom_numpy_calls_stays_at_home(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_told", {})

    def see() -> Any:
        with make_pool("processes", 1) as pool, numpy.errstate(divide="call", invalid="raise", call=print):
            return pool.submit(work.errors_of_numpy).result()

    assert unset(see) == {**numpy.geterr(), "invalid": "raise"}
    told = [each.getMessage() for each in caplog.records if each.name == "procession"]
    assert len(told) == 1
    assert "'call' and 'log' name an object of this process" in told[0]


# ------------------------------------------------------------------------------------------------- whether there is any


def test_the_short_ways_see_each_change() -> None:
    """Calls with nothing set, then with something, and so on: by set, reset, run, and in other threads."""
    draw = random.Random(SEED)
    with make_pool("processes", 1) as pool, SpinOff(work.view, iterate=False) as spin:
        ways: list[Callable[[], Any]] = [
            lambda: pool.submit(work.view, 1).result(),
            lambda: spin.put(1).result(),
            lambda: pool.submit(work.view, 1).result(),
        ]
        for _ in range(20):
            pool.submit(work.view, 1)

        def story() -> None:
            now: list[Any] = []
            for step in range(200):
                if now and draw.random() < 0.5:
                    work.request.reset(now.pop())
                elif draw.random() < 0.6:
                    now.append(work.request.set(step))
                expected = work.view()
                assert draw.choice(ways)() == expected, (SEED, step)
                assert unset(draw.choice(ways)) == ("nobody", None)
                assert draw.choice(ways)() == expected, (SEED, step)

        unset(story)
        threads = [threading.Thread(target=unset, args=(story,)) for _ in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(60)
            assert not each.is_alive()


class Unasked:
    """A value that is neither true nor false, and equal to nothing, as arrays are."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", [numpy.arange(3), Unasked()], ids=["array", "object"])
def test_no_value_is_asked_whether_it_is_true(backend: str, value: Any) -> None:
    def name(*_: Any) -> tuple[str, Any]:
        return type(work.thing.get(None)).__name__, work.request.get()

    def see(pool: Pool, spin: SpinOff[Any]) -> Any:
        work.thing.set(value)
        work.request.set("r")
        assert surroundings.look(copy_context()) == 0
        calls = [pool.submit(name, n).result() for n in range(4)] + [spin.put(n).result() for n in range(4)]
        return {*calls, *pool.map(name, range(4)), *pool.imap(name, [[1]])}

    with (
        make_pool(backend, 1) as pool,
        SpinOff(name, backend=backend_of(backend), iterate=False) as spin,
    ):
        for n in range(20):  # the short ways are open then
            assert pool.submit(name, n).result() == spin.put(n).result() == ("NoneType", "nobody")
        assert unset(lambda: see(pool, spin)) == {(type(value).__name__, "r")}


def test_which_variables_hold_for_their_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sniffed: ContextVar[Any] = ContextVar("current_async_library_cvar", default=None)
    cell: ContextVar[Any] = ContextVar("shell_parent", default=None)
    monkeypatch.setitem(sys.modules, "ipykernel", sys)

    def see() -> Any:
        sniffed.set("asyncio")
        cell.set({"cell": 1})
        assert surroundings.look(copy_context()) == 2
        with make_pool("processes", 1) as processes, make_pool("threads", 1) as threads:
            assert surroundings.here(processes._engine) is None
            return [pool.submit(lambda: (sniffed.get(), cell.get())).result() for pool in (processes, threads)]

    assert unset(see) == [(None, None), (None, {"cell": 1})]


def test_a_program_that_sets_none_loads_nothing_of_this() -> None:
    import subprocess

    program = (
        "import sys\nfrom procession import Pool\n"
        "def loaded(_=0): return 'procession.worker.surroundings' in sys.modules\n"
        "if __name__ == '__main__':\n"
        "    with Pool(1) as pool: print(pool.submit(loaded).result(), list(pool.map(loaded, [1])))\n"
        "    print('procession.transport.contexts' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[0] == "False [False]"
