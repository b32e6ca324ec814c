"""The program's filters of warnings hold in tasks: before the pool, after it began, and for as long as they are set."""

import multiprocessing
import os
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procession import Pool, SpinOff
from procession.backends import filters as told
from procession.backends.levels import LevelTable
from procession.backends.saying import said
from procession.transport import boards, filters
from tests import warm
from tests.failures.kit import wait_until

kept_zygote = warm.keep()


@pytest.fixture(params=["zygote", "fork", "spawn", "forkserver"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    context = None if request.param == "zygote" else multiprocessing.get_context(request.param)
    with Pool(2, mp_context=context) as made:
        made.submit(abs, -1).result()
        yield made


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with warnings.catch_warnings():
        yield


class OwnWarning(UserWarning):
    """Of a module that workers can import."""


def warn(category: type[Warning] = UserWarning, text: str = "careful") -> str:
    warnings.warn(text, category, stacklevel=1)
    return "went on"


def raised(pool: Pool, *args: Any, told_here: bool = False) -> type[BaseException] | None:
    error = pool.submit(warn, *args).exception()
    if told_here:
        wait_until(said, "it is told")  # a result waits a tenth of a second for that, which a busy machine may take
    return None if error is None else type(error)


# ------------------------------------------------------------------------------------------------- they hold, and end


def test_an_error_is_raised_in_the_task(pool: Pool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert raised(pool) is UserWarning
        assert raised(pool, OwnWarning) is OwnWarning
        assert [type(each) for each in pool.imap(warn, [OwnWarning] * 5, on_error="return")] == [OwnWarning] * 5
    with pytest.warns(UserWarning, match="careful"):
        assert raised(pool, told_here=True) is None


def test_what_is_set_before_the_pool_begins_holds_in_its_initializer() -> None:
    warnings.simplefilter("error")
    with Pool(1, initializer=warn) as pool:
        error = pool.submit(abs, -1).exception()
    assert error is not None
    assert isinstance(error.__cause__, UserWarning)


def test_it_holds_in_a_spin_off() -> None:
    warnings.simplefilter("error")
    with SpinOff(warn, on_error="return") as spin:
        spin.put(OwnWarning)
    assert [type(each) for each in spin] == [OwnWarning]


def test_nothing_is_made_of_what_is_ignored(pool: Pool) -> None:
    def shown() -> int:
        here: Any = warnings
        calls: list[Any] = []
        before, here.showwarning = here.showwarning, lambda *about, **_: calls.append(about)
        try:
            warn()
        finally:
            here.showwarning = before
        return len(calls)

    warnings.simplefilter("ignore")
    assert pool.submit(shown).result() == 0
    warnings.simplefilter("always")
    assert pool.submit(shown).result() == 1


def test_texts_modules_and_categories_are_told_apart() -> None:
    with Pool(1) as pool:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="old .* code", category=OwnWarning)
        warnings.filterwarnings("error", category=RuntimeWarning, module=r"tests\.context\.")
        warnings.filterwarnings("error", category=FutureWarning, module="elsewhere")
        assert raised(pool, OwnWarning, "Old kind of code") is OwnWarning
        assert raised(pool, OwnWarning, "new code") is None
        assert raised(pool, UserWarning, "old kind of code") is None
        assert raised(pool, RuntimeWarning) is RuntimeWarning
        assert raised(pool, FutureWarning) is None


def test_c_code_warns_under_them_too() -> None:
    """Whose warnings need no module `warnings`, which this worker has not imported."""

    def compiled() -> str:
        return str(eval(compile(r"'\d'", "typed", "eval")))

    warnings.simplefilter("ignore")
    with Pool(1) as pool:
        assert pool.submit(compiled).result() == r"\d"
        warnings.simplefilter("error")
        assert isinstance(pool.submit(compiled).exception(), SyntaxError)


def test_one_place_warns_once_and_again_when_filters_have_changed() -> None:
    with Pool(2) as pool, warnings.catch_warnings(record=True) as seen:
        for _ in range(2):
            warnings.simplefilter("error")
            warnings.simplefilter("default")
            list(pool.map(lambda _: warn(), range(30), chunksize=1))
    assert len(seen) == 2


# -------------------------------------------------------------------------------------------------------- categories


def test_a_category_by_value() -> None:
    class Local(UserWarning):
        pass

    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Local)
    with Pool(1) as pool:
        assert raised(pool, Local) is Local
        assert raised(pool) is None


def test_a_category_that_cannot_be_pickled_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    class Kind(type):
        def __reduce_ex__(cls, protocol: Any) -> Any:
            raise TypeError("not me")

    Odd: Any = Kind("Odd", (UserWarning,), {})
    Odd.lock = threading.Lock()
    with Pool(1) as pool:
        for action in ("error", "ignore", "error"):
            warnings.simplefilter(action, Odd)  # type: ignore[arg-type]
            warnings.simplefilter("error", OwnWarning)
            assert raised(pool, OwnWarning) is OwnWarning
    assert [each for each in caplog.messages if "Odd" in each and "filter" in each] == caplog.messages


def test_no_module_is_imported_for_a_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "categories_apart.py").write_text("class Rare(UserWarning):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import categories_apart  # pyright: ignore[reportMissingImports]

    def loaded() -> bool:
        import warnings  # noqa: F401

        return "categories_apart" in sys.modules

    def rare() -> None:
        import categories_apart  # pyright: ignore[reportMissingImports]

        warnings.warn("rare", categories_apart.Rare, stacklevel=1)

    warnings.simplefilter("ignore")
    warnings.simplefilter("error", categories_apart.Rare)
    with Pool(1) as pool:
        assert not pool.submit(loaded).result()
        assert isinstance(pool.submit(rare).exception(), categories_apart.Rare)
    del sys.modules["categories_apart"]


# --------------------------------------------------------------------------------------------- what a worker has set


def test_what_an_initializer_sets_stays_in_front() -> None:
    def choose() -> None:
        warnings.simplefilter("ignore", OwnWarning)

    with Pool(1, initializer=choose) as pool:
        for _ in range(3):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error")
            assert raised(pool, OwnWarning) is None
            assert raised(pool, UserWarning) is UserWarning


def test_a_task_that_has_filters_of_its_own_keeps_them() -> None:
    with Pool(1) as pool:
        pool.submit(warnings.resetwarnings).result()
        warnings.simplefilter("error")
        with warnings.catch_warnings(record=True) as seen:
            assert raised(pool) is None
        assert [str(each.message) for each in seen] == ["careful"]


def test_filters_for_some_texts_hold_where_warnings_is_there_already() -> None:
    warnings.filters[:] = filters.FRESH  # type: ignore[index]
    with Pool(1) as pool:
        warnings.filterwarnings("ignore", message="careful")
        assert raised(pool) is None
        warnings.filterwarnings("error", message="care.*")
        assert raised(pool) is UserWarning
        assert raised(pool, UserWarning, "other") is None


def test_a_worker_imports_nothing_for_the_filters_of_an_ordinary_program(tmp_path: Path) -> None:
    program = """
import sys, warnings
from procession import Pool
def loaded():
    return sorted({"warnings", "re", "procession.worker.filters"} & set(sys.modules))
with Pool(1) as pool:
    print(pool.submit(loaded).result())
    warnings.filterwarnings("ignore", message="numpy.ndarray size changed")
    print(pool.submit(loaded).result())
    warnings.resetwarnings()
    print(pool.submit(loaded).result())
"""
    file = tmp_path / "program.py"
    file.write_text(program)
    out = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.splitlines()[:2] == ["[]", "[]"]
    assert "'warnings'" in out.splitlines()[2]


@pytest.mark.parametrize("way", ["-W", "PYTHONWARNINGS"])
def test_options_of_the_interpreter(tmp_path: Path, way: str) -> None:
    program = """
import warnings
from procession import Pool
def old():
    warnings.warn("old", DeprecationWarning)
with Pool(1) as pool:
    print(repr(pool.submit(old).exception()))
    warnings.simplefilter("ignore")
    print(repr(pool.submit(old).exception()))
"""
    file = tmp_path / "program.py"
    file.write_text(program)
    options = ["-W", "error::DeprecationWarning"] if way == "-W" else []
    environment = os.environ | ({} if options else {way: "error::DeprecationWarning"})
    told = [sys.executable, *options, file]
    done = subprocess.run(told, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("DeprecationWarning('old')\nNone\n", "")


# ----------------------------------------------------------------------------------------------------- how it travels


def test_filters_that_change_all_the_time(pool: Pool) -> None:
    """While one thread sets them and sets them back, tasks run; what is set last is what holds."""
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            with warnings.catch_warnings():
                warnings.simplefilter("error", OwnWarning)
                warnings.filterwarnings("ignore", message="whatever")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        assert list(pool.map(abs, range(2000), chunksize=3)) == list(range(2000))
        assert [pool.submit(abs, n).result() for n in range(300)] == list(range(300))
    finally:
        stop.set()
        thread.join()
    warnings.simplefilter("ignore")
    assert raised(pool, OwnWarning) is None
    warnings.simplefilter("error")
    assert raised(pool, OwnWarning) is OwnWarning


def test_nothing_is_left_of_it_when_the_last_pool_has_gone() -> None:
    here: Any = warnings
    before = here._filters_mutated
    with Pool(1) as first:
        first.submit(abs, -1).result()
        with Pool(1) as second:
            second.submit(abs, -1).result()
        warnings.simplefilter("error")
        assert raised(first) is UserWarning
        assert here._filters_mutated is not before
    assert here._filters_mutated is before


def test_a_forked_child_tells_no_filters() -> None:
    with Pool(1) as pool:
        warnings.simplefilter("error", OwnWarning)
        assert raised(pool, OwnWarning) is OwnWarning
        child = os.fork()
        if not child:
            warnings.simplefilter("ignore")
            os._exit(0)
        os.waitpid(child, 0)
        assert raised(pool, OwnWarning) is OwnWarning


def test_a_text_that_is_too_long_has_what_is_said_of_everything() -> None:
    with Pool(1) as pool:
        for number in range(3000):
            warnings.filterwarnings("ignore", message=f"text number {number}")
        warnings.simplefilter("error", OwnWarning)
        assert raised(pool, OwnWarning) is OwnWarning


def test_what_is_no_filter_harms_nothing() -> None:
    """The list may be changed by hand; and a worker may be unable to rebuild a category."""

    class Local(UserWarning):
        pass

    def unable(*_: Any) -> Any:
        raise RuntimeError("not here")

    with Pool(1) as pool:
        here: Any = warnings.filters
        here[:0] = [("error", object(), UserWarning, None, 0), ("error", None, {}, None, 0), "what", [1, None], ()]
        warnings.simplefilter("error", OwnWarning)
        assert raised(pool, OwnWarning) is OwnWarning
        assert pool.submit(abs, -1).result() == 1
    text = filters.encode([("error", None, Local, None, 0), ("error", None, OwnWarning, None, 0)], told._named)
    assert filters.decode(text, unable) == ([("error", None, OwnWarning, None, 0)], set())
    gone = filters.encode([("error", None, OwnWarning, None, 0)], lambda _: f"{__name__}:Gone")
    assert filters.decode(gone, unable) == ([], set())
    elsewhere = filters.encode([("error", None, OwnWarning, None, 0)], lambda _: "not_loaded:Rare")
    assert filters.decode(elsewhere, unable) == ([], {"not_loaded"})


class Text(str):
    """Like one."""

    __slots__ = ()


def test_a_text_of_another_class_is_a_text() -> None:
    warnings.simplefilter("ignore")
    with Pool(1) as pool:
        warnings.filterwarnings("ignore", message=Text("something"))
        warnings.simplefilter("error", OwnWarning)
        assert raised(pool, OwnWarning) is OwnWarning


class Foreign:
    """A pattern of another library."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.flags = pattern, 0

    def match(self, _text: str) -> None:
        return None


@pytest.mark.parametrize("after", [True, False])
def test_patterns_that_are_none_here_or_are_warned_of_end_no_worker(after: bool) -> None:
    def odd() -> None:
        here: Any = warnings.filters
        here.insert(0, ("error", Foreign("("), UserWarning, None, 0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile("[[odd]")
        here.insert(0, ("ignore", compiled, UserWarning, None, 0))

    warnings.simplefilter("error")
    if not after:
        odd()
    with Pool(1) as pool:
        pid = pool.submit(os.getpid).result()
        assert raised(pool, OwnWarning) is OwnWarning
        if after:
            odd()
        warnings.simplefilter("error", RuntimeWarning)
        assert raised(pool, OwnWarning) is OwnWarning
        assert raised(pool, UserWarning, "[ and more") is None
        assert pool.submit(os.getpid).result() == pid


def test_who_is_overtaken_writes_nothing_that_was_true_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread is held up as it writes, another sets a filter and hands a task over, which finds that filter."""
    real = boards.FILTERS.write
    begun, go, stale, over = (threading.Event() for _ in range(4))
    slow: list[threading.Thread] = []
    calls: list[int] = []

    def write(*what: Any) -> None:
        if threading.current_thread() not in slow:
            real(*what)
            return
        calls.append(1)
        if len(calls) == 1:
            begun.set()
            go.wait(0.3)  # who waits for this one meanwhile is right
            real(*what)
            stale.set()
        else:
            assert over.wait(30)
            real(*what)

    warnings.simplefilter("ignore")
    with Pool(1) as pool:
        pool.submit(warn).result()
        monkeypatch.setattr(boards.FILTERS, "write", write)
        slow.append(threading.Thread(target=warnings.simplefilter, args=("ignore", RuntimeWarning)))
        slow[0].start()
        try:
            assert begun.wait(30)
            over_soon = threading.Timer(1, over.set)  # should the slow one be the one who writes last
            over_soon.start()
            warnings.simplefilter("error", OwnWarning)
            go.set()
            assert stale.wait(30)
            found = raised(pool, OwnWarning)
        finally:
            over.set()
            slow[0].join()
    assert found is OwnWarning


def test_a_board() -> None:
    fd = boards.create()
    memory, view = boards.memory_of(fd), boards.view_of(fd)
    os.close(fd)
    for board in (boards.FILTERS, boards.LEVELS):
        version = board.version(view)
        assert version[0] == 0
        for number, text in enumerate((b"", b"a", b"b" * board.most, b"c"), 1):
            board.write(memory, number, text)
            assert board.read(view) == (number, text)
            assert version[0] == number
        version.release()
    assert boards.FILTERS.read(view) == boards.LEVELS.read(view) == (4, b"c")
    memory.close()
    view.close()


def test_what_a_fresh_interpreter_has() -> None:
    program = "import warnings; from procession.transport.filters import FRESH; print(warnings.filters == FRESH)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_the_same_text_for_the_same_filters() -> None:
    named = told._named
    for each in (UserWarning, OwnWarning):
        assert filters.decode(filters.encode([("error", None, each, None, 3)], named), bytes)[0] == [
            ("error", None, each, None, 3)
        ]
    assert LevelTable._memory is None
