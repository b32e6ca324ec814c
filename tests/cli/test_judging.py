"""What the demo calls a failure: the comparisons, on records made by hand."""

import sysconfig
from pathlib import Path

import pytest

from procession.cli.complexity import Report
from procession.cli.reference import Run, missing, not_in_turn, out_of_order
from procession.cli.stdlib import differences, library
from procession.cli.workload import ITEMS, Done


def run(items: tuple[int, ...], *, overlap: float = 0.0) -> Run:
    result = Run("threads")
    for index, item in enumerate(items):
        result.take(Done(item, 1, 2, index - overlap, index + 1.0))
    return result


def swapped() -> tuple[int, ...]:
    return (*ITEMS[1::-1], *ITEMS[2:])


def test_a_good_run_has_no_problem() -> None:
    for judge in (missing, out_of_order, not_in_turn):
        assert judge(run(ITEMS)) == []


def test_a_pool_may_answer_in_any_order_but_each_item_once() -> None:
    assert missing(run(swapped())) == []
    assert missing(run(ITEMS[1:])) == ["results of 6, 9, 12, 15, 18, 21, 24, 27, 30 came, and not of " + listed()]
    assert len(missing(run((*ITEMS, 3)))) == 1
    assert "results of nothing came" in missing(run(()))[0]


def test_a_spin_off_hands_over_in_order() -> None:
    assert out_of_order(run(swapped())) == ["handed over out of order: 6, 3, 9, 12, 15, 18, 21, 24, 27, 30"]
    assert out_of_order(run(ITEMS[1:])) == missing(run(ITEMS[1:]))


def test_one_worker_runs_one_at_a_time() -> None:
    found = not_in_turn(run(ITEMS, overlap=0.5))
    assert len(found) == len(ITEMS) - 1
    assert found[0] == "6 began before 3 had ended"
    assert not_in_turn(run(swapped())) == out_of_order(run(swapped()))


def listed() -> str:
    return ", ".join(map(str, ITEMS))


A, B, C = (Report(f"{name}.py", (), 0) for name in "abc")


def test_equal_reports_in_order_do_not_differ() -> None:
    assert differences([], []) == []
    assert differences([A, B], [A, B]) == []


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ([A, B], "2 results came through imap, and 3 in sequence"),
        ([A, C, B], "2 results not equal to those in sequence; the first is number 1, c.py in place of b.py"),
        ([A, B, C._replace(nesting=1)], "1 result not equal to those in sequence; the first is that on c.py"),
    ],
)
def test_a_difference_is_named(got: list[Report], said: str) -> None:
    assert differences([A, B, C], got) == [said]


def test_the_library_is_what_belongs_to_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "site-packages" / "python"  # what is above the library does not count
    for name in ("b.py", "a.py", "sub/c.py", "site-packages/x.py", "sub/__pycache__/y.py", "z.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x = 1\n")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(root))
    sources = library()
    assert [Path(file).relative_to(root).as_posix() for file in sources.files] == ["a.py", "b.py", "sub/c.py"]
    assert (sources.lines, sources.size) == (3, 18)
    assert len(library(every=2).files) == 2
