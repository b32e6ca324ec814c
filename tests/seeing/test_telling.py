"""seeing.telling: from what engines tell to the events of an observer, without threads."""

from array import array
from types import SimpleNamespace
from typing import Any

import pytest

from procession import events, happenings
from procession.events import PoolClosed, PoolOpened, TaskEnded, WorkerEnded, WorkerStarted
from procession.seeing import telling
from procession.seeing.telling import Telling

OFFSET = 1_000
POOL = events.PoolInfo(4, "stage", "decode", "processes", 3)


def opened(engine: int = 4) -> happenings.Opened:
    return happenings.Opened(engine, "processes", 3, 50, ("stage", "decode"))


def told(*happened: tuple[Any, ...], telling: Telling | None = None) -> list[events.Event]:
    fold = Telling(OFFSET) if telling is None else telling
    return [event for each in happened for event in fold.events(each)]


def times(**columns: list[int]) -> Any:
    """What a sheet has; 7 of each where nothing is said."""
    count = len(next(iter(columns.values())))
    found = {name: array("q", columns.get(name, [7] * count)) for name in ("started", "ended", "load", "dump", "out")}
    return SimpleNamespace(**found)


def ran(**other: Any) -> happenings.Ran:
    words: dict[str, Any] = {
        "engine": 4,
        "wid": 1,
        "items": 2,
        "function": "f",
        "stream": 0,
        "place": -1,
        "attempt": 1,
        "queued": 100,
        "sent": [(2, 200)],
        "notes": (),
        "times": times(started=[300, 400], ended=[350, 460]),
        "done": 500,
        "failed": (),
    }
    return happenings.Ran(**{**words, **other})


def test_a_pool_and_its_workers_come_and_go() -> None:
    began = happenings.Began(4, 0, 77, 60)
    got = told(opened(), opened(), began, began, happenings.Gone(4, 0, 70, "signal 9"), happenings.Closed(4, 80))
    assert got == [
        PoolOpened((50 + OFFSET) / 1e9, POOL),
        WorkerStarted((60 + OFFSET) / 1e9, POOL, 0, 77),
        WorkerEnded((70 + OFFSET) / 1e9, POOL, 0, 77, "signal 9"),
        PoolClosed((80 + OFFSET) / 1e9, POOL),
    ]


def test_a_worker_of_which_the_number_is_not_known_yet_is_told_once() -> None:
    unknown, known = happenings.Began(4, 0, 0, 60), happenings.Began(4, 0, 77, 60)
    got = told(opened(), unknown, known, happenings.Gone(4, 0, 70, ""))[1:]
    assert [(type(each), each.pid) for each in got] == [(WorkerStarted, 77), (WorkerEnded, 77)]  # type: ignore[union-attr]
    got = told(opened(), unknown, happenings.Gone(4, 0, 70, ""))[1:]
    assert [(type(each), each.pid) for each in got] == [(WorkerStarted, 0), (WorkerEnded, 0)]  # type: ignore[union-attr]


def test_a_worker_that_never_was_ready_is_told_if_it_was_lost() -> None:
    assert told(opened(), happenings.Gone(4, 0, 70, ""))[1:] == []
    assert told(opened(), happenings.Gone(4, 0, 70, "signal 9"))[1:] == [
        WorkerEnded((70 + OFFSET) / 1e9, POOL, 0, 0, "signal 9")
    ]


def test_workers_that_are_left_end_with_their_pool() -> None:
    got = told(opened(), opened(5), *[happenings.Began(e, w, 70 + w, 60) for e in (4, 5) for w in (0, 1)])
    assert len(got) == 6
    fold = Telling(OFFSET)
    told(opened(), opened(5), *[happenings.Began(e, w, 70 + w, 60) for e in (4, 5) for w in (0, 1)], telling=fold)
    got = told(happenings.Closed(4, 80), telling=fold)
    assert [type(each) for each in got] == [WorkerEnded, WorkerEnded, PoolClosed]
    assert {each.pool.number for each in got} == {4}  # type: ignore[union-attr]


def test_a_run_has_all_that_is_known_of_it() -> None:
    stream = happenings.Streamed(9, "map", "f", 4)
    note = happenings.Note(30, 1_000, 0)
    first, second = told(opened(), stream, ran(stream=9, place=10, notes=(note, None)))[1:]
    assert first == TaskEnded(
        time=(500 + OFFSET) / 1e9,
        pool=POOL,
        worker=1,
        function="f",
        stream=events.StreamInfo(9, "map", "f"),
        index=10,
        attempt=1,
        outcome="ok",
        error=None,
        queued_ns=100 + OFFSET,
        sent_ns=200 + OFFSET,
        started_ns=300 + OFFSET,
        ended_ns=350 + OFFSET,
        pickle_ns=30,
        load_ns=7,
        dump_ns=7,
        bytes_in=1_000,
        bytes_out=7,
    )
    assert isinstance(second, TaskEnded)
    assert (second.index, second.pickle_ns, second.bytes_in) == (11, None, None)
    assert (second.seconds, second.waited) == (60 / 1e9, 300 / 1e9)
    assert second.ok


def test_what_is_said_of_each_is_of_each() -> None:
    got = told(
        opened(), ran(function=["f", "g"], stream=[0, 5], place=[-1, 6], attempt=[1, 2], queued=[100, 101], sent=[])
    )
    assert [(e.function, e.index, e.attempt, e.queued_ns, e.sent_ns) for e in got if isinstance(e, TaskEnded)] == [
        ("f", None, 1, 100 + OFFSET, None),
        ("g", 6, 2, 101 + OFFSET, None),
    ]


def test_failures_say_why() -> None:
    error = KeyError("there")
    failed = ((0, happenings.ERROR, error), (1, happenings.DIED, ("WorkerDied", "it was killed", "the stack")))
    first, second = told(opened(), ran(failed=failed))[1:]
    assert isinstance(first, TaskEnded)
    assert isinstance(second, TaskEnded)
    assert first.error is not None
    assert (first.outcome, first.error.kind, first.error.exception) == ("error", "KeyError", error)
    assert first.error.traceback.rstrip().endswith("KeyError: 'there'")
    assert (second.outcome, second.error) == (
        "died",
        events.TaskError("WorkerDied", "it was killed", "the stack", None),
    )
    assert not first.ok


def test_what_runs_still_is_no_event() -> None:
    got = told(opened(), ran(failed=((1, happenings.RUNNING, None),)))
    assert [type(each) for each in got] == [PoolOpened, TaskEnded]
    row = ("f", 0, -1, 1, 10, 20, 30)
    rows = happenings.Rows(4, 1, [(*row, happenings.RUNNING, None), (*row, happenings.OK, None)])
    assert [type(each) for each in told(opened(), rows)] == [PoolOpened, TaskEnded]


def test_what_was_over_before_anybody_observed_is_no_event() -> None:
    assert told(ran(times=times(started=[0, 0], ended=[0, 0]), queued=0)) == []
    assert len(told(ran(times=None))) == 2


def test_rows_of_threads_and_items_that_never_ran() -> None:
    rows = happenings.Rows(4, 2, [("f", 0, -1, 3, 10, 20, 30, happenings.OK, None)])
    missed = happenings.Missed(4, 2, "g", 0, 5, 1, 11, 40, happenings.CANCELLED, None)
    one, two, three = told(opened(), rows, missed)[1:]
    assert isinstance(one, TaskEnded)
    assert (one.worker, one.attempt, one.time, one.seconds) == (2, 3, (30 + OFFSET) / 1e9, 10 / 1e9)
    for at, each in enumerate((two, three)):
        assert isinstance(each, TaskEnded)
        assert (each.worker, each.outcome, each.index, each.seconds, each.waited) == (
            None,
            "cancelled",
            5 + at,
            None,
            None,
        )


def test_of_a_pool_that_nobody_has_told_of_there_are_events() -> None:
    (event,) = told(happenings.Rows(8, 0, [("f", 0, -1, 1, 0, 20, 30, happenings.OK, None)]))
    assert isinstance(event, TaskEnded)
    assert event.pool == telling.UNKNOWN
    assert told(happenings.Closed(8, 1)) == []


def test_what_is_new_to_it_is_passed_over() -> None:
    class New(tuple[int, ...]):
        __slots__ = ()

    assert told(New((1,))) == []


def test_streams_that_have_ended_are_forgotten_but_for_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "MOST_STREAMS", 3)
    fold = Telling(OFFSET)
    for number in range(1, 21):
        told(happenings.Streamed(number, "map", "f", 4), telling=fold)
        fold.forget(lambda: [2])
    known = [
        number
        for number in range(1, 21)
        for event in told(ran(items=1, times=times(started=[1], ended=[2]), stream=number, place=0), telling=fold)
        if isinstance(event, TaskEnded) and event.stream is not None
    ]
    assert known[0] == 2
    assert known[-3:] == [18, 19, 20]
    assert 4 <= len(known) <= 7
