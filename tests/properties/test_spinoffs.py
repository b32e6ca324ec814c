"""SpinOffs with random words, handled at random, over random items, some of which kill their worker: each beside a
sequential program.

What an item comes to is the model's, unless it was cancelled or dropped, which its future says; equality of what comes
out, in its order, is the oracle. On every backend; in pure Python as well. How much was looked at is printed
(`pytest -s`); `-m soak` looks at much more.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from procession import Failure, Full, SpinOff, spinoff_room
from tests.failures.kit import PATIENCE

from .deeds import SIZE, Deed, do, key_of
from .model import Walk, deeds, look_at_notes, outcome, told

EXAMPLES = {"inline": 30, "threads": 25, "processes": 10}


class Spun:
    """One SpinOff, what was put into it, and what came out."""

    def __init__(self, data: st.DataObject, backend: str, folder: str) -> None:
        self.data, self.backend = data, backend
        draw = data.draw
        self.processes = backend == "processes"
        self.retries = draw(st.sampled_from([0, 0, 2]))
        self.keyed = draw(st.booleans())
        self.outlet = draw(st.sampled_from(["iterate", "iterate", "futures", "on_result"]))
        self.on_error = draw(st.sampled_from(["raise", "return", "return", "skip", "call"]))
        self.words: dict[str, Any] = {
            "workers": draw(st.sampled_from([1, 3])),
            "maxsize": draw(st.sampled_from([1, 3, 1000])),
            "buffer_bytes": draw(st.sampled_from([None, None, 1, 3 * SIZE + 200])),
            "overflow": draw(st.sampled_from(["block", "drop_oldest", "drop_newest", "raise"])),
            "ordered": draw(st.booleans()),
            "key": key_of if self.keyed else None,
            "sticky": self.keyed and draw(st.booleans()),
            "rate": draw(st.sampled_from([None, None, 3000.0])),
        }
        self.accepted: list[tuple[Deed, Future[Any]]] = []
        self.refused = 0  # of those that have a future
        self.asked: list[Future[Any]] = []  # cancelled while they ran on a thread, or as they ended: no further run
        self.out: list[int | str] = []
        self.failures: list[Failure] = []
        self.spin: SpinOff[Any] = SpinOff(
            partial(do, folder),
            backend=backend,  # type: ignore[arg-type]
            iterate=self.outlet != "futures",
            on_result=self.took if self.outlet == "on_result" else None,
            on_error=self.failures.append if self.on_error == "call" else self.on_error,
            **({"retries": self.retries} if self.retries else {}),
            **self.words,
        )

    # -- what may be done --------------------------------------------------------------------------------------------

    def took(self, value: Any) -> None:
        self.out.append(told(value))

    def put(self, deed: Deed) -> None:
        if self.keyed and deed.kind == "no key":
            with pytest.raises(KeyError):
                self.spin.put(deed)
            return
        for _ in range(100):
            try:
                future = self.spin.put(deed, timeout=PATIENCE)
            except Full:
                if self.words["overflow"] == "raise":
                    return
                assert self.words["overflow"] == "block"
                assert self.outlet == "iterate", "somebody takes, and it is full nevertheless"
                self.ready()
            else:
                self.accept(deed, future)
                return
        raise AssertionError("no room, however often something is taken")

    def accept(self, deed: Deed, future: Future[Any]) -> None:
        if future.sink is None:  # type: ignore[attr-defined]  # it was never taken in
            self.refused += 1
            assert future.cancelled()
        else:
            self.accepted.append((deed, future))

    def put_many(self, items: list[Deed]) -> None:
        """Where it does not raise in the middle."""
        if self.words["overflow"] in ("block", "raise") or any(deed.kind == "no key" for deed in items):
            for deed in items:
                self.put(deed)
        else:
            for deed, future in zip(items, self.spin.put_many(items), strict=True):
                self.accept(deed, future)

    def ready(self) -> None:
        """What is there; also what a failure is raised for."""
        if self.outlet != "iterate":
            return
        while True:
            try:
                got = self.spin.ready()
            except Exception as error:
                self.took(error)
                continue
            for value in got:
                self.took(value)
            if not got:
                break

    def cancel(self, at: int) -> None:
        if not self.accepted:
            return
        _, future = self.accepted[-1 - at % len(self.accepted)]
        done = future.done()
        if future.cancel():
            assert future.cancelled()
        else:
            assert future.done() or not self.processes, "what runs can be cancelled"
            if not done:
                self.asked.append(future)

    def flush(self) -> None:
        assert self.spin.flush(PATIENCE)
        assert all(future.done() for _, future in self.accepted)

    def look(self) -> None:
        """What must hold meanwhile."""
        stats = self.spin.stats()
        assert stats.unfinished + stats.waiting <= self.words["maxsize"], "more is in than the window lets in"
        left = stats.taken + stats.dropped - self.spin._core.refused_new + stats.cancelled
        assert stats.put == stats.unfinished + stats.waiting + left

    def finish(self) -> None:
        """To the end, in one of several ways."""
        way = self.data.draw(st.sampled_from(["iterate", "async", "with", "cancel"]))
        if way == "with":
            with self.spin:
                pass
        elif way == "cancel":
            left = [future for _, future in self.accepted if not future.done()]
            self.spin.cancel()
            self.asked += [future for future in left if not future.cancelled()]
        else:
            self.spin.close()
        if self.outlet == "iterate" and way == "async":
            asyncio.run(self.take_async())
        elif self.outlet == "iterate":
            while True:
                try:
                    self.took(next(self.spin))
                except StopIteration:
                    break
                except Exception as error:
                    self.took(error)
        assert self.spin.join(PATIENCE)
        assert all(future.done() for _, future in self.accepted)

    async def take_async(self) -> None:
        while True:
            try:
                self.took(await anext(self.spin))  # type: ignore[call-overload]
            except StopAsyncIteration:
                break
            except Exception as error:
                self.took(error)

    # -- the oracle --------------------------------------------------------------------------------------------------

    def expected(self) -> list[tuple[Deed, int | str]]:
        """The sequential program: what becomes of each that was not cancelled."""
        return [(deed, self.becomes(deed, future)) for deed, future in self.accepted if not future.cancelled()]

    def becomes(self, deed: Deed, future: Future[Any]) -> int | str:
        if future in self.asked and told(future.exception() or future.result()) != deed.number:
            return outcome(deed, self.processes, 0, self.keyed)
        return outcome(deed, self.processes, self.retries, self.keyed)

    def compare(self) -> None:
        expected = self.expected()
        for deed, future in self.accepted:
            if not future.cancelled():
                assert told(future.exception() or future.result()) == self.becomes(deed, future)
        stats = self.spin.stats()
        assert (stats.unfinished, stats.waiting) == (0, 0)
        handed = self.outlet == "iterate" or self.on_error == "return"
        shown = self.on_error == "return" or (self.on_error == "raise" and self.outlet == "iterate")
        outputs = [each for _, each in expected if isinstance(each, int) or shown] if self.outlet != "futures" else []
        lost = stats.dropped - self.refused if self.words["overflow"] == "drop_oldest" else 0
        self.compare_outputs(outputs, lost, handed)
        bad = [each for _, each in expected if isinstance(each, str)]
        if self.on_error == "call" and not lost:
            told_of = [told(failure.error) for failure in self.failures]
            assert (
                told_of == bad if self.words["ordered"] and self.outlet != "futures" else sorted(told_of) == sorted(bad)
            )
            item = {future.index: deed for deed, future in self.accepted}  # type: ignore[attr-defined]
            assert all(failure.args == (item[failure.index],) for failure in self.failures)
        assert stats.failed == len(bad)

    def compare_outputs(self, outputs: list[int | str], lost: int, handed: bool) -> None:
        """All, in order; `lost` results at most were dropped by those that came after them."""
        if self.words["ordered"]:
            rest = iter(outputs)
            assert all(any(each == other for other in rest) for each in self.out), "out of order, or from nowhere"
        assert not Counter(self.out) - Counter(outputs), "twice, or from nowhere"
        assert len(outputs) - len(self.out) <= lost, "a result is lost"
        if self.keyed and self.outlet != "futures":
            key = {deed.number: deed.key for deed, _ in self.accepted}
            for mine in set(key.values()):
                numbers = [each for each in self.out if isinstance(each, int) and key[each] == mine]
                assert numbers == sorted(numbers), "not in the order of its key"


def check(data: st.DataObject, counts: Counter[str], backend: str) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        spun = Spun(data, backend, folder)
        number = 0
        try:
            for _ in range(data.draw(st.integers(1, 10))):
                action = data.draw(st.sampled_from(["put", "put", "put_many", "put_many", "ready", "cancel", "flush"]))
                counts[action] += 1
                if action.startswith("put"):
                    items = data.draw(deeds(spun.processes, 12, number))
                    number += len(items)
                    if action == "put_many":
                        spun.put_many(items)
                    else:
                        for deed in items:
                            spun.put(deed)
                            spun.look()
                elif action == "cancel":
                    for at in data.draw(st.lists(st.integers(0, 100), max_size=5)):
                        spun.cancel(at)
                elif action == "ready":
                    spun.ready()
                elif action == "flush":
                    spun.flush()
                spun.look()
            spun.finish()
        finally:
            spun.spin.cancel()
            spun.spin.join()
        spun.compare()
        all_deeds = [deed for deed, _ in spun.accepted]
        counts["items"] += len(all_deeds)
        counts["cancelled"] += sum(future.cancelled() for _, future in spun.accepted)
        in_order = spun.keyed or (
            spun.words["workers"] == 1 and not spun.retries
        )  # a further run has its place by a key
        if not spun.keyed:
            all_deeds = [deed._replace(key=0) for deed in all_deeds]
        killed = [deed.number for deed, future in spun.accepted if future.cancelled()]
        counts["runs"] += look_at_notes(Path(folder), all_deeds, 1 + spun.retries, in_order, killed)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A put that only its own thread could help does not wait for that."""
    monkeypatch.setattr(spinoff_room, "SELF_WAIT", 0.001)


@pytest.mark.parametrize("backend", EXAMPLES)
def test_spin_offs(backend: str) -> None:
    Walk()(backend, EXAMPLES[backend], lambda data, counts: check(data, counts, backend))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("backend", EXAMPLES)
def test_many_spin_offs(backend: str) -> None:
    Walk()(backend, 80 * EXAMPLES[backend], lambda data, counts: check(data, counts, backend))
