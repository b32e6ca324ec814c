"""Rows that are bound in sheaves: whoever flushes, each is told once, and told when a flush has returned."""

import threading
from collections import deque
from typing import Any

from procession.backends.whose import MOST, Sheaf
from procession.happenings import Rows

ROW = ("f", 0, -1, 1, 0, 0, 0, 0, None)


class Told:
    """A tap."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def push(self, happening: Any) -> None:
        self.entered.set()
        assert self.go_on.wait(30)
        assert isinstance(happening, Rows)
        self.rows += happening.rows

    def watch(self, _stream: object, _kind: str, _name: str) -> int:
        return 0


def test_who_flushes_beside_another_waits_until_that_has_told() -> None:
    tap = Told()
    sheaf, known = Sheaf(tap, 0, 0), []
    sheaf.add(ROW)
    tap.go_on.clear()

    def second() -> None:
        sheaf.flush()
        known.append(len(tap.rows))

    threads = [threading.Thread(target=sheaf.flush), threading.Thread(target=second)]
    threads[0].start()
    assert tap.entered.wait(30)
    threads[1].start()
    threads[1].join(0.05)  # without a lock it has seen nothing by now
    tap.go_on.set()
    for each in threads:
        each.join(30)
    assert known == [1]


def test_a_signal_handler_may_flush_what_is_being_flushed() -> None:
    tap = Told()
    sheaf = Sheaf(tap, 0, 0)

    class Struck(deque[Any]):
        def __len__(self) -> int:
            found = super().__len__()
            if found == 3:
                self.append(ROW)
                sheaf.flush()
            return found

    sheaf._rows = Struck()
    for _ in range(3):
        sheaf._rows.append(ROW)
    sheaf.flush()
    assert tap.rows == [ROW] * 4


def test_many_flush_at_once() -> None:
    tap, over = Told(), threading.Event()
    sheaf = Sheaf(tap, 0, 0)

    def flush() -> None:
        while not over.is_set():
            sheaf.flush()

    threads = [threading.Thread(target=flush) for _ in range(3)]
    for each in threads:
        each.start()
    for _ in range(20_000):
        sheaf.add(ROW)
    over.set()
    for each in threads:
        each.join(30)
    sheaf.flush()
    assert len(tap.rows) == 20_000


def test_so_many_are_told_though_nobody_flushes() -> None:
    tap = Told()
    sheaf = Sheaf(tap, 0, 0)
    for _ in range(MOST - 1):
        sheaf.add(ROW)
    assert not tap.rows
    sheaf.add(ROW)
    assert len(tap.rows) == MOST
