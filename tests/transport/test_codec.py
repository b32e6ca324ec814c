"""Entries, their life, and the bodies of calls."""

import copy
import functools
import gc
import pickle
import sys
import threading
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.errors import PicklingError
from procession.transport.codec import PLAIN, Codec
from procession.worker.functions import FunctionTable
from tests.transport import samples
from tests.transport.harness import Worker


@pytest.fixture
def codec():
    return Codec(profile_factory=object)


def test_an_entry_is_made_once(codec):
    entry = codec.function(samples.double)
    assert codec.function(samples.double) is entry
    assert entry.id >= 1
    assert entry.name == "double"
    assert not entry.with_state
    stateful = codec.function(samples.double, True)
    assert stateful.with_state
    assert stateful.id != entry.id
    assert codec.function(samples.double, True) is stateful
    assert codec.function(len).name == "len"
    assert codec.function(samples.Point).name == "Point"


def test_a_function_is_not_kept_alive(codec):
    def make(n):
        held = [n]

        def f():
            return f, held, g

        def g():
            return f

        return f

    f = make(1)
    id = codec.function(f).id
    del f
    gc.collect()
    assert list(codec.forgotten) == [id]
    assert not codec.entries


def test_a_function_that_its_own_globals_name_is_not_kept_alive(codec):
    names = {"__name__": "__main__"}
    exec("def f(): return f, C\nclass C:\n  def m(self): return f", names)
    id = codec.function(names["f"]).id
    codec.encode(codec.function(len), (names["C"](),), {})
    names.clear()
    gc.collect()
    assert list(codec.forgotten) == [id]


def test_a_method_of_what_holds_the_lambda_is_not_kept_alive(codec):
    class Owner:
        def __init__(self):
            self.callback = lambda: self

    owner = Owner()
    codec.function(owner.callback)
    del owner
    gc.collect()
    assert len(codec.forgotten) == 1


def test_a_thousand_lambdas_leave_nothing(codec):
    before = None
    for round in range(3):
        for n in range(300):
            codec.function(lambda n=n: n)
        gc.collect()
        if round == 1:
            before = len(gc.get_objects())
    assert len(codec.forgotten) == 900
    assert not codec.entries
    assert not codec._profiles
    assert len(gc.get_objects()) < before + 200


def test_the_profile_is_made_once_for_a_function(codec):
    threshold = 1

    def f():
        return threshold

    class Adder:
        def add(self, x): ...

        def __call__(self, x): ...

    first = codec.function(f)
    threshold = 2
    second = codec.function(f)
    assert second is not first
    assert second.profile is first.profile
    assert codec.function(Adder().add).profile is codec.function(Adder().add).profile
    assert codec.function(functools.partial(f)).profile is first.profile
    assert codec.function(samples.double).profile is not first.profile
    assert Codec().function(len).profile is None


def test_other_callables_have_no_number(codec):
    class Unhashable:
        __hash__ = None
        __slots__ = ()

        def __call__(self, x):
            return x + 1

    for fn in (functools.partial(samples.double), samples.Point(1, 2).__eq__, Unhashable(), [].append, "x".join):
        entry = codec.function(fn)
        assert entry.id == 0
        assert entry.fn is fn
        assert entry.name
    table = FunctionTable()
    entry = codec.function(Unhashable())
    fn, args, kwargs = table.decode_call(codec.encode(entry, (1,), {}))
    assert fn(*args, **kwargs) == 2


def test_any_callable_has_a_number_when_it_is_to_last(codec):
    table = FunctionTable()
    assert codec.lasting(samples.double) is codec.function(samples.double)
    entry = codec.lasting(functools.partial(samples.double), with_state=True)
    assert entry.id
    assert entry.with_state
    assert entry.name == "double"
    table.define(entry.id, entry.payload)
    assert table.get(entry.id)(4) == 8
    assert codec.encode(entry, (1,), {}) == (1,)
    named, id = copy.copy(entry), entry.id
    del entry
    assert not codec.forgotten
    del named
    assert list(codec.forgotten) == [id]
    with pytest.raises(PicklingError, match=r"is a _thread\.lock"):
        codec.lasting(functools.partial(samples.double, threading.Lock()))


def test_a_call_that_carries_its_function_gets_the_state():
    with Worker() as worker:
        worker.ask("enter", worker.codec.encode_call(None, (lambda: "the state",), {}))
        entry = worker.codec.function(functools.partial(lambda *args: args, 1), with_state=True)
        assert worker.run(entry, worker.codec.encode(entry, (2,), {})) == (1, "the state", 2)


def test_bodies(codec):
    entry = codec.function(samples.double)
    args = (1, 2.0, True, None, "s", b"b")
    assert codec.encode(entry, args, {}) is args
    assert codec.encode(entry, (), {}) == ()
    table = FunctionTable()

    class Int(int): ...

    for args, kwargs in [(([1],), {}), ((1,), {"x": 2}), ((Int(3),), {}), ((bytearray(b"x"),), {})]:
        body = codec.encode(entry, args, kwargs)
        assert type(body) is bytes
        assert table.decode(body) == (args, kwargs)
    assert table.decode_call(codec.encode_call(None, (len,), {"a": 1})) == (None, (len,), {"a": 1})


def test_plain(codec):
    assert codec.plain([])
    assert codec.plain([1, 2.0, True, None, "s", b"b"])
    for other in ([], (), 1j, bytearray(), object(), type("I", (int,), {})(1)):
        assert not codec.plain([1, other])


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
nested = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.frozensets(plain, max_size=3)
    ),
    max_leaves=30,
)


@given(st.lists(nested), st.dictionaries(st.text(), nested))
def test_what_is_encoded_is_decoded(args, kwargs):
    codec, table = Codec(), FunctionTable()
    body = codec.encode(codec.function(len), tuple(args), kwargs)
    if type(body) is tuple:
        assert not kwargs
        assert all(type(each) in PLAIN for each in body)
        assert body == tuple(args)
    else:
        assert table.decode(body) == (tuple(args), kwargs)


@given(nested)
def test_results_come_back(value):
    codec, table = Codec(), FunctionTable()
    data = table.encode_result(value)
    for form in (data, bytearray(data), memoryview(data)):
        assert codec.decode_result(form) == value


@given(st.lists(plain | st.lists(plain)))
def test_plain_is_what_encode_leaves_alone(items):
    codec = Codec()
    assert codec.plain(items) == (type(codec.encode(codec.function(len), tuple(items), {})) is tuple)


def test_each_task_has_a_memo_of_its_own(codec):
    entry = codec.function(len)
    shared = [1]
    one, two = (pickle.loads(codec.encode(entry, (shared, shared), {})) for _ in range(2))
    assert one[0][0] is one[0][1]
    assert one[0][0] is not two[0][0]


def test_pickling_inside_pickling(codec):
    class Nested:
        def __reduce__(self):
            body = codec.encode(codec.function(samples.double), ([1],), {})
            return pickle.loads, (body,)

    body = codec.encode(codec.function(len), ([2], Nested(), [3]), {})
    assert pickle.loads(body) == (([2], (([1],), {}), [3]), {})


def test_many_threads_at_once(codec):
    failures = []

    def work(seed):
        try:
            for n in range(200):
                entry = codec.function(samples.double)
                assert pickle.loads(codec.encode(entry, ([seed, n],), {})) == (([seed, n],), {})
                assert codec.function(lambda n=n: n).id
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures


def test_large_bodies(codec):
    data = [bytes(1_000_000), "x" * 100_000]
    body = codec.encode(codec.function(len), (data,), {})
    assert pickle.loads(body) == ((data,), {})


def test_what_plain_pickle_cannot_but_people_send(codec):
    table = FunctionTable()
    items = {"a": 1}
    entry = codec.function(len)
    args = (
        sys,
        items.keys(),
        items.values(),
        items.items(),
        types.MappingProxyType(items),
        types.FunctionType,
        sys.__stdout__,
    )
    back, _ = table.decode(codec.encode(entry, args, {}))
    assert back[0] is sys
    assert list(back[1]) == ["a"]
    assert list(back[2]) == [1]
    assert list(back[3]) == [("a", 1)]
    assert back[4] == items
    assert back[5] is types.FunctionType
