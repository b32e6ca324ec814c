"""`procession.record`: what a user sees of it in statistics and failures."""

import copy
import pickle

import pytest

from procession import Failure
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
