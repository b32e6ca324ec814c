"""Several listen to one tap: each hears what there is and what happens, and the last one closes it."""

import os
import threading
from collections import deque
from typing import Any

import pytest

from procession import Pool, SpinOff, happenings, tapping, trace
from procession.seeing import hub as module
from procession.seeing.hub import Listener, hub
from tests.contract.conftest import Gate, MakePool
from tests.contract.work import pass_gate, square


class Ear(Listener):
    """Keeps what it hears."""

    every = 0.01

    def __init__(self, breaks: bool = False) -> None:
        super().__init__()
        self.heard: list[Any] = []
        self.breaks = breaks
        self.broken = threading.Event()
        self.why: BaseException | None = None

    def take(self, happening: tuple[Any, ...]) -> None:
        if self.breaks:
            raise ZeroDivisionError("a fault that was put here")
        self.heard.append(happening)

    def broke(self, error: BaseException) -> None:
        self.why = error
        self.broken.set()

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.heard if isinstance(each, kind)]

    def runs(self) -> int:
        """That have ended."""
        ended = [row for each in self.of(happenings.Rows) for row in each.rows if row[7] != happenings.RUNNING]
        return len(ended)


def test_who_comes_later_is_told_what_there_is() -> None:
    first, second = Ear(), Ear()
    with Pool(2, backend="threads") as pool:
        first.begin()
        assert list(pool.map(square, range(10))) == [x * x for x in range(10)]
        with SpinOff(square, backend="threads") as spin:
            spin.put(1)
            second.begin()
            assert list(pool.map(square, range(5))) == [x * x for x in range(5)]
            first.end()
            assert tapping.tap is hub
            assert pool.submit(square, 3).result() == 9
            second.end()
    assert tapping.tap is None
    assert len(second.of(happenings.Opened)) >= 2
    assert {each.engine for each in second.of(happenings.Began)} == {
        each.engine for each in second.of(happenings.Opened)
    }
    assert second.of(happenings.Streamed)[0].kind in ("map", "SpinOff")
    assert first.runs() >= 15
    assert 6 <= second.runs() <= 7


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_only_who_leaves_is_told_what_runs(make_pool: MakePool, gate: Gate) -> None:
    first, second = Ear(), Ear()
    first.begin()
    pool = make_pool(1)
    runs = pool.submit(pass_gate, *gate.paths)
    gate.arrived()
    second.begin()
    second.end()
    gate.open()
    runs.result()
    first.end()
    assert outcomes(second) == [happenings.RUNNING]
    assert outcomes(first) == [happenings.OK]


def outcomes(ear: Ear) -> list[int]:
    """Of all runs that were told one by one."""
    rows = [row[7] for each in ear.of(happenings.Rows) for row in each.rows]
    return rows + [each.failed[0][1] if each.failed else happenings.OK for each in ear.of(happenings.Ran)]


def test_what_there_is_stands_before_what_happens_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. somebody joins; 2. before he is told what there is, a worker ends and a task of another one."""
    first, second = Ear(), Ear()
    first.begin()
    for wid in range(2):
        hub.push(happenings.Began(7, wid, 70 + wid, 1))
    gone, rows = happenings.Gone(7, 0, 5, ""), happenings.Rows(7, 1, [("f", 0, -1, 1, 0, 0, 0, 0, None)])

    class Known(dict[Any, Any]):
        def values(self) -> Any:
            found = super().values()
            hub.push(rows)
            snapshot = list(found)
            hub.push(gone)
            return snapshot

    monkeypatch.setattr(hub, "_known", Known(hub._known))
    second.begin()
    second.end()
    monkeypatch.undo()
    first.end()
    assert [each for each in second.heard if each.engine == 7] == [
        *(happenings.Began(7, wid, 70 + wid, 1) for wid in range(2)),
        *(rows, gone),
    ]


def test_streams_may_begin_while_somebody_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, late = Ear(), Ear(), Ear()
    first.begin()
    number = hub.watch(first, "map", "early")

    class Entry(tuple[Any, ...]):
        __slots__ = ()

        def __iter__(self) -> Any:
            hub.watch(late, "map", "late")
            return super().__iter__()

    monkeypatch.setitem(hub._streams, number, Entry(hub._streams[number]))
    second.begin()
    second.end()
    monkeypatch.undo()
    first.end()
    assert [each.name for each in second.of(happenings.Streamed)].count("early") == 1


def test_a_trace_and_others_hear_the_same() -> None:
    ear = Ear()
    ear.begin()
    with trace(None) as traced, Pool(1, backend="threads") as pool:
        assert list(pool.map(square, range(20))) == [x * x for x in range(20)]
    ear.end()
    assert len(traced.recording) == ear.runs() == 20


def test_one_that_raises_hears_no_more_and_the_others_do() -> None:
    bad, good = Ear(breaks=True), Ear()
    bad.begin()
    good.begin()
    with Pool(1, backend="threads") as pool:
        assert pool.submit(square, 2).result() == 4
        assert bad.broken.wait(30)
        assert pool.submit(square, 3).result() == 9
    good.end()
    bad.end()
    assert isinstance(bad.why, ZeroDivisionError)
    assert good.runs() == 2
    assert tapping.tap is None


def test_leaving_twice_is_leaving_once() -> None:
    ear, other = Ear(), Ear()
    ear.begin()
    other.begin()
    ear.end()
    ear.end()
    assert tapping.tap is hub
    other.end()
    assert tapping.tap is None


def test_a_forked_child_has_no_listeners() -> None:
    ear = Ear()
    ear.begin()
    try:
        pid = os.fork()
        if not pid:
            with Pool(1, backend="inline") as pool:
                right = pool.submit(square, 2).result() == 4 and tapping.tap is None and not hub._hearers
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        ear.end()


def test_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    ear = Ear()
    ear.every = 60.0
    ear.begin()
    for _ in range(5):
        hub.push(happenings.Rows(0, 0, [("f", 0, -1, 1, 0, 0, 0, 0, None)] * 3))
    hub.push(happenings.Opened(7, "threads", 1, 5, ("Pool", "")))  # what later runs refer to is never dropped
    ear.end()
    assert len(ear.heard) == 3
    assert ear.dropped == 9


def test_streams_are_not_kept_where_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    ear = Ear()
    ear.every = 60.0
    ear.begin()
    streams = [Ear() for _ in range(9)]
    for each in streams:
        hub.watch(each, "map", "f")
    ear.end()
    assert len(ear.heard) == 2


def test_numbers_of_what_is_dropped_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 0)
    monkeypatch.setattr(module, "MOST_DROPS", 3)
    ear = Ear()
    ear.every = 60.0
    ear.begin()
    for _ in range(100):
        hub.push(happenings.Rows(0, 0, [("f", 0, -1, 1, 0, 0, 0, 0, None)] * 3))
    assert len(ear._drops) <= 4
    assert ear.dropped == 300
    ear.end()
    assert ear.dropped == 300


def test_of_more_errors_than_may_wait_only_the_class_is_known() -> None:
    ear = Ear()
    ear.every, ear.most_errors = 60.0, 3
    ear.begin()
    row = ("f", 0, -1, 1, 0, 0, 0)
    error, text = KeyError("large"), ("WorkerDied", "it is gone", "")
    words: Any = (0, 0, 2, "f", 0, -1, 1, 0, (), (), None, 0)
    for _ in range(2):
        hub.push(happenings.Rows(0, 0, [(*row, happenings.ERROR, error), (*row, happenings.OK, None)]))
        hub.push(happenings.Ran(*words, [(0, happenings.ERROR, error), (1, happenings.DIED, text)]))
    hub.push(happenings.Rows(0, 0, [(*row, happenings.ERROR, error)]))
    ear.end()
    whys = [row[8] for each in ear.of(happenings.Rows) for row in each.rows]
    bare = ("KeyError", "", "")
    assert whys == [error, None, bare, None, bare]
    assert [[why for _, _, why in each.failed] for each in ear.of(happenings.Ran)] == [[error, text], [bare, text]]
    assert ear._errors == 0


def test_who_waits_for_one_that_ends_is_told_that_it_has() -> None:
    """1. it has taken all for the last time; 2. somebody wants to know when all is taken; 3. its thread ends."""
    asked, go = threading.Event(), threading.Event()

    class Heard(deque[Any]):
        def append(self, happening: Any) -> None:
            super().append(happening)
            asked.set()

    class Last(Ear):
        def tick(self) -> None:
            if self._over.is_set():
                self._heard = Heard()
                go.set()
                assert asked.wait(30)

    ear, found = Last(), list[bool]()
    ear.begin()
    ear._over.set()
    assert go.wait(30)
    waits = threading.Thread(target=lambda: found.append(ear.catch_up(None)), daemon=True)
    waits.start()
    waits.join(30)
    assert found == [False]
    assert ear.catch_up(None) is False
    ear.end()


def test_what_there_is_has_no_worker_without_its_engine() -> None:
    """However an engine comes and goes while it is looked: `list` of a dict is one step of the interpreter."""
    ear = Ear()
    ear.begin()
    hub.push(happenings.Opened(7, "threads", 2, 1, ("Pool", "")))
    for wid in range(2):
        hub.push(happenings.Began(7, wid, 70 + wid, 1))
    assert list(hub._known) == [(7, -1), (7, 0), (7, 1)]
    seen = list[list[Any]]()

    class Known(dict[Any, Any]):
        def pop(self, *words: Any) -> Any:
            seen.append(list(self))
            return super().pop(*words)

    hub._known = Known(hub._known)
    hub.push(happenings.Closed(7, 2))
    ear.end()
    assert seen == [[(7, -1), (7, 0), (7, 1)], [(7, -1), (7, 0)], [(7, -1)]]
    assert not hub._known
