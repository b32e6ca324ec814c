"""The drawing: from records to lines."""

import pytest

from procession.cli.timeline import ASCII, PAINTED, Chart, Mark, Scale, Span, axis, draw, text


def drawn(chart: Chart, width: int = 60) -> list[str]:
    return text(draw(chart, width))


def pool() -> Chart:
    spans = [
        Span(3, "pid 1", 0.0, 1.0),
        Span(6, "pid 2", 0.0, 1.0),
        Span(9, "pid 3", 0.0, 4.0),
        Span(12, "pid 1", 1.0, 2.0),
    ]
    results = [Mark(3, 1.0), Mark(6, 1.0), Mark(12, 2.0), Mark(9, 4.0)]
    return Chart(spans, length=4.1, now=4.0, limit=4.0, accent=9, below=("result", results))


def test_a_pool() -> None:
    assert drawn(pool(), 50) == [
        "worker  0 s       1         2         3         4",
        "pid 1   [3=======][12======]                    :",
        "pid 2   [6=======]                              :",
        "pid 3   [9=====================================]:",
        "result            3-6       12                  9",
    ]


def test_a_spin_off_with_its_puts() -> None:
    spans = [Span(3, "thread 7", 1.0, 2.0), Span(6, "thread 7", 2.0, 3.0), Span(9, "thread 7", 5.0, None)]
    puts = [Mark(3, 1.0), Mark(6, 1.1), Mark(9, 5.0)]
    chart = Chart(spans, length=8.0, now=6.0, above=("put", puts), below=("handed over", [Mark(3, 2.0)]))
    assert drawn(chart, 62) == [
        "worker       0 s         2           4           6           8",
        "put                3-6                     9",
        "thread 7           [3===][6===]            [9====",
        "handed over              3",
    ]


def test_workers_stand_in_the_order_in_which_they_began() -> None:
    spans = [Span(1, "b", 2.0, 3.0), Span(2, "a", 1.0, 2.0), Span(3, "b", 0.0, 1.0)]
    lines = drawn(Chart(spans, length=3.0, now=3.0))
    assert [line.split()[0] for line in lines] == ["worker", "b", "a"]


def test_nothing_yet() -> None:
    assert drawn(Chart([], length=0.0, now=0.0, limit=0.0, below=("result", []))) == ["worker  0 s", "result"]


@pytest.mark.parametrize("width", [0, 40, 41, 60, 80, 120, 200])
@pytest.mark.parametrize("length", [0.001, 0.42, 4.03, 13.9, 1000.0])
def test_no_line_is_wider_than_the_width(width: int, length: float) -> None:
    share = length / 30
    spans = [Span(item, "pid 12345", item * share - share, item * share) for item in range(1, 31)]
    marks = [Mark(span.item, span.start) for span in spans]
    ends = [Mark(span.item, length) for span in spans]
    for line in drawn(Chart(spans, length, length, length, 9, ("put", marks), ("result", ends)), width):
        assert len(line) <= max(width, 40)


def test_bars_never_cover_each_other_and_never_vanish() -> None:
    spans = [Span(item, "w", item * 0.001, item * 0.001) for item in range(5)]
    (_, row) = drawn(Chart(spans, length=100.0, now=100.0))
    assert row == "w       01234"


def test_a_bar_too_short_for_its_label_has_none() -> None:
    chart = Chart([Span(123, "w", 0.0, 0.02)], length=1.0, now=1.0)
    assert drawn(chart) == [drawn(chart)[0], "w       ="]


def test_the_limit_shows_where_no_bar_is() -> None:
    lines = drawn(Chart([Span(1, "a", 0.0, 4.0), Span(2, "b", 0.0, 1.0)], length=4.0, now=4.0, limit=2.0))
    assert ":" not in lines[1]
    assert lines[2].endswith(" :")


def test_kinds_tell_neighbours_apart_and_the_accent_from_all() -> None:
    kinds = {segment.text.strip("[]="): segment.kind for line in draw(pool(), 60) for segment in line}
    assert kinds["9"] == "accent"
    assert {kinds["3"], kinds["12"]} == {"bar", "other bar"}  # one after the other, on one worker
    assert kinds[":"] == "limit"


def test_a_painted_bar_is_as_wide_as_a_plain_one() -> None:
    widths = [[[len(segment.text) for segment in line] for line in draw(pool(), 60, each)] for each in (ASCII, PAINTED)]
    assert widths[0] == widths[1]


@pytest.mark.parametrize(
    ("length", "columns", "expected"),
    [
        (4.0, 41, "0 s       1         2         3         4"),
        (4.0, 40, "0 s                 2                  4"),
        (0.4, 50, "0.0 s       0.1         0.2          0.3"),
        (10.0, 31, "0 s            5"),
        (14.0, 15, "0 s       10"),
        (0.0, 30, "0 s"),
    ],
)
def test_the_axis_has_round_numbers_at_their_columns(length: float, columns: int, expected: str) -> None:
    assert axis(Scale(columns, length)) == expected


def test_marks_at_the_edge_stay_inside() -> None:
    chart = Chart([], length=10.0, now=10.0, below=("result", [Mark(27, 9.9), Mark(30, 10.0)]))
    assert drawn(chart, 40)[-1] == "result".ljust(35) + "27-30"
