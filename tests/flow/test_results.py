"""What a map hands over, out of runs: in C and in Python, which are to be the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from procession._native import native
from procession.streams import Results, _results
from procession.types import Raised

Runs = Generator[list[Any], None, None]
MakeResults = Callable[[Runs], Results]


@pytest.fixture(params=["python", "c"])
def made(request: pytest.FixtureRequest) -> MakeResults:
    if request.param == "python":
        return _results
    if native is None:
        pytest.skip("there is no extension, or it is not to be used")
    return native.Results  # type: ignore[no-any-return]


class Source:
    """A generator of runs that tells how it ended."""

    def __init__(self, *runs: list[Any], last: Exception | None = None) -> None:
        self.runs = runs
        self.last = last
        self.given = 0
        self.ended: BaseException | str | None = "never begun"

    def begin(self) -> Runs:
        try:
            for run in self.runs:
                self.given += 1
                yield run
            if self.last is not None:
                raise self.last
        except BaseException as error:
            self.ended = error
            raise
        else:
            self.ended = None


class Thing:
    """Something that can be watched."""


def test_each_run_is_handed_over_the_last_of_it_first(made: MakeResults) -> None:
    source = Source([2, 1, 0], [], [4, 3], [], [5])
    results = made(source.begin())
    assert iter(results) is results
    assert list(results) == [0, 1, 2, 3, 4, 5]
    assert source.ended is None
    assert list(results) == []


def test_nothing_is_asked_for_before_it_is_wanted(made: MakeResults) -> None:
    source = Source([1, 0], [2])
    results = made(source.begin())
    assert source.given == 0
    assert [next(results), next(results)] == [0, 1]
    assert source.given == 1


def test_what_is_handed_over_is_not_kept(made: MakeResults) -> None:
    results = made(Source([Thing(), Thing()], [Thing()]).begin())
    for each in results:
        watch = weakref.ref(each)
        del each
        assert watch() is None


def test_an_error_comes_in_its_place_and_ends_it(made: MakeResults) -> None:
    error = ValueError("third")
    source = Source([3, Raised(error), 1, 0], [4])
    results = made(source.begin())
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="third") as caught:
        next(results)
    assert caught.value is error is source.ended
    assert list(results) == []
    assert source.given == 1


def test_what_follows_an_error_is_let_go(made: MakeResults) -> None:
    thing = Thing()
    watch = weakref.ref(thing)
    results = made(Source([thing, Raised(ValueError())]).begin())
    del thing
    with pytest.raises(ValueError):
        next(results)
    gc.collect()
    assert watch() is None


def test_an_error_of_the_source_comes_out(made: MakeResults) -> None:
    results = made(Source([0], last=TimeoutError()).begin())
    assert next(results) == 0
    with pytest.raises(TimeoutError):
        next(results)
    assert list(results) == []


def test_closed_in_the_middle_of_a_run_it_ends_and_lets_go(made: MakeResults) -> None:
    thing = Thing()
    watch = weakref.ref(thing)
    source = Source([thing, 1, 0], [2])
    results = made(source.begin())
    del thing
    assert next(results) == 0
    results.close()
    assert isinstance(source.ended, GeneratorExit)
    source.ended, source.runs = None, ()
    assert watch() is None
    assert list(results) == []
    results.close()


def test_closed_before_it_was_begun(made: MakeResults) -> None:
    source = Source([0])
    results = made(source.begin())
    results.close()
    assert list(results) == []
    assert source.ended == "never begun"


def test_dropped_in_the_middle_of_a_run_its_source_is_closed(made: MakeResults) -> None:
    source = Source([1, 0], [2])
    results = made(source.begin())
    assert next(results) == 0
    watch = weakref.ref(results)
    del results
    gc.collect()
    assert watch() is None
    assert isinstance(source.ended, GeneratorExit)


def test_in_a_cycle_it_is_collected(made: MakeResults) -> None:
    holder: list[Any] = []
    watched = Thing()
    watch = weakref.ref(watched)
    results = made(Source([holder, watched, 0]).begin())
    assert next(results) == 0
    holder.append(results)
    del results, watched, holder
    gc.collect()
    assert watch() is None


def test_asked_while_it_is_being_asked_it_refuses(made: MakeResults) -> None:
    def nosy() -> Runs:
        with pytest.raises(ValueError, match="already executing"):
            next(results)
        yield [0]

    results: Iterator[Any] = made(nosy())
    assert list(results) == [0]


@pytest.mark.skipif(native is None, reason="there is no extension, or it is not to be used")
def test_in_c_it_takes_a_generator_of_lists_alone() -> None:
    assert native is not None
    with pytest.raises(TypeError):
        native.Results([[1]])
    with pytest.raises(TypeError, match="gives lists"):
        next(native.Results(each for each in [(1, 2)]))
