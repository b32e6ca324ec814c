"""Each run in a copy of one context (both kinds of `Apart`), and whether a caller has anything to hand on (in C)."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest

import procession.pool_face
from procession import Pool
from procession._native import native
from procession.backends.apart import PlainApart
from tests.context import varwork as work

KINDS = [PlainApart] if native is None else [PlainApart, native.Apart]

one: ContextVar[Any] = ContextVar("one", default="unset")
two: ContextVar[Any] = ContextVar("two", default="unset")


def look() -> tuple[Any, Any]:
    return one.get(), two.get()


def spoil(*args: Any, **words: Any) -> tuple[tuple[Any, Any], Any]:
    seen = look()
    for variable in (one, two):
        variable.set(object())
    return seen, (args, words)


def base_of(**values: Any) -> Context:
    base = Context()
    for name, value in values.items():
        base.run(globals()[name].set, value)
    return base


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_each_run_begins_with_the_base(kind: Any) -> None:
    before = look()
    apart = kind(base_of(one=1))
    for _ in range(3):
        assert apart.run(spoil, (2, 3), {"k": 4}) == ((1, "unset"), ((2, 3), {"k": 4}))
        assert apart.run(spoil, (), {}) == ((1, "unset"), ((), {}))
        assert apart.run_one(spoil, 5) == ((1, "unset"), ((5,), {}))
        assert apart.run_one(lambda _: look(), 5) == (1, "unset")
    apart.leave()
    assert look() == before


def test_what_is_raised_comes_out_and_the_next_begins_anew(kind: Any) -> None:
    def fail(error: BaseException) -> None:
        spoil()
        raise error

    apart = kind(base_of(two=2))
    for error in (ValueError("one"), KeyboardInterrupt(), SystemExit(3)):
        for call in (lambda error=error: apart.run(fail, (error,), {}), lambda error=error: apart.run_one(fail, error)):
            with pytest.raises(type(error)) as raised:
                call()
            assert raised.value is error
            assert apart.run(look, (), {}) == ("unset", 2)
    apart.leave()
    assert look() == ("unset", "unset")


def test_tokens_of_a_run_are_of_that_run(kind: Any) -> None:
    apart = kind(Context())
    token = apart.run(one.set, (1,), {})
    with pytest.raises(ValueError, match="different Context"):
        apart.run(one.reset, (token,), {})

    def set_and_reset() -> Any:
        token = one.set(1)
        one.reset(token)
        return look()

    assert apart.run(set_and_reset, (), {}) == ("unset", "unset")
    apart.leave()


def test_runs_inside_of_runs(kind: Any) -> None:
    """Other contexts are entered and left inside, and further ones of its kind."""

    def nested(depth: int) -> list[Any]:
        seen = [spoil()[0], Context().run(spoil)[0]]
        inner = kind(base_of(two=depth))
        seen += inner.run(nested, (depth - 1,), {}) if depth else []
        inner.leave()
        return seen

    apart = kind(base_of(two=9))
    fresh = ("unset", "unset")
    for _ in range(3):
        assert apart.run(nested, (2,), {}) == [("unset", n) if n else fresh for n in (9, 0, 2, 0, 1, 0)]
    apart.leave()
    assert look() == fresh


def test_nothing_that_a_run_has_set_is_kept(kind: Any) -> None:
    class Thing:
        pass

    apart = kind(base_of(one=1))
    thing = Thing()
    gone = []
    import weakref

    weakref.finalize(thing, gone.append, "gone")
    apart.run(two.set, (thing,), {})
    del thing
    gc.collect()
    assert gone == ["gone"]
    apart.leave()


def test_references_are_counted(kind: Any) -> None:
    apart, value, base = kind(base_of(one=1)), object(), base_of(two=2)
    before = sys.getrefcount(value), sys.getrefcount(spoil), sys.getrefcount(base)
    for _ in range(500):
        apart.run(spoil, (value,), {})
        apart.run_one(spoil, value)
        with pytest.raises(ZeroDivisionError):
            apart.run_one(lambda _: 1 / 0, value)
        apart.run(one.set, (value,), {})
        other = kind(base)
        other.leave()
        del other
    gc.collect()
    after = sys.getrefcount(value), sys.getrefcount(spoil), sys.getrefcount(base)
    assert [now - then for now, then in zip(after, before, strict=True)] == [0, 0, 0]
    apart.leave()


@pytest.mark.skipif(native is None, reason="of the extension")
def test_wrong_words_are_errors() -> None:
    with pytest.raises(TypeError):
        native.Apart({})
    apart = native.Apart(Context())
    for wrong in ((abs,), (abs, [1], {}), (abs, (1,), None)):
        with pytest.raises(TypeError):
            apart.run(*wrong)
    with pytest.raises(TypeError):
        apart.run_one(abs)
    apart.leave()
    apart.leave()


@pytest.mark.skipif(native is None, reason="of the extension")
def test_a_copy_that_others_have_left_behind() -> None:
    """Whoever leaves out of turn stays in his copy, and raises nothing; a thread of its own, since it ends in there."""
    seen: list[Any] = []

    def leave_out_of_turn() -> None:
        outer, inner = native.Apart(base_of(one=1)), native.Apart(base_of(one=2))
        outer.leave()
        seen.extend((inner.run(spoil, (), {})[0][0], inner.run(look, (), {})[0], Context().run(look)))
        inner.leave()
        seen.append(look()[0])

    thread = threading.Thread(target=leave_out_of_turn)
    thread.start()
    thread.join(30)
    assert seen == [2, 2, ("unset", "unset"), 1]
    assert look() == ("unset", "unset")


# ------------------------------------------------------------------------------------------------ who hands tasks over


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What C has asked Python about."""
    asked: list[dict[str, Any]] = []
    usual: Callable[[Context], int] = procession.pool_face._look

    def ask(context: Context) -> int:
        asked.append({variable.name: value for variable, value in context.items()})
        return usual(context)

    if native is None:
        pytest.skip("of the extension")
    native.set_look(ask)
    yield asked
    native.set_look(usual)


def test_the_same_nothing_is_asked_about_once(looked: list[dict[str, Any]]) -> None:
    ignored: ContextVar[Any] = ContextVar("current_async_library_cvar")

    def many() -> None:
        ignored.set("trio")
        for _ in range(50):
            assert pool.submit(work.view, 1).result() == ("nobody", None)
        Context().run(pool.submit, work.view, 1).result()
        assert len(looked) == 1
        ignored.set(None)
        pool.submit(work.view, 1).result()
        assert len(looked) == 2

    with Pool(1) as pool:
        pool.submit(work.view, 1).result()
        Context().run(many)


def test_a_signal_handler_that_raises_while_it_is_asked(looked: list[dict[str, Any]]) -> None:
    """The exception comes out of submit, and nothing was handed over."""

    class Struck(Exception):
        pass

    def strike(*_: object) -> None:
        raise Struck

    def ask(context: Context) -> int:
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(1000):
            copy_context()
        return 0

    before = signal.signal(signal.SIGUSR1, strike)
    try:
        with Pool(1) as pool:
            pool.submit(work.view, 1).result()
            done = pool.stats().done
            native.set_look(ask)

            def call() -> None:
                work.request.set("r")
                with pytest.raises(Struck):
                    pool.submit(work.view, 1)

            Context().run(call)
            native.set_look(procession.pool_face._look)
            assert pool.submit(work.view, 1).result() == ("nobody", None)
            assert pool.stats().done == done + 1
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_random_stories_of_setting_and_leaving(looked: list[dict[str, Any]]) -> None:
    """Whatever is set, reset, entered and left, a task sees what its submitter does."""
    draw = random.Random(20261128)

    def story(depth: int) -> None:
        tokens: list[Any] = []
        for _ in range(12):
            act = draw.random()
            if act < 0.3:
                tokens.append(work.request.set(draw.randrange(9)))
            elif act < 0.5 and tokens:
                work.request.reset(tokens.pop())
            elif act < 0.7 and depth:
                draw.choice((Context(), copy_context())).run(story, depth - 1)
            assert pool.submit(work.view, 1).result()[0] == work.request.get()

    with Pool(1) as pool:
        Context().run(story, 3)
