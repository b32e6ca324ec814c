"""Batches, cancels, drops, deaths and takers together, in any order: a SpinOff on an engine at command, and no threads.

Time is a number, and what the gatekeeper's thread would do is done after each step. What must hold is said plainly.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession import batching, gatekeeper, spinoff, spinoff_ending
from procession.backends import tasks
from procession.core.rules import SECOND
from procession.errors import Full, PoisonTask, WorkerDied
from procession.spinoff import SpinOff
from procession.types import Raised
from tests.flow.fakes import CommandEngine


class Time:
    def __init__(self) -> None:
        self.now = 1000 * SECOND

    def __call__(self) -> int:
        return self.now


class World:
    """One SpinOff and all that is known of its items."""

    def __init__(self, time: Time, **words: Any) -> None:
        self.time = time
        self.words = words
        self.spin: SpinOff[int] = SpinOff(list, on_error="return", **words)
        self.core = self.spin._core
        self.gate: Any = self.core.gate
        self.engine: Any = self.core.engine
        self.futures: list[Future[int]] = []
        self.numbers: dict[int, int] = {}  # of what was taken in, by its place
        self.got: list[Any] = []
        self.closed = False
        self.cancels = 0

    # -- events

    def put(self) -> None:
        if self.closed:
            return
        if self.core.flow.room <= 0 and self.words["overflow"] == "raise":
            with pytest.raises(Full):
                self.spin.put(0)
            return
        number = len(self.futures)
        future: Any = self.spin.put(number)
        self.futures.append(future)
        if future.sink is not None:  # it was taken in
            self.numbers[future.index] = number

    def cancel(self, which: int) -> None:
        if self.futures:
            future = self.futures[which % len(self.futures)]
            waits = not future.done() and not future.running() and not future.tries  # type: ignore[attr-defined]
            before = future.cancelled()
            cancelled = future.cancel()
            self.cancels += cancelled and not before
            assert cancelled or not waits, "what has not begun can be cancelled"

    def begin(self, which: int) -> None:
        """A worker begins a call that was posted."""
        waiting = self.calls()
        if waiting:
            waiting[which % len(waiting)].mark_running()

    def end(self, which: int, how: str) -> None:
        waiting = self.calls()
        if not waiting:
            return
        call = waiting[which % len(waiting)]
        call.mark_running()
        self.engine.waiting.remove((call, None))
        items = list(call.body[0][0])
        outcome: Any = items
        if how == "raise":
            outcome = Raised(ValueError("all of them"))
        elif how == "few":
            outcome = items[1:]
        elif how == "die":
            kind = PoisonTask if call.tries else WorkerDied
            outcome = Raised(kind("list", -9))
        tasks.resolve([call], [outcome])

    def tick(self) -> None:
        self.time.now += SECOND

    def take(self) -> None:
        self.got += self.spin.ready()

    def flush(self) -> None:
        self.spin.flush(0)

    def close(self) -> None:
        self.spin.close()
        self.closed = True

    # -- what follows

    def calls(self) -> list[Any]:
        """What was posted, and has no outcome."""
        self.engine.receive()
        return [call for call, _ in self.engine.waiting]

    def settle(self) -> None:
        self.gate._step()
        self.check()

    def check(self) -> None:
        self.core.flow.check()
        batch, workers = self.words["batch"], self.words["workers"]
        calls = self.calls()
        assert len(calls) <= workers
        assert len(self.gate._calls) == len(calls)
        places: Counter[int] = Counter()
        for call in calls:
            assert 1 <= len(call.items) <= batch
            assert all(item.call is call and not item.done() for item in call.items)
            together = [item.index for item in call.items]
            assert self.words["key"] is not None or together == sorted(together)
            keys = [self.key(item.index) for item in call.items]
            assert self.words["key"] is None or len(set(keys)) == len(keys)
            places.update(item.index for item in call.items)
        line = [item.index for item in self.core.flow.starts]
        places.update(line)
        places.update(item.index for _, _, item in self.gate._later if not item.done())
        held = [index for lane in self.core.flow.lanes.values() for index, _ in lane.waiting if index in self.core.open]
        places.update(held)
        assert places == Counter(list(self.core.open)), "each open item is in one place"
        bytes_bound = self.words["buffer_bytes"] is not None
        assert self.words["key"] is not None or line == sorted(line), "who was taken back is first again"
        if line and not calls and not self.gate._later and not bytes_bound:
            assert self.core.flow.room > 0, "nobody can put more, and it waits"
        if line and len(calls) < workers and not self.gate._later and not bytes_bound:
            assert len(line) < batch, "a full batch waits for nothing"
            assert not self.closed
            wait = self.words["max_wait"]
            assert wait is None or self.time.now < self.core.flow.starts[0].since + wait * SECOND

    def key(self, index: int) -> Any:
        return None if self.words["key"] is None else self.words["key"](self.numbers[index])

    def finish(self) -> None:
        self.close()
        self.settle()
        for _ in range(10_000):
            if not self.core.open:
                break
            self.end(0, "well")
            self.tick()
            self.take()  # which makes room for bytes
            self.settle()
        assert not self.core.open
        assert self.core.retired
        assert self.gate.over
        self.take()
        assert self.spin.ready() == []
        assert all(future.done() for future in self.futures)
        dropped = self.spin.stats().dropped
        assert self.spin.stats().cancelled == self.cancels, "nobody is cancelled for another's sake"
        kept = [future for future in self.futures if not future.cancelled()]
        assert len(self.got) <= len(kept)
        assert dropped or len(self.got) == len(kept)
        numbers = [x for x in self.got if isinstance(x, int)]
        if self.words["ordered"]:
            assert numbers == sorted(numbers)
        for future in kept:
            assert future.exception() is not None or future.result() in range(len(self.futures))
        for number, future in enumerate(self.futures):
            if not future.cancelled() and future.exception() is None:
                assert future.result() == number, "each has its own result"


EVENTS = st.one_of(
    st.just(("put",)),
    st.just(("put",)),
    st.just(("put",)),
    st.tuples(st.just("cancel"), st.integers(0, 40)),
    st.tuples(st.just("begin"), st.integers(0, 3)),
    st.tuples(st.just("end"), st.integers(0, 3), st.sampled_from(["well", "well", "raise", "few", "die", "die"])),
    st.just(("tick",)),
    st.just(("take",)),
    st.just(("flush",)),
)
WORDS = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 4),
        "max_wait": st.sampled_from([None, 1, 3]),
        "workers": st.integers(1, 2),
        "maxsize": st.sampled_from([0, 3, 7]),
        "overflow": st.sampled_from(["raise", "drop_oldest", "drop_newest"]),
        "ordered": st.booleans(),
        "key": st.sampled_from([None, lambda x: x % 2, lambda x: x % 5]),
        "retries": st.integers(0, 2),
        "buffer_bytes": st.sampled_from([None, None, 100]),
    }
)


def test_a_cancel_that_comes_when_its_call_was_just_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was in the hands of the engine when that was asked, and waits again when the answer is given."""
    monkeypatch.setattr(spinoff, "_make_engine", lambda backend, workers, config: CommandEngine(workers, config))
    monkeypatch.setattr(gatekeeper.Gatekeeper, "begin", lambda self: None)
    monkeypatch.setattr(spinoff_ending, "at_exit", lambda core: None)
    spin: SpinOff[int] = SpinOff(list, batch=2)
    futures = spin.put_many(range(2))
    keeper: Any = spin._core.gate
    keeper._step()
    assert keeper._calls
    asked = keeper.cancel_leased

    def later(item: Any, kill: bool) -> bool:
        monkeypatch.undo()
        assert futures[0].cancel()
        keeper._step()
        return bool(asked(item, kill))

    monkeypatch.setattr(keeper, "cancel_leased", later)
    assert futures[1].cancel()
    assert futures[1].cancelled()
    spin.close()
    keeper._step()
    assert spin._core.retired


@settings(max_examples=300, deadline=None)
@given(words=WORDS, story=st.lists(EVENTS, min_size=20, max_size=60))
def test_any_story(words: dict[str, Any], story: list[tuple[Any, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spinoff, "_make_engine", lambda backend, workers, config: CommandEngine(workers, config))
        made = Time()
        patch.setattr(gatekeeper.Gatekeeper, "begin", lambda self: None)
        patch.setattr(gatekeeper, "monotonic_ns", made)
        patch.setattr(batching, "monotonic_ns", made)
        patch.setattr(spinoff_ending, "at_exit", lambda core: None)  # a test that fails holds up nothing
        patch.setattr(CommandEngine, "takes_work", True, raising=False)
        world = World(made, **words)
        for name, *args in story:
            getattr(world, name)(*args)
            world.settle()
        world.finish()
