"""What keys do, without a terminal."""

import pytest

from procession.cli.top_keys import ERROR_STACK, FOOTER, Act, State, pressed
from procession.cli.top_view import ERROR, SORTS, Key

KEYS: list[Key] = [(0, -1), (0, 0), (0, 1), (4, -1), (ERROR, 0)]


def at(key: Key | None) -> State:
    state = State()
    state.selected = key
    return state


def press(state: State, *keys: str, page: int = 10) -> list[Act]:
    return [act for key in keys if (act := state.press(key, KEYS, page)) is not None]


def test_the_first_is_selected_and_one_moves_no_further_than_the_ends() -> None:
    state = State()
    state.settle(KEYS)
    assert state.selected == (0, -1)
    press(state, "k", "up", "pageup")
    assert state.selected == (0, -1)
    press(state, "j", "down")
    assert state.selected == (0, 1)
    press(state, "pagedown")
    assert state.selected == (ERROR, 0)
    press(state, "up")
    assert state.selected == (4, -1)


def test_who_is_gone_is_selected_no_more_but_his_pool() -> None:
    state = at((4, 7))
    state.settle(KEYS)
    assert state.selected == (4, -1)
    state.settle([(0, -1)])
    assert state.selected == (0, -1)
    state.settle([])
    assert state.selected is None
    assert [state.press(key, [], 10) for key in "jdrxK"] == [None] * 5
    assert state.message == "there is no pool"


def test_what_is_asked_for() -> None:
    assert press(at((4, -1)), "d") == [Act("dump", {"pool": 4})]
    assert press(at((0, 1)), "x") == [Act("drain", {"pool": 0, "worker": 1})]
    assert press(at((0, 1)), "K", "y") == [Act("kill", {"pool": 0, "worker": 1})]
    assert press(at((0, 1)), "r", "1", "x", "7", "backspace", "2", "return") == [Act("resize", {"pool": 0, "n": 12})]
    assert press(at((ERROR, 0)), "d") == [Act(ERROR_STACK, {"place": 0})]
    assert press(at((ERROR, 0)), "r", "x", "K", "y") == []


@pytest.mark.parametrize("no", ["n", "N", "K", "return", "escape", "q", " "])
def test_nobody_is_killed_by_another_key(no: str) -> None:
    state = at((0, 1))
    assert press(state, "K") == []
    assert state.footer == "kill worker 1 of pool 0? y/n"
    assert press(state, no) == []
    assert (state.mode, state.footer, state.over) == ("list", "not killed", False)
    assert press(state, "y") == []


def test_a_number_is_bounded_and_may_be_given_up() -> None:
    state = at((0, -1))
    press(state, "r", *"123456789")
    assert state.footer == "how many workers shall pool 0 have? 12345_"
    assert press(state, "escape") == []
    assert (state.mode, state.over) == ("list", False)
    assert press(state, "r", "return", "r", "q") == []
    assert not state.over


@pytest.mark.parametrize("key", ["x", "K"])
def test_a_pool_is_no_worker(key: str) -> None:
    state = at((0, -1))
    assert press(state, key, "y") == []
    assert state.footer == FOOTER  # the second key has taken the message back
    press(state, key)
    assert state.footer == "select a worker first"


def test_texts_are_scrolled_and_left() -> None:
    state = at((0, -1))
    press(state, "?")
    assert (state.mode, state.scroll) == ("text", 0)
    lines = state.most
    press(state, "down", "j", "up", page=4)
    assert state.scroll == 1
    press(state, *["pagedown"] * 10, page=4)
    assert state.scroll == lines - 4
    press(state, "pageup", " ", "pageup", *["k"] * 50, page=4)
    assert (state.mode, state.scroll) == ("text", 0)
    press(state, "q")
    assert (state.mode, state.over) == ("list", False)
    press(state, "q")
    assert state.over


def test_answers_are_shown() -> None:
    state = at((0, 1))
    state.answered(Act("drain", {"pool": 0, "worker": 1}), "there is no worker 1")
    assert state.footer == "drain: there is no worker 1"
    state.answered(Act("kill", {"pool": 0, "worker": 1}), {"done": "kill"})
    assert state.footer == "kill worker 1 of pool 0: done"
    state.answered(Act("resize", {"pool": 0, "n": 3}), {"done": "resize"})
    assert state.footer == "resize pool 0 to 3: done"
    state.answered(Act("dump", {"pool": 0}), {"dump": "one\ntwo"})
    assert (state.mode, state.text) == ("text", ["one", "two"])


def test_each_order_comes_in_turn() -> None:
    state = at(None)
    seen = [state.sort]
    for _ in SORTS:
        press(state, "s")
        seen.append(state.sort)
    assert seen == [*SORTS, SORTS[0]]


@pytest.mark.parametrize(
    ("came", "keys"),
    [
        ("jk", ["j", "k"]),
        ("\x1b[A\x1bOB\x1b[5~\x1b[6~", ["up", "down", "pageup", "pagedown"]),
        ("\x1b", ["escape"]),
        ("\x1b\x1b[A", ["escape", "up"]),
        ("\x1b[1;5Cq", ["q"]),
        ("\x1b[15~q", ["q"]),
        ("\r\n\x7f\b", ["return", "return", "backspace", "backspace"]),
        ("\x1b[", ["escape", "["]),
        ("\x1b[99", []),
        ("", []),
    ],
)
def test_what_a_terminal_sends(came: str, keys: list[str]) -> None:
    assert pressed(came) == keys
