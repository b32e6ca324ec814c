"""A worker's rings, both ends in this process (kit.py): what goes through them, whole, in order, of any size."""

from __future__ import annotations

import gc
import math
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession._native import native
from procession.backends.tasks import CallFuture
from procession.core.worker import MAX_OPEN_LEASES
from tests.native.kit import ERROR, VALUE, Ends, Function, calls, chunk

CALLS, ITEMS, WHOLE = range(3)
END = -1

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(1 << 62), max_value=1 << 62),
    st.floats(),
    st.text(),
    st.text(alphabet=st.characters(min_codepoint=0xD700, max_codepoint=0xE000), max_size=5),
    st.binary(),
)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if type(one) is float:
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    return bool(one == other)


def all_same(some: list[Any], others: list[Any]) -> bool:
    return len(some) == len(others) and all(map(same, some, others))


# ---------------------------------------------------------------------------------------------------- values go through


@settings(deadline=None)
@given(st.lists(atoms, min_size=1, max_size=40))
def test_plain_values_come_back_as_they_were(values: list[Any]) -> None:
    with Ends() as ends:
        ends.send([chunk(Function(), values)])
        ends.serve(lambda x: x)
        (told, end) = ends.taken()
        assert told[0] == WHOLE
        assert not told[2]
        assert all_same(told[1], values)
        assert end == (END, 1, len(values))


@settings(deadline=None)
@given(st.lists(st.lists(atoms, max_size=12).map(tuple), min_size=1, max_size=8))
def test_calls_get_their_arguments(bodies: list[tuple[Any, ...]]) -> None:
    got: list[tuple[Any, ...]] = []
    with Ends() as ends:
        ends.send(calls(Function(), *bodies))
        ends.serve(lambda *args: got.append(args))
        assert ends.taken() == [(CALLS, [None] * len(bodies), False), (END, 1, len(bodies))]
    assert all(map(all_same, map(list, got), map(list, bodies)))
    assert len(got) == len(bodies)


@pytest.mark.parametrize("number", [(1 << 60) - 1, 1 << 60, -(1 << 60), -(1 << 60) - 1, 1 << 63, 1 << 64, 10**400])
def test_integers_at_the_edges(number: int) -> None:
    with Ends() as ends:
        ends.send(calls(Function(), (number,), (-number,)))
        ends.serve(lambda x: x)
        assert ends.taken()[0] == (CALLS, [number, -number], False)


def test_subclasses_of_plain_types_are_not_plain() -> None:
    class Number(int):
        pass

    with Ends() as ends:
        with pytest.raises(SystemError, match="not encoded"):
            ends.send(calls(Function(), (Number(1),)))
        ends.send(calls(Function(), (1,)))
        ends.serve(lambda x: Number(x))
        assert ends.taken()[0] == (CALLS, [(VALUE, b"1")], True)


def test_encoded_bodies_and_outcomes_are_the_codecs_business() -> None:
    with Ends() as ends:
        ends.send(calls(Function(), b"one", (2,), b"three"))
        ends.serve(lambda x: {x}, lambda body: {body})
        told = ends.taken()[0]
        assert told == (CALLS, [(VALUE, b"{b'one'}"), (VALUE, b"{2}"), (VALUE, b"{b'three'}")], True)


def test_a_body_may_be_a_subclass_of_bytes() -> None:
    class Body(bytes):
        pass

    with Ends() as ends:
        ends.send(calls(Function(), Body(b"one")))
        got: list[Any] = []
        ends.serve(print, lambda body: got.append((type(body), body)))
        assert got == [(bytes, b"one")]


nests = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple), st.dictionaries(st.text(max_size=5), inner)
    ),
    max_leaves=20,
)


def alike(one: Any, other: Any) -> bool:
    if type(one) is dict and type(other) is dict:
        return all_alike(list(one), list(other)) and all_alike(list(one.values()), list(other.values()))
    if type(one) in (list, tuple) and type(one) is type(other):
        return all_alike(one, other)
    return same(one, other)


def all_alike(some: Any, others: Any) -> bool:
    return len(some) == len(others) and all(map(alike, some, others))


@settings(deadline=None)
@given(st.lists(nests, min_size=1, max_size=6))
def test_small_nests_come_back_as_they_were_and_others_are_pickled(values: list[Any]) -> None:
    left = iter(values)
    with Ends() as ends:
        ends.send(calls(Function(), *[(n,) for n in range(len(values))]))
        ends.serve(lambda _: next(left))
        ((_, outcomes, _), _) = ends.taken()
        for value, outcome in zip(values, outcomes, strict=True):
            pickled = type(outcome) is native.Packed and outcome == (VALUE, repr(value).encode())
            assert pickled or alike(value, outcome)


def test_what_is_in_a_nest_twice_stays_one_object() -> None:
    inner = [1]
    for value in ([inner, inner], {1: inner, 2: (inner,)}, [list(range(10)) for _ in range(40)], ["x" * 5000]):
        with Ends() as ends:
            ends.send(calls(Function(), (1,)))
            ends.serve(lambda _, value=value: value)
            assert ends.taken()[0] == (CALLS, [(VALUE, repr(value).encode())], True)
    endless: list[Any] = []
    endless.append(endless)
    with Ends() as ends:
        ends.send(calls(Function(), (1,)))
        ends.serve(lambda _: endless)
        assert ends.taken()[0][2]


def test_what_a_task_raises_is_its_outcome() -> None:
    def fn(x: int) -> float:
        return 1 / x

    with Ends() as ends:
        ends.send(calls(Function(), (1,), (0,), (2,)))
        ends.serve(fn)
        (_, outcomes, packed), end = ends.taken()
        assert packed
        assert outcomes == [1.0, (ERROR, b"ZeroDivisionError('division by zero')"), 0.5]
        assert end == (END, 1, 3)


def test_a_result_that_cannot_be_encoded_is_an_error() -> None:
    def encode_result(value: object) -> bytes:
        raise ValueError("no")

    with Ends() as ends:
        ends.send(calls(Function(), (1,)))
        ends.serve(lambda x: {x}, bytes, encode_result)
        assert ends.taken()[0] == (CALLS, [(ERROR, b"ValueError('no')")], True)


def test_an_error_keeps_its_traceback() -> None:
    def fn(x: int) -> float:
        return 1 / x

    seen: list[BaseException] = []
    with Ends() as ends:
        ends.send(calls(Function(), (0,)))
        ends.serve(fn, bytes, repr, lambda error: seen.append(error) or b"error")
    trace = seen[0].__traceback__
    assert trace is not None
    assert trace.tb_frame.f_code is fn.__code__


def test_what_ends_the_interpreter_is_an_outcome_too() -> None:
    def leave(x: int) -> None:
        raise SystemExit(x)

    with Ends() as ends:
        ends.send(calls(Function(), (3,)))
        ends.serve(leave)
        assert ends.taken()[0] == (CALLS, [(ERROR, b"SystemExit(3)")], True)


# ------------------------------------------------------------------------------------------------------------- records


def test_a_function_is_defined_before_its_first_call_and_once() -> None:
    one, other = Function(1), Function(2)
    with Ends() as ends:
        ends.send([*calls(one, (1,)), *calls(other, (2,)), *calls(one, (3,))])
        ends.send(calls(one, (4,)))
        told = []
        for record in ends.records():
            told.append(record)
            if record[0] == native.GROUP:
                ends.run(lambda x: x)
        assert told == [
            (native.FRAME, 1, b"definition"),
            (native.GROUP, 1, CALLS),
            (native.FRAME, 1, b"definition"),
            (native.GROUP, 2, CALLS),
            (native.GROUP, 1, CALLS),
            (native.GROUP, 1, CALLS),
        ]
        assert ends.defined == [one, other]
        assert ends.known == {1, 2}
        assert ends.taken() == [(CALLS, [1, 2, 3], False), (END, 1, 3), (CALLS, [4], False), (END, 1, 1)]


def test_a_function_that_travels_in_its_calls_is_not_defined() -> None:
    with Ends() as ends:
        ends.send(calls(Function(0), b"call"))
        ends.serve(print)
        assert ends.defined == []
        assert ends.taken()[0] == (CALLS, [b"CALL"], False)


def test_parts_of_chunks_are_told_apart() -> None:
    function = Function()
    first, rest = chunk(function, [0, 1, 2, 3, 4]), chunk(function, [(5,), b"x"], whole=False)
    tail = first.split(2)
    with Ends() as ends:
        ends.send([first, tail, rest])
        ends.serve(lambda x: x)
        assert ends.taken() == [
            (WHOLE, [0, 1], False),
            (WHOLE, [2, 3, 4], False),
            (ITEMS, [5, b"X"], False),
            (END, 1, 7),
        ]


def test_outcomes_of_calls_are_told_together_when_leases_are() -> None:
    with Ends() as ends:
        for number in range(5):
            ends.send(calls(Function(), (number,)))
        ends.serve(lambda x: x)
        assert ends.taken(merged=True) == [(CALLS, [0, 1, 2, 3, 4], False), (END, 5, 5)]


def test_wrong_counts_are_refused_and_nothing_is_sent() -> None:
    with Ends() as ends:
        with pytest.raises(SystemError, match="1 items for 2 tokens"):
            ends.parent.send(calls(Function(), (1,)), 2, ends.define)
        assert not list(ends.records()) or ends.known == {1}
        assert ends.parent.withdraw() == 0


# ------------------------------------------------------------------------------------------------------- large and full


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, native.LARGEST - 64, native.LARGEST, native.LARGEST + 1, 3_000_000])
def test_bytes_of_any_size_go_there_and_back(size: int) -> None:
    body = bytes((size % 251,)) * size
    with Ends() as ends:
        ends.send(calls(Function(), (body,), (1,)))
        ends.serve(lambda x: x, bytes.upper, bytes)
        assert ends.taken() == [*_split([shown(body), 1], size), (END, 1, 2)]
        ends.send(calls(Function(), (2,)))
        ends.serve(lambda x: x)
        assert ends.taken() == [(CALLS, [2], False), (END, 1, 1)]


def shown(body: bytes) -> Any:
    """What is large is the codec's, which may put it aside."""
    return body if len(body) < 1 << 16 else (VALUE, body)


def _split(outcomes: list[Any], size: int) -> list[tuple[int, list[Any], bool]]:
    """What came through the pipe is told by itself."""
    if size + 64 <= native.LARGEST:
        return [(CALLS, outcomes, type(outcomes[0]) is tuple)]
    return [(CALLS, [outcomes[0]], True), (CALLS, outcomes[1:], False)]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(min_value=0, max_value=90_000), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_many_rounds_of_any_sizes(sizes: list[int], random: Any) -> None:
    """Rings wrap, fill up, overflow into the pipe, and empty again."""
    with Ends() as ends:
        sent: list[Any] = []
        got: list[Any] = []

        def serve_and_take() -> None:
            for told in ends.records():
                if told[0] == native.GROUP:
                    ends.run(lambda x: x, bytes.upper, bytes)
                got.extend(outcome for each in ends.taken() if each[0] == CALLS for outcome in each[1])

        for number, size in enumerate(sizes):
            body = number.to_bytes(4, "little") * (1 + size // 4)
            assert ends.send(calls(Function(), (body,))) is not False
            sent.append(shown(body))
            if random.random() < 0.3:
                serve_and_take()
        serve_and_take()
        assert got == sent


def test_frames_wait_when_the_ring_is_full_and_leases_do_not() -> None:
    with Ends() as ends:
        count = 0
        while ends.parent.frame(9, b"x" * 64) is None:
            count += 1
        assert ends.parent.frame(9, b"x" * 64) is False, "what is left is for leases"
        for number in range(MAX_OPEN_LEASES):
            assert isinstance(ends.send(calls(Function(0), b"%d" % number)), bytes), "it goes through the pipe"
        for _ in range(count):
            assert ends.worker.wait(-1) == (native.FRAME, 9, b"x" * 64)
        assert ends.parent.frame(9, b"y") is None
        ends.serve(print, bytes.decode)
        assert [each[1] for each in ends.taken() if each[0] == CALLS] == [[str(n)] for n in range(MAX_OPEN_LEASES)]


# ---------------------------------------------------------------------------------------------------------- withdrawing


def test_what_was_withdrawn_does_not_run() -> None:
    with Ends() as ends:
        ends.send(calls(Function(), (1,), (2,)))
        assert ends.parent.withdraw() == 2
        assert ends.parent.withdraw() == 0
        ends.serve(lambda x: x)
        assert ends.taken() == [(END, 1, 0)]


def test_a_tail_is_withdrawn_while_an_item_runs() -> None:
    with Ends() as ends:
        back: list[int] = []

        def fn(x: int) -> int:
            if x == 2:
                back.append(ends.parent.withdraw())
            return x

        ends.send([*calls(Function(1), (1,), (2,), (3,)), *calls(Function(2), (4,))])
        ends.send(calls(Function(1), (5,)))
        ends.serve(fn)
        assert back == [3]
        ends.send(calls(Function(1), (6,)))
        ends.serve(fn)
        assert ends.taken() == [(CALLS, [1, 2], False), (END, 1, 2), (END, 1, 0), (CALLS, [6], False), (END, 1, 1)]


def test_an_item_is_asked_to_end_and_no_other() -> None:
    with Ends() as ends:
        heard: list[tuple[int, bool]] = []

        def fn(x: int) -> None:
            if x == 1:
                ends.parent.ask()
            heard.append((x, ends.worker.asked()))

        ends.send(calls(Function(), (0,), (1,), (2,)))
        ends.serve(fn)
        assert heard == [(0, False), (1, True), (2, False)]


# -------------------------------------------------------------------------------------------------------------- endings


def test_a_worker_hears_that_its_parent_has_let_go() -> None:
    ends = Ends()
    ends.close()
    assert ends.worker.wait(-1) is None


def test_a_closed_channel_says_so() -> None:
    ends = Ends()
    ends.close()
    for call in (
        lambda: ends.parent.send([], 0, ends.define),
        lambda: ends.parent.frame(1, b""),
        lambda: ends.parent.take(False),
        ends.parent.withdraw,
        ends.parent.ask,
        ends.parent.lend,
        lambda: ends.parent.wants(True),
    ):
        with pytest.raises(ValueError, match="closed"):
            call()
    ends.parent.close()
    ends.parent.recall()


def test_a_descriptor_without_rings_is_refused() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        native.ParentRing(-1, 0, set())
    with open("/dev/null") as file, pytest.raises(OSError, match="no rings"):
        native.WorkerRing(file.fileno(), print, bytearray(1), print, print)


def test_nothing_is_kept() -> None:
    """References of what goes through, after many rounds, are what they were, but for a few.

    What a round kept or gave away too much would show a thousand times. None has some hundred thousand references in a
    run of the suite; a collection, or a thread of an earlier test, may come to its end meanwhile and give up some.
    """
    rounds = 1000
    function, text, big = Function(), "text that is not interned " * 2, 1 << 90
    outcome = [object()]
    with Ends() as ends:

        def once() -> None:
            ends.send([*calls(function, (text, big), b"body"), chunk(function, [text, big, None])])
            ends.serve(lambda *args: outcome[0], lambda body: text)
            ends.taken()

        once()
        watched = (function, text, big, outcome[0], None, ends.run)
        gc.collect()
        before = [sys.getrefcount(each) for each in watched]
        for _ in range(rounds):
            once()
        gc.collect()
        after = [sys.getrefcount(each) for each in watched]
    assert all(abs(one - other) < rounds / 2 for one, other in zip(before, after, strict=True)), (before, after)


def test_many_arguments() -> None:
    with Ends() as ends:
        ends.send(calls(Function(), tuple(range(300))))
        ends.serve(lambda *args: sum(args))
        assert ends.taken()[0] == (CALLS, [sum(range(300))], False)


def test_a_call_without_its_body_is_a_bug_of_ours() -> None:
    with Ends() as ends:
        (call,) = calls(Function(), (1,))
        call.body = None
        with pytest.raises(SystemError, match="not encoded"):
            ends.send([call])
        assert isinstance(call, CallFuture)


def test_a_worker_rests_before_the_next_item_when_it_is_told_to() -> None:
    with Ends() as ends:
        ran: list[int] = []

        def call(x: int) -> int:
            ran.append(ends.rested)
            ends.resting[0] = x == 2
            return x

        ends.send(calls(Function(), (1,), (2,), (3,), (4,)))
        ends.serve(call)
        assert ran == [0, 0, 1, 1]
        assert ends.taken()[0] == (0, [1, 2, 3, 4], False)
