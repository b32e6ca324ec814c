"""A generator in turns: step by step, and every interleaving of turns, values, takers, closes, deaths and drops."""

from __future__ import annotations

import pickle
from collections import deque
from typing import Any

import pytest

from procession.core.flow import NOTHING
from procession.core.turns import CUT, ENDED, USED, Kind, Turn, Turns


class Boom(Exception):
    """What a generator raises."""


class Died(Exception):
    """What becomes of a turn whose worker is gone."""


class Cancelled(Exception):
    """What becomes of a turn that was cancelled by others."""


# ----------------------------------------------------------------------------------------------------------- one by one


def begun(*came_to: int, first: int = 2, most: int = 8) -> Turns:
    """After so many turns, each of which has used its credit, and of which all was taken at once."""
    turns = Turns(first, most)
    for each in came_to:
        turn = turns.next_turn()
        assert turn is not None
        for place in range(turns.arrived, turn.until):
            assert turns.arrive(place, place)
        while turns.take() is not NOTHING:
            pass
        turns.answered(each)
    return turns


def test_a_first_turn() -> None:
    turns = Turns()
    assert turns.next_turn() == Turn(Kind.BEGIN, 0, 2)
    assert turns.next_turn() is None, "one is out"
    assert turns.take() is NOTHING
    assert not turns.ended
    assert turns.arrive(0, "a")
    assert turns.take() == "a"
    turns.answered(ENDED)
    assert turns.ended
    assert turns.next_turn() is None


def test_the_window_doubles_while_takers_are_faster() -> None:
    assert [begun(*[USED] * n).window for n in range(5)] == [2, 4, 8, 8, 8]
    assert begun(CUT, CUT).window == 2
    slow = Turns(2, 8)
    for _ in range(3):
        turn = slow.next_turn()
        assert turn is not None
        for place in range(slow.arrived, turn.until):
            slow.arrive(place, place)
        slow.answered(USED)
        while len(slow.ready) > 1:
            slow.take()
    assert slow.window == 2


def test_a_turn_is_wanted_when_half_of_the_window_is_free() -> None:
    turns = begun(USED, USED, USED)
    assert turns.next_turn() == Turn(Kind.GO_ON, 14, 22)
    for place in range(14, 22):
        turns.arrive(place, place)
    turns.answered(USED)
    for _ in range(3):
        turns.take()
        assert not turns.due
    turns.take()
    assert turns.next_turn() == Turn(Kind.GO_ON, 22, 26)


def test_one_that_was_cut_goes_on_as_soon_as_there_is_room() -> None:
    turns = begun(USED, USED, USED)
    turns.next_turn()
    for place in range(14, 21):
        turns.arrive(place, place)
    turns.answered(CUT)
    assert turns.next_turn() == Turn(Kind.GO_ON, 21, 22)


def test_what_fits_makes_it_narrower() -> None:
    turns = begun(USED, USED)
    turns.limit = 3
    assert turns.next_turn() == Turn(Kind.GO_ON, 6, 9)
    turns.limit = 0
    assert turns.size == 1


def test_a_further_run_keeps_its_credit_and_what_has_come() -> None:
    turns = Turns(4)
    turns.next_turn()
    turns.arrive(0, 0)
    turns.arrive(1, 1)
    assert turns.again() == Turn(Kind.BEGIN, 2, 4)
    assert not turns.arrive(0, 0)
    assert not turns.arrive(1, 1)
    assert turns.arrive(2, 2)
    assert [turns.take() for _ in range(3)] == [0, 1, 2]


def test_what_was_taken_can_be_put_back() -> None:
    turns = Turns(2)
    turns.next_turn()
    turns.arrive(0, "a")
    turns.arrive(1, "b")
    turns.untake(turns.take())
    assert [turns.take(), turns.take()] == ["a", "b"]
    turns.check()


def test_closed_between_turns_it_is_ended_by_one_more() -> None:
    turns = begun(USED)
    assert not turns.close()
    assert turns.next_turn() == Turn(Kind.END, 2, 2)
    assert turns.ended
    turns.answered(ENDED)
    assert turns.over
    assert turns.next_turn() is None


# ------------------------------------------------------------------------------------------------- every order of it


class World:
    """One generator of `length` values on a worker that may die, and a taker."""

    def __init__(
        self, length: int, *, fails: bool, first: int, most: int, retries: int, accidents: tuple[str, ...]
    ) -> None:
        self.turns = Turns(first, most)
        self.length = length
        self.fails = fails
        self.retries = retries
        self.accidents = accidents
        self.play: int | None = None  # the place at which the generator is, where it lives
        self.skip = 0
        self.at: Turn | None = None  # what the worker does, or will
        self.posted = False  # and it has not begun
        self.news: deque[tuple[str, Any]] = deque()  # what was published and not heard
        self.got: list[int] = []
        self.error: BaseException | None = None
        self.finished = False  # the taker has met the end
        self.lost = False  # with its worker, between two turns
        self.published = 0

    def key(self) -> Any:
        turns = self.turns
        state = tuple(
            [getattr(turns, name) for name in Turns.__slots__ if name not in ("ready", "error", "turns", "limit")]
        )
        return (
            state,
            tuple(turns.ready),
            type(turns.error),
            (self.retries, self.accidents, self.play, self.skip, str(self.at), self.posted, self.lost),
            tuple([(kind, str(value)) for kind, value in self.news]),
            (len(self.got), type(self.error), self.finished, self.published),
        )

    def actions(self) -> list[str]:
        found = [f"!{each}" for each in set(self.accidents)]
        if self.turns.due:
            found.append("post")
        if self.at is not None:
            found += ["step", "cut"] if not self.posted else ["step"]
        if self.news:
            found.append("hear")
        if not self.finished:
            found.append("take")
        return found

    def act(self, action: str) -> bool:
        """False: nothing has changed."""
        turns = self.turns
        if action.startswith("!"):
            return self.accident(action[1:])
        if action == "post":
            assert self.at is None
            assert not self.news or turns.closed, "a turn beside another"
            self.at, self.posted = turns.next_turn(), True
            if self.lost:
                self.fail(Died())
        elif action in ("step", "cut"):
            return self.step(action == "cut")
        elif action == "hear":
            self.hear(*self.news.popleft())
        elif action == "take":
            value = turns.take()
            if value is not NOTHING:
                self.got.append(value)
            elif turns.ended:
                self.finished, self.error = True, turns.take_error()
        return True

    def step(self, cut: bool) -> bool:
        """One `next` in the worker; or it is cut, where it may be."""
        turn = self.at
        assert turn is not None
        if self.posted:
            self.posted = False
            if turn.kind is Kind.BEGIN:
                self.play, self.skip = 0, turn.first
                return True
        if turn.kind is Kind.END:
            self.play = None
            return self.come_to(ENDED)
        assert self.play is not None, "it goes on, and there is nothing"
        if self.play >= turn.until:
            return self.come_to(USED)
        if cut:
            return self.come_to(CUT)
        if self.play == self.length:
            self.play = None
            if self.fails:
                self.at = None
                self.news.append(("failed", Boom()))
                return True
            return self.come_to(ENDED)
        if self.play >= self.skip:
            self.news.append(("value", self.play))
        self.play += 1
        return True

    def come_to(self, what: int) -> bool:
        self.at = None
        self.news.append(("answered", what))
        return True

    def hear(self, kind: str, value: Any) -> None:
        turns = self.turns
        if kind == "value":
            turns.arrive(value, value)
        elif kind == "spoilt":
            turns.spoil(value, Boom())
        elif kind == "answered":
            turns.answered(value)
        elif kind == "failed":
            self.fail(value)

    def fail(self, error: BaseException) -> None:
        """As the core: a further run, or that is the end."""
        self.lost = False
        wanted = self.retries and not self.turns.closed and not (self.at is not None and self.at.kind is Kind.END)
        if wanted and not self.turns.spoiled:
            self.retries -= 1
            self.at, self.posted = self.turns.again(), True
        else:
            self.at = None
            self.turns.failed(error)

    def accident(self, what: str) -> bool:
        turns = self.turns
        left = list(self.accidents)
        left.remove(what)
        if what == "close":
            turns.close()
        elif what == "die":
            while self.news:
                self.hear(*self.news.popleft())
            alive = self.play is not None
            self.play = None
            if turns.out and self.at is not None and not self.posted:
                self.fail(Died())
            elif not alive:
                return False
            elif turns.out:  # what is bound to it
                self.fail(Died())
            else:
                self.lost = True
        elif what == "drop":
            if self.at is None or not self.posted or self.at.kind is Kind.END:
                return False
            self.at, self.posted = None, False
            turns.dropped(Cancelled())
        elif what == "spoil":
            if not self.news or self.news[-1][0] != "value":
                return False
            self.news[-1] = ("spoilt", self.news[-1][1])
        self.accidents = tuple(left)
        return True

    def check(self) -> None:
        self.turns.check()
        assert self.got == list(range(len(self.got))), f"got {self.got}"
        assert len(self.turns.ready) <= self.turns.most

    def check_end(self) -> None:
        """Nothing happens any more."""
        turns = self.turns
        assert turns.over, "not over, and nothing happens"
        assert self.play is None, "the generator lives, and nobody will end it"
        assert self.finished
        if turns.closed:
            return
        kinds = (type(self.error),)
        assert len(self.got) == self.length or self.error is not None, f"{self.got}, and no error"
        if self.error is None:
            assert not self.fails
        elif kinds == (Boom,) and not turns.spoiled:
            assert len(self.got) == self.length


def walk(world: World) -> int:
    """Every interleaving; returns the number of states."""
    world.check()
    seen = {world.key()}
    waiting = deque([world])
    while waiting:
        world = waiting.popleft()
        here, moved = world.key(), False
        frozen = pickle.dumps(world)  # to copy it once for each action costs several times as much
        for action in world.actions():
            new = pickle.loads(frozen)
            if not new.act(action) or (key := new.key()) == here:
                continue
            new.check()
            moved = moved or not action.startswith("!")
            if key not in seen:
                seen.add(key)
                waiting.append(new)
        if not moved:
            world.check_end()
    return len(seen)


BOUNDS = [
    pytest.param(4, {"first": 2, "most": 4}, (), id="plain"),
    pytest.param(3, {"first": 1, "most": 2}, ("close",), id="closed"),
    pytest.param(3, {"first": 2, "most": 2}, ("die", "close"), id="dies, closed"),
    pytest.param(3, {"first": 2, "most": 2, "retries": 1}, ("die", "die"), id="dies twice, one further run"),
    pytest.param(3, {"first": 2, "most": 2, "retries": 2}, ("die", "close"), id="dies, runs again, closed"),
    pytest.param(3, {"first": 2, "most": 2}, ("spoil", "close"), id="a value is spoilt, closed"),
    pytest.param(3, {"first": 1, "most": 2, "retries": 1}, ("spoil", "die"), id="a value is spoilt, dies"),
    pytest.param(3, {"first": 2, "most": 2}, ("drop", "close"), id="a turn is dropped, closed"),
    pytest.param(2, {"first": 1, "most": 1, "retries": 1}, ("drop", "die"), id="a turn is dropped, dies"),
]


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "fails"])
@pytest.mark.parametrize(("length", "words", "accidents"), BOUNDS)
def test_every_interleaving(length: int, words: dict[str, Any], accidents: tuple[str, ...], fails: bool) -> None:
    assert walk(World(length, fails=fails, **{"retries": 0} | words, accidents=accidents)) > 40


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("arrive", lambda self, place, value: self.ready.append(value) or setattr(self, "arrived", place + 1) or True),
        ("dropped", lambda self, error: self.failed(error)),
        ("close", lambda self: setattr(self, "closed", True) or self.out),
        ("take_error", lambda self: None),
        ("again", lambda self: setattr(self, "lives", False) or Turn(Kind.BEGIN, self.arrived + 1, self.promised + 1)),
        ("take", lambda self: self.ready.popleft() if self.ready else NOTHING),
    ],
    ids=["whatever its place", "dropped is failed", "closed and kept", "untold", "one too many", "not counted"],
)
def test_a_seeded_fault_is_found(name: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turns, name, fault)
    with pytest.raises(AssertionError):
        for length, words, accidents in [each.values for each in BOUNDS]:
            walk(World(length, fails=False, **{"retries": 0} | words, accidents=accidents))  # type: ignore[arg-type]
