"""Digests tell items and code apart, and are the same in each process."""

from __future__ import annotations

import copy
import datetime
import functools
import json
import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.journal.identity import WIDTH, code_of, digest, identity_of, name_of
from tests.apart import ROOT
from tests.journal.samples import DAY, Worker, functions, plain, samples, scaled
from tests.journal.test_values import ODD, odder


def test_different_items_have_different_digests() -> None:
    found = [digest(each) for each in samples()]
    assert None not in found
    assert all(each is not None and len(each) == WIDTH for each in found)
    same = [(one, two) for at, one in enumerate(samples()) for two in range(at) if found[at] == found[two]]
    assert not same


@given(st.recursive(ODD, odder, max_leaves=20))
def test_equal_items_have_equal_digests(value: Any) -> None:
    first = digest(value)
    assert first is not None
    assert digest(copy.deepcopy(value)) == first


def test_no_order_of_a_set_or_dict_matters() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(set(range(0, 5000, 8))) == digest(set(range(4992, -1, -8)))
    strided = np.arange(12).reshape(3, 4)
    assert digest(strided.T) == digest(strided.T.copy())


class Anything:
    pass


@dataclass
class Holder:
    x: Any


class Mine(dict):  # type: ignore[type-arg]
    pass


class Strange(datetime.tzinfo):
    pass


def recursive() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


@pytest.mark.parametrize(
    "item",
    [
        Anything(),
        [Anything()],
        {"a": (Anything(),)},
        {Anything(): 1},
        Holder(Anything()),
        Mine(a=1),
        OrderedDict(a=1),
        Anything,
        len,
        lambda: 1,
        sys,
        functools.partial(int),
        np.array([Anything()], object),
        DAY.replace(tzinfo=Strange()),
        recursive(),
        deep(),
        object(),
        memoryview(b"1"),
        iter([1]),
    ],
    ids=lambda item: type(item).__name__,
)
def test_what_cannot_be_looked_into_has_no_digest(item: Any) -> None:
    assert digest(item) is None


PROGRAM = """
import json, sys
from tests.journal import samples as here
from procession.journal.identity import code_of, digest, name_of
items = [None if each is None else each.hex() for each in map(digest, here.samples())]
print(json.dumps([items, [[name_of(f), code_of(f)] for f in here.functions()]]))
"""


@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
def test_a_path_is_the_same_under_each_python(module: str) -> None:
    its_own = type("PurePosixPath", (PurePosixPath,), {"__module__": module})
    assert digest(its_own("a")) == digest(PurePosixPath("a")) != digest(PurePosixPath("b"))
    assert digest(PurePosixPath("a")) == bytes.fromhex("c8502520b69c9e15")


class Raising:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __call__(self, n: int) -> int:
        return n


@dataclass
class _WithField:
    n: int = 0

    def __call__(self, n: int) -> int:
        return n


class RaisingField(_WithField):
    def __getattribute__(self, name: str) -> Any:
        if name == "n":
            raise ValueError("it is not there yet")
        return super().__getattribute__(name)


class Pretending:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("it stands for nothing yet")

    def __call__(self, n: int) -> int:
        return n


def test_every_process_comes_to_the_same() -> None:
    found = []
    for seed in ("0", "1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    mine = [each.hex() for each in map(digest, samples()) if each is not None]
    assert found == [[mine, [[name_of(each), code_of(each)] for each in functions()]]] * 3


# ------------------------------------------------------------------------------------------------------------ functions


def test_functions_are_told_apart_by_their_code() -> None:
    found = [code_of(each) for each in functions()]
    assert None not in found
    assert len(set(found)) == len(found)


def test_closures_defaults_and_arguments_count() -> None:
    assert code_of(scaled(2)) == code_of(scaled(2)) != code_of(scaled(3))
    assert code_of(scaled([2])) == code_of(scaled([2])) != code_of(scaled((2,)))
    assert code_of(scaled(scaled(1))) == code_of(scaled(scaled(1))) != code_of(scaled(scaled(2)))
    assert code_of(scaled(Anything())) == code_of(scaled(Anything()))
    assert code_of(functools.partial(plain, 1)) == code_of(functools.partial(plain, 1))
    assert code_of(functools.partial(plain, 1)) != code_of(functools.partial(plain, 2))

    def make(default: Any) -> Any:
        def fn(n: int, by: Any = default, *, more: Any = default) -> Any:
            return n

        return fn

    assert code_of(make(1)) == code_of(make(1)) != code_of(make(2))


def compiled(source: str, filename: str = "a.py") -> Any:
    space: dict[str, Any] = {"__name__": "made"}
    exec(compile(source, filename, "exec"), space)
    return space["f"]


def test_where_code_stands_does_not_matter_what_it_does_does() -> None:
    source = "def f(x):\n    return [g(x) for y in (1, {0})]\n"
    same = code_of(compiled(source))
    assert same == code_of(compiled("\n\n# a word\n" + source, "b.py"))
    for other in (
        source.replace("1", "2"),
        source.replace("1", "1.0"),
        source.replace("{0}", "{0, 1}"),
        source.replace("g(", "h("),
        source.replace("(x)", "(x, z=1)"),
        source.replace("def f", "def h") + "f = h",
        source.replace("[", "(").replace("]", ")"),
    ):
        found = code_of(compiled(other))
        assert (found == same) is ("def h" in other), other


def test_a_class_in_a_function_may_stand_elsewhere() -> None:
    source = "def f(x):\n    class A:\n        n = 1\n        def g(self): return self.x\n    return A\n"
    assert code_of(compiled(source)) == code_of(compiled("\n# a word\n" + source))
    assert code_of(compiled(source)) != code_of(compiled(source.replace("n = 1", "n = 2")))


def test_a_call_that_is_inherited_counts() -> None:
    def calling(by: int) -> Any:
        base = type("Base", (), {"__call__": scaled(by)})
        return type("Derived", (base,), {})()

    assert code_of(calling(1)) == code_of(calling(1)) != code_of(calling(2))


@pytest.mark.parametrize("kind", [Raising, RaisingField, Pretending])
def test_what_raises_when_it_is_asked_cannot_be_looked_into(kind: type[Any]) -> None:
    value = kind()
    assert digest(value) is digest([value]) is None
    assert code_of(value) == code_of(value)
    assert code_of(scaled(value)) == code_of(scaled(value))
    assert name_of(value) == f"{__name__}:{kind.__qualname__}"


def test_builtins_have_a_name_and_no_code() -> None:
    assert (name_of(len), code_of(len)) == ("builtins:len", None)
    assert (name_of(str.upper), code_of(str.upper)) == ("builtins:str.upper", None)
    assert code_of("a".join) is None
    assert name_of("a".join) == "builtins:str.join"


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (plain, "plain"),
        (functools.partial(functools.partial(plain, 1), 2), "plain"),
        (Worker().work, "Worker.work"),
        (functools.partial(Worker().work, 1), "Worker.work"),
        (Worker(), "Worker"),
        (Worker, "Worker"),
        (scaled(1), "scaled.<locals>.scale"),
    ],
)
def test_functions_are_named_by_where_they_are_found(fn: Any, name: str) -> None:
    assert name_of(fn) == f"{plain.__module__}:{name}"
    assert identity_of(fn, 7).function == name_of(fn)
    assert identity_of(fn, 7).seed == 7
