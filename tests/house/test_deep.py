"""What is marked as deep (tests/deep.py) is there; of the walks, some stay."""

from __future__ import annotations

import re

import pytest

from procession.testing.scenario import BOUNDS
from tests.apart import ROOT
from tests.deep import DEEP, LONG_WALKS, LONGER, SHORT, is_deep, is_longer


@pytest.mark.parametrize("place", DEEP + LONGER)
def test_each_place_is_there(place: str) -> None:
    path, _, function = place.partition("::")
    assert (ROOT / path).exists()
    if function:
        name = function.partition("[")[0]
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.M), name


def test_the_short_walks_are_walks() -> None:
    assert {*SHORT, *LONG_WALKS} <= {each.name for each in BOUNDS}
    assert not {*SHORT} & {*LONG_WALKS}


def test_what_is_deep() -> None:
    assert is_deep("tests/typing/test_typing.py::test_what_is_right[mypy]")
    assert is_deep("tests/core/test_explorer.py::test_nothing_that_can_happen_breaks_a_law[too old, too heavy]")
    assert not is_deep(f"tests/core/test_explorer.py::test_nothing_that_can_happen_breaks_a_law[{SHORT[0]}]")
    assert not is_deep("tests/pool/test_pool.py::test_it")


def test_what_is_longer_is_deep() -> None:
    """So nothing of `make test` is left out by CI."""
    assert all(is_deep(each) for each in LONGER), [each for each in LONGER if not is_deep(each)]
    for name in LONG_WALKS:
        walk = f"tests/core/test_explorer.py::test_nothing_that_can_happen_breaks_a_law[{name}]"
        assert (is_longer(walk), is_deep(walk)) == (True, True)
    assert not is_longer("tests/core/test_explorer.py::test_nothing_that_can_happen_breaks_a_law[too old, two workers]")
    assert not is_longer("tests/core/test_far_faults.py::test_the_explorer_finds_it[agent: asked whatever runs-check]")
