"""Keys that keep to one thread: what the core hears of an outcome, and when."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from inspect import currentframe
from typing import Any

from procession import Pool, SpinOff
from procession.core import events
from procession.core.commands import Command
from procession.driver.threads import ThreadEngine

PATIENCE = 60.0


def key_of(item: tuple[str, int]) -> str:
    return item[0]


def where(item: tuple[str, int]) -> tuple[str, int]:
    return item[0], threading.get_ident()


class Watched(deque[Any]):
    """An inbox; once, when `read` looks how much is in it, something happens first."""

    once: Callable[[], None] | None = None

    def __len__(self) -> int:
        frame = currentframe()
        assert frame is not None
        assert frame.f_back is not None
        if self.once is not None and frame.f_back.f_code.co_name == "read":
            once, self.once = self.once, None
            once()
        return super().__len__()


def test_the_next_of_a_key_finds_its_home_before_the_core_has_heard_of_the_last() -> None:
    """A worker answers a call, which puts the next of its key into the inbox, and tells the core when it suits."""

    def finish() -> None:
        go.set()
        deadline = time.monotonic() + PATIENCE
        while deque.__len__(inbox) < 2:  # what is about to be read, and the next of the key
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def run(item: tuple[str, int]) -> tuple[str, int]:
        if item == ("a", 0):
            runs.set()
            assert go.wait(PATIENCE)
        return where(item)

    runs, go, looked, inbox = threading.Event(), threading.Event(), threading.Event(), Watched()
    with SpinOff(run, workers=2, backend="threads", key=key_of, sticky=True) as spin:
        engine = spin._core.engine
        assert isinstance(engine, ThreadEngine)
        engine.inbox = inbox
        engine.targets[0] = inbox.append
        spin.put(("a", 0))
        assert runs.wait(PATIENCE)
        spin.put(("b", 0)).result(PATIENCE)  # the other worker is there, and idles from now on
        spin.put(("a", 1))
        inbox.once = finish
        engine._request((None, looked.set))
        assert looked.wait(PATIENCE)
    assert inbox.once is None
    assert len({thread for key, thread in spin if key == "a"}) == 1


def test_the_core_keeps_its_invariants_under_load() -> None:
    with Pool(3, backend="threads") as pool:
        core = pool._engine.core
        step = core.step

        def checked(event: events.Event) -> list[Command]:
            found: list[Command] = step(event)
            core.check()
            return found

        core.step = checked
        items = [(f"{n % 17}", n) for n in range(3000)]
        spread: Counter[int] = Counter()
        for ordered in (True, False):
            found = set(pool.imap(where, items, key=key_of, sticky=True, ordered=ordered))
            assert len(found) == 17, "each key has been at one place"
            spread.update(thread for _, thread in found)
            list(pool.map(where, items))
