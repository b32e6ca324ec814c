"""A stream is cancelled while another thread has an outcome in hand for it: nobody is given that, and nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from procession import Pool
from procession.core.flow import NOTHING
from procession.core.flow_cancelled import CancelledFlow
from procession.handover import Handover
from procession.stream_bounds import Bounded
from procession.stream_course import Course
from procession.streams import Stream
from tests.contract.conftest import PATIENCE


def test_what_comes_too_late_is_nothing() -> None:
    flow = CancelledFlow()
    flow.done(0, [1, 2])
    flow.done_one(2, 3)
    flow.drop(3)
    flow.check()
    assert flow.ended
    assert not flow.ready
    assert flow.take() is NOTHING
    assert (flow.admitted, flow.finished, flow.handed, flow.dropped) == (0, 0, 0, 0)


def no_key(x: int) -> int:
    raise KeyError(x)


def arrives(pool: Pool, words: dict[str, Any]) -> Stream[Any]:
    return pool.imap(abs, [-1], **words)


def has_no_key(pool: Pool, words: dict[str, Any]) -> Stream[Any]:
    return pool.imap(abs, [-1], key=no_key, **words)


def cannot_be_sent(pool: Pool, words: dict[str, Any]) -> Stream[Any]:
    return pool.imap(id, [threading.Lock()], **words)


def is_refused(pool: Pool, words: dict[str, Any]) -> Stream[Any]:
    def refuse(posted: Any) -> None:
        raise RuntimeError("it takes no more")

    pool._engine.post = refuse  # type: ignore[method-assign]
    return pool.imap(abs, [-1], **{**words, "rate": 1000.0})  # else it would be raised here


WORDS: list[dict[str, Any]] = [{}, {"rate": 1000.0}, {"live": True}, {"buffer_bytes": 100}, {"ordered": False}]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize(
    ("begin", "backend", "kind", "way"),
    [
        (arrives, "threads", Bounded, "arrived"),
        (has_no_key, "threads", Handover, "tell"),
        (cannot_be_sent, "processes", Handover, "tell"),
        (is_refused, "threads", Course, "refused"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_a_cancel_comes_between(
    begin: Callable[[Pool, dict[str, Any]], Stream[Any]],
    backend: Any,
    kind: type[Any],
    way: str,
    words: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has the outcome has seen that the stream goes on, and it does not when the outcome is entered."""
    original = getattr(kind, way)
    entered = threading.Event()

    def late(course: Any, *told: Any) -> None:
        course.cancel()
        original(course, *told)
        entered.set()

    monkeypatch.setattr(kind, way, late)
    with Pool(1, backend=backend) as pool:
        stream = begin(pool, words)
        assert list(stream) == []
        course = stream._outlet.course
        assert entered.wait(PATIENCE)
        course.flow.check()
        assert course.flow.finished == course.flow.admitted == 0
        if course.gate is not None:
            assert course.gate.join(PATIENCE)
