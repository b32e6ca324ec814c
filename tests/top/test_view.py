"""What is shown of a look: at every width, whatever a program says of itself."""

import itertools

import pytest

from procession.cli.top_view import ERROR, SORTS, Look, keys, lines, story
from procession.cli.top_words import clean, clock, columns, cut, folds, lasting, number, rate, size
from tests.top.looks import error, look, pool, row


def shown(*pools: object, width: int = 100, **words: object) -> str:
    return "\n".join(line.text.rstrip() for line in lines(Look(look(*pools, **words)), width))  # type: ignore[arg-type]


def test_a_screen_in_full() -> None:
    stream = {"kind": "imap", "name": "work", "engine": 0, "unfinished": 30, "ready": 29, "head": 7, "head_for": 3.21}
    before = look(pool(0, row(0, cpu=0.0), row(1, cpu=0.5)), at=98.0, cpu=2.0)
    now = look(
        pool(
            0,
            row(0, cpu=1.98),
            row(1, state="idle", task="", cpu=0.5, hand=0, **{"for": None}),
            died=1,
            failures=1,
            errors=[error("item 3 is bad\nmore")],
        ),
        streams=[stream],
    )
    assert [line.text.rstrip() for line in lines(Look(now, before), 100)] == [
        "pid 4711  python job.py",
        "up 1:02:03  2 CPUs  29 MB, 50 % CPU  workers: 25 MB, 99 % CPU  python 3.11.7",
        "",
        "Pool 0 (processes)  2 of 4 workers  1,234 wait  2 run  19 done  8.0/s",
        "    half under 12 ms, 99 % under 0.25 s  1 workers died  1 error seen",
        "  imap work:  30 under way  29 finished wait  item 7 is what they wait for, for 3.2 s",
        "  worker  pid state    for done  CPU memory task",
        "       0 4700 runs  0.21 s   12 99 %  12 MB work(0)",
        "       1 4701 idle           12  0 %  12 MB",
        "",
        "latest errors",
        "  1.0 s ago  Pool 0, work: ValueError: item 3 is bad",
    ]


EVIL = "\x1b[2J\x1b]0;title\x07\r\n" + "w\u00efde \u754c\u754c e\u0301 " * 20 + "\u202e\u200b"


@pytest.mark.parametrize("width", [*range(1, 60), 80, 200, 1000])
def test_no_line_is_wider_than_the_screen_and_none_bears_what_a_terminal_obeys(width: int) -> None:
    evil = pool(
        0,
        row(123456, task=EVIL, note=EVIL, pid=4_000_000, done=10**9, hand=1000),
        row(2, **{"for": 1e6}, memory=None, cpu=None, state="starting", pid=0),
        name=EVIL,
        trouble=EVIL,
        auto=EVIL,
        errors=[error(EVIL, function=EVIL, kind=EVIL)],
        failures=10**6,
        timeouts=3,
    )
    stream = {"kind": "pipeline", "name": EVIL, "ready": 3, "head": 7, "head_at": EVIL}
    now = Look(
        look(
            evil,
            {"number": 1, "kind": "Pool", "name": "", "backend": "?", "width": 0, "trouble": EVIL},
            streams=[stream],
            command=EVIL,
            trouble=EVIL,
        )
    )
    for line in lines(now, width):
        assert columns(line.text) <= max(width, 20)
        assert line.text.isprintable()
    assert all(line.isprintable() for line in story(now, 0).splitlines())


def test_what_matters_less_is_left_out_first() -> None:
    heads = []
    for width in range(90, 19, -1):
        head = next(
            line.text.split()
            for line in lines(Look(look(pool(0, row(0))), look(pool(0, row(0)), at=1)), width)
            if "task" in line.text
        )
        if not heads or head != heads[-1]:
            heads.append(head)
    assert heads[0] == ["worker", "pid", "state", "for", "done", "CPU", "memory", "task"]
    for wider, narrower in itertools.pairwise(heads):
        assert set(narrower) < set(wider)
    assert heads[-1][-1] == "task"


@pytest.mark.parametrize("sort", SORTS)
def test_workers_are_sorted_by_what_is_most(sort: str) -> None:
    rows = [
        row(0, memory=5, done=7, **{"for": 2.0}, cpu=1.0),
        row(1, memory=None, done=9, **{"for": None}, cpu=None),
        row(2, memory=9, done=8, **{"for": 3.0}, cpu=9.0),
    ]
    before = look(pool(0, *(each | {"cpu": None if each["cpu"] is None else 0.0} for each in rows)), at=99.0)
    found = [key[1] for key in keys(lines(Look(look(pool(0, *rows)), before), 100, sort)) if key[1] >= 0]
    by = {"worker": [0, 1, 2], "cpu": [2, 0, 1], "memory": [2, 0, 1], "for": [2, 0, 1], "done": [1, 2, 0]}
    assert found == by[sort]


def test_pools_workers_and_errors_can_be_selected() -> None:
    now = look(pool(0, row(0), errors=[error("old", at=1.0), error("new", at=90.0)]), pool(3))
    assert keys(lines(Look(now), 80)) == [(0, -1), (0, 0), (3, -1), (ERROR, 0), (ERROR, 1)]
    assert "new" in story(Look(now), 0)
    assert "old" in story(Look(now), 1)
    assert "not among the latest" in story(Look(now), 2)


def test_a_program_without_pools_and_one_whose_age_is_unknown() -> None:
    text = shown(age=None)
    assert "no pool is open now" in text
    assert "up " not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 us"),
        (12e-6, "12 us"),
        (999e-6, "999 us"),
        (0.0034, "3.4 ms"),
        (0.0123, "12 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.10 s"),
        (0.21, "0.21 s"),
        (0.996, "1.0 s"),
        (99.94, "99.9 s"),
        (99.96, "1:39"),
        (3723, "1:02:03"),
        (200_000, "2 d 7:33:20"),
    ],
)
def test_how_long(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_numbers() -> None:
    assert [size(each) for each in (0, 999, 1000, 9949, 9951, 12.3e6, 999.6e6, 5e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "9.9 kB",
        "10 kB",
        "12 MB",
        "1.0 GB",
        "5000 GB",
    ]
    assert (number(1234567.0), rate(9.94), rate(9876.5), clock(59)) == ("1,234,567", "9.9", "9,876", "0:59")


def test_texts_are_cut_and_folded_by_columns() -> None:
    assert cut("\u754c\u754c\u754c", 5) == "\u754c\u754c\u2026"
    assert cut("\u754c\u754c\u754c", 4) == "\u754c\u2026"
    assert (cut("abc", 3), cut("abcd", 3), cut("abc", 0)) == ("abc", "ab\u2026", "")
    assert folds("\u754c\u754ca", 3) == ["\u754c", "\u754ca"]
    assert (folds("", 3), folds("abcdef", 3), folds("\u754c", 1)) == ([""], ["abc", "def"], ["\u754c"])
    assert clean("a\x1b\n\tb\u202e") == "a\ufffd  b\ufffd"
