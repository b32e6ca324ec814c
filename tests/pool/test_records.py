"""`procession.record`: what a user sees of it in statistics and failures."""

import copy
import pickle
from typing import Any

import pytest

from procession import Failure
from procession.lean import NamedTuple
from procession.record import frozen, record
from procession.streams import Words

ERROR = ValueError("no")


@frozen
class Place:
    """Somewhere."""

    line: int
    column: int = 0


@record
class Draft:
    words: list[str]

    def __post_init__(self) -> None:
        self.words.append("checked")


def test_a_failure_never_changes() -> None:
    failure = Failure(3, (1, 2), ERROR)
    assert (failure.index, failure.args, failure.error, failure.attempts, failure.stage) == (3, (1, 2), ERROR, 1, None)
    with pytest.raises(AttributeError, match="Failure never changes: 'index'"):
        failure.index = 4  # type: ignore[misc]
    with pytest.raises(AttributeError, match="never changes"):
        del failure.index
    with pytest.raises(AttributeError):
        failure.other = 4  # type: ignore[attr-defined]


def test_equal_and_hashed_by_value() -> None:
    assert Place(1, 2) == Place(line=1, column=2) != Place(1)
    assert Place(1) != (1, 0)
    assert len({Place(1), Place(1, 0), Place(2)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Draft([]))


def test_shown_copied_and_pickled() -> None:
    place = Place(1)
    assert repr(place) == "Place(line=1, column=0)"
    assert place.__doc__ == "Somewhere."
    assert pickle.loads(pickle.dumps(place)) == copy.deepcopy(place) == copy.copy(place) == place
    match place:
        case Place(line, column):
            assert (line, column) == (1, 0)


def test_wrong_arguments_name_the_class() -> None:
    with pytest.raises(TypeError, match=r"Place\.__init__\(\) missing 1 required positional argument: 'line'"):
        Place()  # type: ignore[call-arg]


def test_post_init() -> None:
    assert Draft([]).words == ["checked"]
    with pytest.raises(ValueError, match="window"):
        Words(window=0)


def test_a_constructor_is_compiled_with_the_first_record_and_stays() -> None:
    @record
    class Late:
        one: int
        other: int = 5

    before = Late.__init__
    assert Late(1) == Late(one=1, other=5)
    assert Late.__init__ is not before
    after = Late.__init__
    assert Late(2, 3).other == 3
    assert Late.__init__ is after
    with pytest.raises(TypeError, match="other"):
        Late(1, other=2, another=3)  # type: ignore[call-arg]


class Pair(NamedTuple):
    left: int
    right: str = "r"


def test_a_lean_named_tuple_is_a_tuple_with_names() -> None:
    pair = Pair(1)
    assert pair == (1, "r")
    assert (pair.left, pair.right) == tuple(pair)
    assert Pair(right="s", left=2) == (2, "s")
    assert pair._replace(right="t") == (1, "t")
    assert repr(pair) == "Pair(left=1, right='r')"
    again = pickle.loads(pickle.dumps(pair))
    assert again == pair
    assert type(again) is Pair
    match pair:
        case Pair(left, right):
            assert (left, right) == (1, "r")
    with pytest.raises(AttributeError):
        pair.left = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, "a", 2), {}), ((1,), {"left": 2}), ((1,), {"middle": 2}), ((), {"right": ""})]
)
def test_a_lean_named_tuple_takes_what_it_names(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Pair takes left, right"):
        Pair(*values, **named)
