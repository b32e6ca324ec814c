"""docs/benchmarks.md gets its table from a run, and nothing else of it is touched."""

from pathlib import Path

import pytest

from benchmarks import cli, page
from tests.benchmarks.made import MACHINE, outcome, results

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- made by `make bench`: begin -->", "<!-- made by `make bench`: end -->"


def test_the_table_of_the_last_run_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.md"
    file.write_text(f"# Benchmarks\n\nby hand\n\n{BEGIN}\n| old |\n{END}\n\nby hand, too\n")
    found = results(
        outcome("roundtrip", "ppe", hot_p50=200.0, hot_p99=300.0),
        outcome("roundtrip", "procession", hot_p50=10.0, hot_p99=50.0),
    )
    page.write(file, found, MACHINE, ["it rained"])
    text = file.read_text()
    assert "| round trip, p50 | 10.0 us | 200 us |" in text
    assert "* Doubt: it rained" in text
    assert "old" not in text
    assert text.startswith(f"# Benchmarks\n\nby hand\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nby hand, too\n")
    page.write(file, found, MACHINE, [])
    assert "it rained" not in file.read_text()


def test_the_page_of_the_site_has_room_for_it() -> None:
    page.check(ROOT / "docs/benchmarks.md")


def test_a_page_without_room_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.md"
    file.write_text("nothing")
    with pytest.raises(SystemExit) as refused:
        cli.main(["--page", str(file)])
    assert refused.value.code == 2
    assert "two comments" in capsys.readouterr().err
