"""What cannot be pickled: the error says where it is."""

import pickle
import socket
import sys
import threading

import pytest

from procession.errors import PicklingError
from procession.transport.codec import Codec
from tests.transport.harness import Worker


class Config:
    def __init__(self):
        self.handlers = {"x": threading.Lock(), "y": 1}


class Slotted:
    __slots__ = ("inner",)

    def __init__(self, inner):
        self.inner = inner


class Raises:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        raise self.error


def refusal(*args, **kwargs):
    codec = Codec()
    with pytest.raises(PicklingError) as caught:
        codec.encode(codec.function(len), args, kwargs)
    assert isinstance(caught.value, pickle.PicklingError)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, AttributeError)
    assert isinstance(caught.value.__cause__, Exception)
    return str(caught.value)


def test_the_path_to_the_part():
    assert refusal(Config()).startswith("argument 0: Config.handlers['x'] is a _thread.lock")
    assert refusal(1, [Config()]).startswith("argument 1: list[0].handlers['x'] is a _thread.lock")
    assert refusal(1, key={"a": (1, Slotted(Config()))}).startswith(
        "argument 'key': dict['a'][1].inner.handlers['x'] is"
    )
    assert refusal(threading.Lock()).startswith("argument 0 cannot be pickled: it is a _thread.lock")
    assert "is a generator" in refusal([(y for y in ())])


def test_the_path_through_functions_and_classes():
    lock = threading.Lock()

    class Holder:
        kept = lock

    assert "f -> its variable lock is a _thread.lock" in refusal_of(lambda: lock, "f")
    assert "-> the global LOCK is a _thread.lock" in refusal_of(lambda: LOCK)
    assert ".__defaults__[0] is a _thread.lock" in refusal_of(lambda x=lock: x)
    assert "Holder.kept is a _thread.lock" in refusal(Holder)
    assert "Holder.kept is a _thread.lock" in refusal(Holder())


LOCK = threading.Lock()


def refusal_of(fn, name=None):
    if name:
        fn.__qualname__ = name
    with pytest.raises(PicklingError) as caught:
        Codec().function(fn)
    return str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("r"), pickle.PicklingError("p"), ValueError("v"), RecursionError("d")])
def test_whatever_reduce_raises(error):
    codec = Codec()
    with pytest.raises(PicklingError, match=str(error)) as caught:
        codec.encode(codec.function(len), (Raises(error),), {})
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_what_is_no_exception_passes(error):
    codec = Codec()
    with pytest.raises(type(error)):
        codec.encode(codec.function(len), (Raises(error),), {})


def test_a_failure_leaves_the_codec_whole():
    codec = Codec()
    entry = codec.function(len)
    with pytest.raises(PicklingError):
        codec.encode(entry, ([1, 2], threading.Lock()), {})
    assert pickle.loads(codec.encode(entry, ([1, 2], "x"), {})) == (([1, 2], "x"), {})


def test_results():
    def bad():
        return {"a": [threading.Lock()]}

    def leave():
        return Raises(SystemExit(3))

    with Worker() as worker:
        with pytest.raises(PicklingError, match=r"the result: dict\['a'\]\[0\] is a _thread\.lock"):
            worker(bad)
        with pytest.raises(SystemExit):
            worker(leave)
        with pytest.raises(PicklingError, match="socket"):
            worker(socket.socket)
        assert worker(len, [1]) == 1


def test_recursion_that_is_too_deep():
    deep = []
    for _ in range(sys.getrecursionlimit() * 10):
        deep = [deep]
    assert "argument 0" in refusal(deep)


def test_a_bound_method_of_something_with_a_lock():
    codec = Codec()
    entry = codec.function(Locked().method)
    with pytest.raises(PicklingError, match=r"__self__\.lock is a _thread\.lock"):
        codec.encode(entry, (), {})


class Locked:
    def __init__(self):
        self.lock = threading.Lock()

    def method(self): ...
