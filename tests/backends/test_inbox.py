"""The driver's inbox: entries, its bell, and how it is closed. That nothing is lost in between is for the storms."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from procession import Pool
from procession.driver import inbox as inboxes
from procession.driver.inbox import Inbox
from tests.failures.kit import wait_until


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


def rung(inbox: Inbox) -> int:
    """How often the bell has rung since it was last asked."""
    try:
        return len(os.read(inbox.fileno(), 100))
    except BlockingIOError:
        return 0


def test_who_is_awake_is_not_rung_for(inbox: Inbox) -> None:
    inbox.put("a")
    assert rung(inbox) == 0
    inbox.asleep = True
    assert inbox.asleep
    inbox.put("b")
    assert rung(inbox) == 1
    inbox.asleep = False
    inbox.put("c")
    assert rung(inbox) == 0
    assert list(inbox.entries) == ["a", "b", "c"]
    inbox.ring()
    assert rung(inbox) == 1


def test_a_full_pipe_has_rung_already(inbox: Inbox) -> None:
    inbox.asleep = True
    for _ in range(100_000):
        inbox.put(1)
    inbox.ring()
    assert len(inbox.entries) == 100_000


def test_the_last_words_ring_in_any_case(inbox: Inbox) -> None:
    words: tuple[list, list] = ([], [])
    inbox.tell_last("end", words)
    for function, argument in zip(*words, strict=True):
        function(argument)
    assert list(inbox.entries) == ["end"]
    assert rung(inbox) == 1
    words[0].clear()


def test_closed_it_takes_entries_and_rings_no_more() -> None:
    inbox = Inbox()
    inbox.asleep = True
    fd = inbox.fileno()
    inbox.close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)
    inbox.put("late")
    inbox.ring()
    assert list(inbox.entries) == ["late"]
    inbox.close()


@pytest.mark.parametrize("which", [0, 1])
def test_it_is_closed_when_nobody_is_ringing_any_more(which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the bell in hand may write in the next instant, and the number may be another file's by then."""
    monkeypatch.setattr(inboxes, "PATIENCE", 60.0)
    inbox = Inbox()
    in_hand = [(*inbox._bell, *inbox._last_bell)[which]]
    fd = inbox.fileno()
    closer = threading.Thread(target=inbox.close)
    closer.start()
    wait_until(lambda: not inbox._bell, "it waits")
    in_hand[0](b"!")
    assert os.read(fd, 10) == b"!"
    in_hand.clear()
    closer.join()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)


def test_a_bell_that_is_never_let_go_of_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "PATIENCE", 0.01)
    inbox = Inbox()
    (bell,) = inbox._bell
    inbox.close()
    bell(b"!")
    assert os.read(inbox.fileno(), 10) == b"!"
    inboxes.forksafe.close(inbox._wake_fd)
    inboxes.forksafe.close(inbox._ring_fd)


def test_rules_that_are_announced_while_the_pool_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another thread, at any moment of it: a timeout, or a generator's worker, would be forgotten otherwise."""
    with Pool(1) as pool:
        engine: Any = pool._engine
        engine.load_kit()
        arrange = engine.kit.arrange

        def meanwhile(*parts: Any) -> None:
            engine.obey()
            arrange(*parts)

        monkeypatch.setattr(engine.kit, "arrange", meanwhile)
        assert pool.submit(abs, -1).result() == 1
        assert engine.inbox.ruled
