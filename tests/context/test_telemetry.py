"""OpenTelemetry: a task's span is a child of the span in which it was handed over, on every backend, every way in."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any, ClassVar

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from procession import Pipeline, Pool, SpinOff, Stage, surroundings
from tests import warm
from tests.context import varwork as work

kept_zygote = warm.keep()

BACKENDS = ["inline", "pickled", "threads", "processes"]

Told = tuple[str, int, int, int | None]
"""A span: its name, its trace id, its span id, its parent's span id."""


class Ended(SpanProcessor):
    """Keeps the spans of this process that have ended."""

    spans: ClassVar[list[Told]] = []

    def on_end(self, span: ReadableSpan) -> None:
        own = span.get_span_context()
        assert own is not None
        self.spans.append((span.name, own.trace_id, own.span_id, span.parent.span_id if span.parent else None))


_tracers: dict[int, Tracer] = {}


def set_up() -> None:
    """The SDK, as a program's initializer sets it up: ids, sampling and export are this process's."""
    provider = TracerProvider()
    provider.add_span_processor(Ended())
    _tracers[os.getpid()] = provider.get_tracer("tests")


def tracer() -> Tracer:
    if os.getpid() not in _tracers:
        set_up()
    return _tracers[os.getpid()]


def traced(*_: Any) -> tuple[Told, Any, int]:
    """A span of a task, as its worker's SDK has ended it; the baggage; and where that was."""
    with tracer().start_as_current_span("task"):
        pass
    return Ended.spans.pop(), baggage.get_baggage("user"), os.getpid()


def traced_for() -> tuple[Any, ...]:
    return *traced()[0], work.request.get()


def traced_by_two(*_: Any) -> tuple[Told, Told]:
    with tracer().start_as_current_span("outer"), tracer().start_as_current_span("inner"):
        pass
    outer, inner = Ended.spans.pop(), Ended.spans.pop()
    return inner, outer


def traced_each(n: int) -> Iterator[Any]:
    for _ in range(n):
        yield traced()


def traced_all(items: list[Any]) -> list[Any]:
    return [traced() for _ in items]


def traced_next(found: Any) -> Any:
    return found, traced()


def traced_second(path: str) -> Any:
    """The first run is killed, or fails where that is impossible."""
    traced()
    if not Path(path).exists():
        Path(path).touch()
        if path.endswith("kill"):
            os.kill(os.getpid(), 9)
        raise ValueError("the first run")
    return traced()


def current() -> tuple[int, int]:
    own = trace.get_current_span().get_span_context()
    return own.trace_id, own.span_id


def is_child(found: Any, of: tuple[int, int]) -> bool:
    (name, trace_id, span_id, parent), user, _ = found
    return (name, trace_id, parent, user) == ("task", *of, "me") and span_id != parent


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def backend_of(name: str) -> Any:
    return "inline" if name == "pickled" else name


@pytest.fixture
def pool(backend: str) -> Iterator[Pool]:
    words: dict[str, Any] = {"pickle": True} if backend == "pickled" else {}
    with Pool(2, backend=backend_of(backend), initializer=set_up, **words) as made:
        yield made


@pytest.fixture
def span() -> Iterator[tuple[int, int]]:
    """A span that is current, with something in its baggage."""
    token = context.attach(baggage.set_baggage("user", "me"))
    with tracer().start_as_current_span("submitter"):
        yield current()
    context.detach(token)
    Ended.spans.clear()


# --------------------------------------------------------------------------------------------------------- every way in


def test_a_pool(pool: Pool, span: tuple[int, int], backend: str) -> None:
    found = [each.result() for each in [pool.submit(traced, n) for n in range(4)]]
    found += [pool.submit(lambda: traced()).result(), pool.options(name="x").submit(traced, [1]).result()]
    found += pool.map(traced, range(4))
    found += pool.imap(traced, range(4), seed=3)
    found += pool.imap_unordered(traced, [[n] for n in range(4)])
    found += pool.stream(traced_each, 3)
    assert len(found) == 21
    assert all(is_child(each, span) for each in found)
    assert len({span_id for (_, _, span_id, _), _, _ in found}) == len(found)
    assert (os.getpid() in {pid for _, _, pid in found}) == (backend != "processes")
    assert current() == span


def test_a_spans_own_children(pool: Pool, span: tuple[int, int]) -> None:
    for (_, trace_id, _, parent), (_, outer_trace, outer, submitter) in [
        pool.submit(traced_by_two).result(),
        *pool.map(traced_by_two, range(2)),
    ]:
        assert (trace_id, outer_trace, parent, submitter) == (span[0], span[0], outer, span[1])


def test_where_there_is_no_span(pool: Pool) -> None:
    for (_, _, _, parent), user, _ in [pool.submit(traced).result(), *pool.map(traced, range(3))]:
        assert (parent, user) == (None, None)


def test_each_call_has_its_own_submitter(pool: Pool) -> None:
    """What is current changes from call to call, and what was current before is not seen again."""
    futures, spans = [], []
    for n in range(12):
        with tracer().start_as_current_span(f"request {n}"):
            spans.append(current())
            futures.append(pool.submit(traced))
            futures.append(pool.submit(traced, [n]))
    futures.append(pool.submit(traced))
    told = [each.result()[0] for each in futures]
    assert told[-1][3] is None
    assert [(trace_id, parent) for _, trace_id, _, parent in told[:-1]] == [each for each in spans for _ in range(2)]
    Ended.spans.clear()


def test_what_was_taken_last_is_taken_for_no_other(pool: Pool, backend: str) -> None:
    """Where nothing but spans and plain values is set, what was packed last serves the next call; in random order."""
    draw = random.Random(20261128)

    def story() -> None:
        spans = [tracer().start_span(f"request {n}") for n in range(3)]
        contexts = [trace.set_span_in_context(each) for each in spans]
        served = 0
        for step in range(80):
            which = draw.randrange(len(spans) + 1)
            token = context.attach(contexts[which]) if which < len(spans) else None
            user = draw.choice(["me", "you"])
            if draw.random() < 0.8:
                work.request.set(user)
            latest = surroundings._latest
            served += latest is not None and latest.is_of(copy_context())
            found, own = pool.submit(traced_for).result(), current()
            assert (found[1], found[3], found[4]) == (
                (*own, work.request.get()) if token else (found[1], None, work.request.get())
            ), step
            if token:
                context.detach(token)
        assert (served > 5) == (backend in ("processes", "pickled"))

    Context().run(story)


def test_coroutines(pool: Pool) -> None:
    async def one(n: int) -> bool:
        token = context.attach(baggage.set_baggage("user", "me"))
        with tracer().start_as_current_span(f"request {n}"):
            own = current()
            found = [await pool.acall(traced, n), await pool.acall(traced, [n])]
            found += [each async for each in pool.aimap(traced, range(2))]
        context.detach(token)
        return all(is_child(each, own) for each in found)

    async def several() -> list[bool]:
        return await asyncio.gather(*map(one, range(4)))

    assert all(asyncio.run(several()))
    Ended.spans.clear()


@pytest.mark.parametrize("batch", [None, 2])
def test_a_spinoff(backend: str, span: tuple[int, int], batch: int | None) -> None:
    fn: Any = traced if batch is None else traced_all
    with SpinOff(fn, backend=backend_of(backend), initializer=set_up, batch=batch) as spin:
        spin.put(1)
        spin.put_many([2, [3]])
    assert [is_child(each, span) for each in spin] == [True] * 3


def test_a_pipeline(backend: str, span: tuple[int, int]) -> None:
    stages = [Stage(fn, backend=backend_of(backend), initializer=set_up) for fn in (traced, traced_next)]
    for first, second in Pipeline(*stages).run(range(3)):
        assert is_child(first, span)
        assert is_child(second, span)


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_further_runs(backend: str, pool: Pool, span: tuple[int, int], tmp_path: Path, how: str) -> None:
    if how == "kill" and backend != "processes":
        pytest.skip("only processes can be killed")
    again = pool.options(retries=2)
    found = [again.submit(traced_second, str(tmp_path / f"call {how}")).result()]
    found += again.imap(traced_second, [str(tmp_path / f"stream {how}")])
    assert [is_child(each, span) for each in found] == [True] * 2


def test_a_worker_hands_on(span: tuple[int, int]) -> None:
    def outer() -> Any:
        with tracer().start_as_current_span("task of the task"):
            own = current()
            with Pool(1, initializer=set_up) as pool:
                return own, pool.submit(traced).result()

    with Pool(1, initializer=set_up) as pool:
        own, found = pool.submit(outer).result()
    assert own[0] == span[0]
    assert is_child(found, own)


# ------------------------------------------------------------------------------------------------------- and otherwise


def test_its_variable_is_not_told_as_left_out(span: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    with Pool(1) as pool:
        assert surroundings.look(copy_context()) == 0
        assert pool.submit(lambda: trace.get_current_span().get_span_context().is_remote).result()
    assert not caplog.records


def test_a_propagator_that_raises_fails_no_task(
    span: tuple[int, int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(TraceContextTextMapPropagator):
        def inject(self, *_: object, **__: object) -> None:
            raise OSError("no propagation today")

    monkeypatch.setattr(surroundings, "_told", {})
    usual = propagate.get_global_textmap()
    propagate.set_global_textmap(Broken())
    try:
        with Pool(1, initializer=set_up) as pool:
            found = [pool.submit(traced).result() for _ in range(3)]
    finally:
        propagate.set_global_textmap(usual)
    assert [parent for (_, _, _, parent), _, _ in found] == [None] * 3
    told = [each.getMessage() for each in caplog.records if each.name == "procession"]
    assert len(told) == 1
    assert "OpenTelemetry" in told[0]
    assert "no propagation today" in told[0]


def test_a_worker_whose_propagator_raises(span: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    def break_it() -> None:
        class Broken(TraceContextTextMapPropagator):
            def extract(self, *_: object, **__: object) -> Any:
                raise OSError("nothing can be read")

        propagate.set_global_textmap(Broken())

    with Pool(1, initializer=break_it) as pool:
        assert [pool.submit(abs, -n).result() for n in range(3)] == [0, 1, 2]
    told = [each.getMessage() for each in caplog.records if each.name == "procession"]
    assert len(told) == 1
    assert "nothing can be read" in told[0]


def test_a_context_without_anything_to_propagate() -> None:
    def see() -> Any:
        token = context.attach(context.set_value("mine", 1))
        with Pool(1) as pool:
            assert surroundings.here(pool._engine) is None
        context.detach(token)
        context.attach(context.Context())
        assert surroundings.look(copy_context()) == 2

    Context().run(see)


def test_who_does_not_use_it_does_not_load_it() -> None:
    program = (
        "import sys\nfrom contextvars import ContextVar\nfrom procession import Pool\n"
        "mine = ContextVar('mine')\n"
        "def loaded(): return mine.get(), any(each.startswith('opentelemetry') for each in sys.modules)\n"
        "if __name__ == '__main__':\n"
        "    mine.set(1)\n"
        "    with Pool(1) as pool: print(pool.submit(loaded).result(), loaded())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "(1, False) (1, False)\n"
