"""What a task raises, on the other side."""

import concurrent.futures.process
import pickle
import sys
import threading
import traceback

import pytest

from procession.errors import ProcessionError, RemoteError
from procession.transport import remote
from procession.transport.codec import Codec
from procession.transport.pickler import dumps_to_parent
from tests.transport import samples
from tests.transport.harness import Worker


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


def raised(worker, fn, *args):
    """What it raises, on a thread of its own: the main thread may be left with a handled exception by tests that have
    signals strike it at any instruction, and that would be the context of all that is raised there."""
    caught = []

    def call():
        try:
            worker(fn, *args)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return caught[0]


def test_it_is_what_it_was_and_says_where(worker):
    def fail():
        error = ValueError("no", 1)
        error.extra = 5
        error.add_note("a note")
        raise error  # some comment

    error = raised(worker, fail)
    assert type(error) is ValueError
    assert error.args == ("no", 1)
    assert error.extra == 5
    assert error.__notes__ == ["a note"]
    cause = error.__cause__
    assert type(cause) is concurrent.futures.process._RemoteTraceback
    assert cause.tb.startswith('\n"""\nTraceback')
    assert cause.tb.endswith('\n"""')
    assert "raise error  # some comment" in cause.tb
    assert "a note" in cause.tb
    assert "some comment" in "".join(traceback.format_exception(error))


def test_the_frames_of_the_library_are_left_out(worker):
    def fail():
        raise KeyError(1)

    assert "procession" not in raised(worker, fail).__cause__.tb.replace(__file__, "").replace("tests/", "")


def test_cause_and_context_come_along(worker):
    def fail():
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    def fail_again():
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904

    error = raised(worker, fail)
    assert repr(error.__cause__.__context__) == "KeyError('first')"
    assert "direct cause" in error.__cause__.tb
    printed = "".join(traceback.format_exception(error))
    assert printed.count("KeyError: 'first'") == 1
    assert repr(raised(worker, fail_again).__context__) == "KeyError('first')"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_exception_travels_too(worker, kind):
    def fail():
        raise kind(7)

    error = raised(worker, fail)
    assert type(error) is kind
    assert error.args == (7,)


def test_exception_classes_by_value(worker):
    class Local(LookupError):
        def __init__(self, a, b):
            super().__init__(a, b)
            self.a = a

    def fail():
        raise Local(1, 2)

    error = raised(worker, fail)
    assert type(error) is Local
    assert error.a == 1


def test_groups(worker):
    def fail():
        raise ExceptionGroup("several", [ValueError(1), KeyError(2)])

    error = raised(worker, fail)
    assert type(error) is ExceptionGroup
    assert [type(each) for each in error.exceptions] == [ValueError, KeyError]


def test_one_whose_constructor_wants_other_arguments(worker):
    class Classic(ValueError):
        def __init__(self, code, text):
            super().__init__(f"{text} ({code})")

    def fail():
        raise Classic(3, "oops")  # here

    error = raised(worker, fail)
    assert isinstance(error, RemoteError)
    assert isinstance(error, ProcessionError)
    assert isinstance(error, ValueError)
    assert error.type_name.endswith("Classic")
    assert error.text == "oops (3)"
    assert "raise Classic(3" in error.traceback
    assert "# here" in error.__cause__.tb
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.type_name, again.text, again.traceback) == (error.type_name, error.text, error.traceback)


def test_one_whose_constructor_decorates_its_argument(worker):
    class Prefixed(Exception):
        def __init__(self, text):
            super().__init__(f"prefix: {text}")

    def fail():
        raise Prefixed("x")

    error = raised(worker, fail)
    assert type(error) is Prefixed
    assert str(error) == "prefix: x"


def with_lock():
    error = OSError(2, "no such thing")
    error.lock = threading.Lock()
    raise error


class NotOne(Exception):
    def __reduce__(self):
        return str, ("not an exception",)


class Interrupts(Exception):
    def __reduce__(self):
        return interrupt, ()


def interrupt():
    raise KeyboardInterrupt


class Exits(Exception):
    def __reduce__(self):
        return sys.exit, (3,)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class RefusesToPickle(RuntimeError):
    def __reduce__(self):
        raise SystemExit(4)


class OnlyThere(EOFError):
    """Loads in the process that made it, and nowhere else."""

    def __reduce__(self):
        return samples.only_in, (samples.os.getpid(), type(self))


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (NotOne, Exception),
        (Interrupts, Exception),
        (Exits, Exception),
        (RefusesToPickle, RuntimeError),
        (OnlyThere, EOFError),
    ],
)
def test_what_cannot_be_rebuilt_is_a_remote_error(worker, kind, base):
    def fail():
        raise kind("text")

    error = raised(worker, fail)
    assert isinstance(error, RemoteError)
    assert isinstance(error, base)
    assert error.text == "text"
    assert error.type_name == f"{__name__}.{kind.__name__}"


def test_what_cannot_be_pickled_is_a_remote_error(worker):
    error = raised(worker, with_lock)
    assert isinstance(error, RemoteError)
    assert isinstance(error, OSError)
    assert error.text == "[Errno 2] no such thing"


def test_one_that_cannot_even_be_shown(worker):
    def fail():
        raise Mute

    error = raised(worker, fail)
    assert type(error) is Mute
    assert Codec().decode_error(remote.encode(Mute(), dumps_to_parent)).args == ()


def test_every_built_in_base_gives_a_remote_error():
    import builtins

    from procession.errors import remote_error

    for name, kind in vars(builtins).items():
        if isinstance(kind, type) and issubclass(kind, BaseException):
            error = remote_error(name, "m.Kind", "text")
            assert str(error) == "m.Kind: text"
            assert type(pickle.loads(pickle.dumps(error))) is type(error)
            if "Group" not in name and name != "BaseException":
                assert isinstance(error, kind)


# --------------------------------------------------------------------------------------- what cannot be loaded


class Bomb:
    def __init__(self, kind, text):
        self.parts = kind, text

    def __reduce__(self):
        return explode, self.parts


def explode(kind, text):
    raise kind(text)


def make_bomb(kind, text):
    return Bomb(kind, text)


def test_an_argument_that_cannot_be_rebuilt(worker):
    for kind in (ValueError, SystemExit, KeyboardInterrupt):
        error = raised(worker, len, Bomb(kind, "boom"))
        assert isinstance(error, RemoteError)
        assert isinstance(error, concurrent.futures.process.BrokenProcessPool)
        assert error.type_name == kind.__name__
        assert "an argument could not be rebuilt in the worker: boom" in str(error)
        assert "in explode" in error.traceback
    assert worker(len, [1]) == 1


def test_a_result_that_cannot_be_rebuilt(worker):
    for kind in (ValueError, SystemExit, KeyboardInterrupt):
        error = raised(worker, make_bomb, kind, "boom")
        assert isinstance(error, RemoteError)
        assert isinstance(error, concurrent.futures.process.BrokenProcessPool)
        assert error.type_name == kind.__name__
        assert isinstance(error.__cause__, kind)


def test_a_function_that_cannot_be_loaded_fails_only_its_tasks(worker):
    bomb = Bomb(ValueError, "boom")

    def f():
        return bomb

    for _ in range(2):
        error = raised(worker, f)
        assert isinstance(error, RemoteError)
        assert "the function could not be rebuilt in the worker: boom" in str(error)
    assert worker(len, [1]) == 1


def test_a_module_that_only_the_parent_finds(tmp_path, monkeypatch):
    (tmp_path / "only_parent.py").write_text("def f(x): return x\n")
    with Worker() as early:
        monkeypatch.syspath_prepend(tmp_path)
        import only_parent

        error = raised(early, only_parent.f, 1)
        assert isinstance(error, RemoteError)
        assert error.type_name == "ModuleNotFoundError"
        assert "module 'only_parent'" in str(error)
        assert "sys.path is ['" in str(error)
        assert "before the pool starts its workers" in str(error)
        assert "\n" not in str(error)
    del sys.modules["only_parent"]
