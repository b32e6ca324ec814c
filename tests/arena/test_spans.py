"""The bookkeeping of an arena, against a model that knows each grain."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from procession.transport.spans import GRAIN, Spans, whole
from tests.transport.test_interrupts import interrupted_at

LIMIT = 16  # grains


class Piece:
    def __init__(self, offset: int, size: int) -> None:
        self.offset, self.size = offset, size


def take(spans: Spans, grains: int) -> Piece | None:
    offset = spans.find(grains * GRAIN)
    if offset is None:
        return None
    piece = Piece(offset, grains * GRAIN)
    spans.add(piece)
    return piece


def lowest(free: list[bool], grains: int) -> int | None:
    """What first fit is, said in another way."""
    for at in range(len(free) - grains + 1):
        if all(free[at : at + grains]):
            return at
    return None


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, LIMIT + 1), st.integers(0, 100)), max_size=60))
def test_it_takes_what_a_model_of_all_grains_takes(steps: list[tuple[bool, int, int]]) -> None:
    spans = Spans(LIMIT * GRAIN)
    free = [True] * LIMIT
    pieces: list[Piece] = []
    for taking, grains, which in steps:
        if taking:
            expected = lowest(free, grains)
            piece = take(spans, grains)
            assert (piece is None) == (expected is None)
            if piece is not None:
                assert piece.offset == (expected or 0) * GRAIN
                pieces.append(piece)
                at = piece.offset // GRAIN
                assert all(free[at : at + grains]), "two overlap"
                free[at : at + grains] = [False] * grains
        elif pieces:
            piece = pieces.pop(which % len(pieces))
            spans.remove(piece)
            spans.remove(piece)  # a second time is nothing
            at, count = piece.offset // GRAIN, piece.size // GRAIN
            free[at : at + count] = [True] * count
        gaps = list(spans.gaps())
        shown = [any(begin <= at * GRAIN < end for begin, end in gaps) for at in range(LIMIT)]
        assert shown == free
        assert all(one[1] < two[0] for one, two in pairwise(gaps)), "two free pieces were not joined"
        for at in range(LIMIT):
            found = spans.at(at * GRAIN + which)
            assert (found is None) == free[at]
            assert found is None or found.offset <= at * GRAIN < found.offset + found.size
    assert sum(piece.size for piece in spans.taken) <= spans.limit


def test_everything_free_is_one_gap_again() -> None:
    spans = Spans(LIMIT * GRAIN)
    pieces = [take(spans, 1) for _ in range(LIMIT)]
    assert take(spans, 1) is None
    for piece in pieces[::2] + pieces[1::2]:
        assert piece is not None
        spans.remove(piece)
    assert list(spans.gaps()) == [(0, LIMIT * GRAIN)]


def test_sizes_are_whole_grains() -> None:
    assert [whole(size) // GRAIN for size in (0, 1, GRAIN, GRAIN + 1)] == [1, 1, 1, 2]


def test_interrupted_anywhere_it_is_whole() -> None:
    step = 1
    while True:
        spans = Spans(LIMIT * GRAIN)
        kept = [take(spans, 2), take(spans, 1), take(spans, 2)]
        assert kept[1] is not None
        spans.remove(kept[1])

        def work(spans: Spans = spans, last: Piece | None = kept[2]) -> None:
            take(spans, 1)
            assert last is not None
            spans.remove(last)

        if not interrupted_at(step, work):
            break
        step += 1
        taken = [(piece.offset, piece.size) for piece in spans.taken]
        assert taken == sorted(set(taken))
        assert all(a + size <= b for (a, size), (b, _) in pairwise(taken))
    assert step > 10
