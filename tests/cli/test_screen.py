"""How text stands on the screen."""

import pytest

from procession.cli.screen import Screen, columns


def test_columns_of_numbers_stand_to_the_right() -> None:
    heads = ["", "work", "name", "step"]
    rows = [["Pool(8)", "13.00 s", "one", ""], ["SpinOff", "4.00 s", "2nd", "0.1 ms"]]
    assert columns(heads, rows) == [
        "             work   name     step",
        "Pool(8)   13.00 s   one",
        "SpinOff    4.00 s   2nd    0.1 ms",
    ]


def test_columns_without_rows() -> None:
    assert columns(["a", "b"], []) == ["a   b"]


def test_a_paragraph_is_folded_but_not_at_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    Screen().say("It takes as long as 13.0 s in all.", hang=2)
    assert capsys.readouterr().out.splitlines() == ["   It takes as long as", "     13.0 s in all."]


def test_a_verdict_is_one_line_for_each_problem(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.verdict([], "in order")
    screen.verdict(["one", "two"], "in order")
    assert capsys.readouterr().out.splitlines() == ["   ok in order", "   FAILED one", "   FAILED two"]
