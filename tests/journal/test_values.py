"""Values come back as exactly what they were, in the form that says so; what was changed in a row is noticed."""

from __future__ import annotations

import collections
import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.journal import values
from procession.journal.values import (
    ERROR,
    JSON,
    PICKLE,
    STEP,
    Untrusted,
    checksum,
    decode,
    encode,
    encode_error,
    raw,
    start_of,
)
from tests.journal.work import Point, Unpicklable

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8"))
ODD_TEXT = st.text(st.characters())  # lone surrogates, too
PLAIN = st.none() | st.booleans() | st.integers() | FINITE | TEXT
ODD = (
    PLAIN
    | st.floats()
    | ODD_TEXT
    | st.binary()
    | st.complex_numbers()
    | st.integers(min_value=10**4290, max_value=10**4310)
)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def more(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(parts, max_size=4) | st.dictionaries(keys, parts, max_size=4)

    return st.recursive(leaves, more, max_leaves=20)


def odder(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(parts, max_size=4)
        | st.dictionaries(ODD_TEXT | st.integers() | st.booleans() | st.none(), parts, max_size=4)
        | st.tuples(parts)
        | st.tuples(parts, parts)
        | st.frozensets(st.integers())
    )


def same(one: Any, other: Any) -> bool:
    """Equal, with the same types all the way down, and the same bits."""
    if type(one) is not type(other):
        return False
    if type(one) is float:
        return struct.pack("<d", one) == struct.pack("<d", other)
    if type(one) is complex:
        return same(one.real, other.real) and same(one.imag, other.imag)
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is dict:
        return len(one) == len(other) and all(map(same, one.items(), other.items()))
    return bool(one == other)


def through(value: Any) -> Any:
    return decode(*encode(value), trusted=True)


@settings(max_examples=60)
@given(nested(PLAIN, TEXT))
def test_what_json_can_hold_is_json_and_comes_back(value: Any) -> None:
    form, data = encode(value)
    assert form == JSON
    assert isinstance(data, str)
    json.loads(data, parse_constant=pytest.fail)  # strict
    assert same(decode(form, data, trusted=False), value)


@settings(max_examples=100)
@given(st.recursive(ODD, odder, max_leaves=20))
def test_anything_comes_back_as_what_it_was(value: Any) -> None:
    assert same(through(value), value)


class Text(str):
    pass


class Number(int):
    pass


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        [1, (2,)],
        {1: 2},
        {"a": {True: 1}},
        {Text("a"): 1},
        Text("a"),
        [Number(1)],
        math.nan,
        [1.0, -math.inf],
        "\ud800",
        ["\ud83d\ude00"],  # two lone ones, which JSON would make one character of
        {"\udfff": 1},
        10**5000,
        [-(10**5000)],
        collections.OrderedDict(a=1),
        Point(3),
        b"",
        {1, 2},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_would_change_is_pickled(value: Any) -> None:
    form, data = encode(value)
    assert (form, type(data)) == (PICKLE, bytes)
    again = decode(form, data, trusted=True)
    assert type(again) is type(value)
    assert same(again, value) or again == value


def test_minus_zero_and_the_last_bits_stay() -> None:
    for value in (-0.0, 5e-324, 0.1 + 0.2, 1e22, 1.7976931348623157e308):
        assert encode(value)[0] == JSON
        assert same(through(value), value)


def test_what_is_there_twice_stays_one() -> None:
    inner = [1]
    again = through([inner, inner])
    assert again[0] is again[1]
    loop: list[Any] = []
    loop.append(loop)
    assert through(loop)[0] is not None
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    assert through(deep) == deep


def test_what_is_too_deep_for_pickle_is_an_error_and_no_crash() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        encode(deep)
    while deep:
        deep = deep[0]


def test_a_class_that_no_module_has_goes_by_value() -> None:
    class Local:
        x = 1

    assert through(Local()).x == 1


def test_what_cannot_be_pickled_is_an_error() -> None:
    with pytest.raises(TypeError, match="not this one"):
        encode([Unpicklable()])


def test_what_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "LARGEST", 1000)
    assert encode("x" * 200)[0] == JSON
    for value in ("x" * 2000, b"x" * 2000):
        with pytest.raises(OverflowError, match="1,000 are the most that a journal keeps"):
            encode(value)


def test_pickles_are_loaded_only_where_that_is_allowed() -> None:
    assert decode(*encode([1]), trusted=False) == [1]
    for form, data in (encode((1,)), (ERROR, encode_error(ValueError()))):
        with pytest.raises(Untrusted):
            decode(form, data, trusted=False)


@pytest.mark.parametrize(
    ("form", "data"),
    [(0, "1"), (JSON, b"1"), (JSON, ""), (JSON, "1 2"), (JSON, "[1"), (PICKLE, "1"), (4, b""), (None, None)],
)
def test_forms_that_there_are_not_are_an_error(form: Any, data: Any) -> None:
    with pytest.raises(ValueError):
        decode(form, data, trusted=True)


def test_errors_come_back_with_their_traceback() -> None:
    try:
        raise KeyError("k")
    except KeyError as error:
        data = encode_error(error)
    again = decode(ERROR, data, trusted=True)
    assert (type(again), again.args) == (KeyError, ("k",))
    assert "test_errors_come_back_with_their_traceback" in str(again.__cause__)


@given(st.integers(0, 3), TEXT | st.binary(), st.integers(0, 2**40), st.data())
def test_a_checksum_is_for_this_state_these_data_and_this_row(state: int, data: Any, seq: int, draw: Any) -> None:
    encoded = bytearray(raw(data))
    sum = checksum(state, JSON, bytes(encoded), seq)
    assert 0 <= sum < 2**40
    assert checksum(state + 1, JSON, bytes(encoded), seq) == sum + STEP
    assert checksum(state, JSON, bytes(encoded), seq) == sum
    others = [
        (state, PICKLE, encoded, seq, None),
        (state, JSON, encoded, seq + 1, None),
        (state, JSON, encoded, seq, ()),
    ]
    if encoded:
        at = draw.draw(st.integers(0, len(encoded) - 1))
        changed = bytearray(encoded)
        changed[at] ^= draw.draw(st.integers(1, 255))
        others.append((state, JSON, changed, seq, None))
    assert sum not in [checksum(*each) for each in others]


def test_rows_are_told_apart_by_their_number_or_id_and_their_mark() -> None:
    starts = [
        start_of(*each) for each in [(1,), (2,), ("1",), ("2",), (b"b1",), (1, b"x"), (1, b"y"), (1, "x"), (1, 7)]
    ]
    assert len(set(starts)) == len(starts)
