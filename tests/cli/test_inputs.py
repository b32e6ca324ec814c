"""What INPUTs mean: files, patterns, ranges, words; in order, each by its name; and what is said of wrong ones."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.cli.mapping.inputs import FORMATS, InputError, Inputs, Item, open_items, total
from procession.cli.mapping.inputs_naming import numbers_of
from tests.cli.reading import fed, items, piped_stdin, values


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_whose_name_is_of_no_record_format_is_an_item(here: Path) -> None:
    (here / "b.jpg").touch()
    (here / "a.txt").write_text("not read\n")
    assert list(items("b.jpg", "a.txt")) == [
        Item("b.jpg", "b.jpg", 1, "b.jpg", 0),
        Item("a.txt", "a.txt", 1, "a.txt", 1),
    ]
    assert total(Inputs(("b.jpg", "a.txt"))) == 2


def test_a_pattern_that_the_shell_left_is_matched_sorted_with_all_folders_below(here: Path) -> None:
    for name in ("photos/b.jpg", "photos/x/y/a.jpg", "photos/x/c.jpg", "photos/x/c.png", "photos/.hidden/d.jpg"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    assert values("photos/**/*.jpg") == ["photos/b.jpg", "photos/x/c.jpg", "photos/x/y/a.jpg"]
    assert values("photos/**") == ["photos/b.jpg", "photos/x/c.jpg", "photos/x/c.png", "photos/x/y/a.jpg"], "no folders"
    assert values("photos/x/?.png") == ["photos/x/c.png"]
    (here / "a[1].txt").touch()
    assert values("a[1].txt") == ["a[1].txt"], "a file of that very name is no pattern"


def test_a_pattern_of_records_is_read_file_by_file(here: Path) -> None:
    (here / "b.csv").write_text("n\n3\n")
    (here / "a.csv").write_text("n\n1\n2\n")
    found = list(items("*.csv"))
    assert [(each.value, each.source, each.number, each.position) for each in found] == [
        ({"n": "1"}, "a.csv", 1, 0),
        ({"n": "2"}, "a.csv", 2, 1),
        ({"n": "3"}, "b.csv", 1, 2),
    ]


def test_inputs_of_several_kinds_are_read_in_the_order_in_which_they_stand(here: Path) -> None:
    (here / "a.jsonl").write_text('{"x": 1}\n')
    (here / "b.tsv").write_text("x\ty\n1\t2\n")
    (here / "c.bin").touch()
    with piped_stdin() as writer:
        os.write(writer, b"one\ntwo\n")
        os.close(writer)
        found = list(items("c.bin", "1..2", "-", "b.tsv", "a.jsonl", literals=("word",)))
    assert [each.value for each in found] == ["c.bin", 1, 2, "one", "two", {"x": "1", "y": "2"}, {"x": 1}, "word"]
    assert [each.source for each in found] == ["c.bin", "1..2", "1..2", "-", "-", "b.tsv", "a.jsonl", ":::"]
    assert [each.position for each in found] == list(range(8))
    assert [each.path for each in found] == ["c.bin"] + [None] * 7


def test_with_nothing_said_stdin_is_read_by_lines(here: Path) -> None:
    assert fed(b"a\nb\n") == ["a", "b"]
    assert fed(b'{"a": 1}\n', format="jsonl") == [{"a": 1}]
    assert values(literals=()) == [], "::: with nothing behind it is no items, and stdin is left alone"


def test_names_of_files_may_come_through_stdin() -> None:
    with piped_stdin() as writer:
        os.write(writer, b"x/a.jpg\nb.jpg")
        os.close(writer)
        assert [(each.value, each.path) for each in items(format="files")] == [("x/a.jpg",) * 2, ("b.jpg",) * 2]


def test_words_are_items_as_they_are() -> None:
    assert list(items(literals=("a.csv", "1..3"))) == [
        Item("a.csv", ":::", 1, None, 0),
        Item("1..3", ":::", 2, None, 1),
    ]
    assert values(literals=("1", '{"a": [2]}'), format="jsonl") == [1, {"a": [2]}]
    assert [each.path for each in items(literals=("x/y",), format="files")] == ["x/y"]
    assert total(Inputs(literals=("a", "b"))) == 2
    with pytest.raises(InputError, match=r"^::: 1: this word is no JSON .*: 'a'"):
        values(literals=("a",), format="jsonl")
    with pytest.raises(InputError, match="lines, jsonl or files; got --from csv"):
        items(literals=("a",), format="csv")


# --------------------------------------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1..5", [1, 2, 3, 4, 5]),
        ("5..1", [5, 4, 3, 2, 1]),
        ("3..3", [3]),
        ("-2..2", [-2, -1, 0, 1, 2]),
        ("1..10..4", [1, 5, 9]),
        ("10..1..4", [10, 6, 2]),
        ("10..1..-4", [10, 6, 2]),
        ("0..-3", [0, -1, -2, -3]),
    ],
)
def test_ranges_are_the_shells_braces(text: str, numbers: list[int]) -> None:
    assert values(text) == numbers
    assert values(text, format="range") == numbers
    assert total(Inputs((text,))) == len(numbers)


@given(st.integers(), st.integers(-50, 50), st.integers(1, 9))
def test_both_ends_of_a_range_are_in_it(first: int, more: int, step: int) -> None:
    found = numbers_of(f"{first}..{first + more}..{step}")
    assert found[0] == first
    assert abs(found[-1] - (first + more)) < step
    assert len(found) == abs(more) // step + 1
    assert first + more in numbers_of(f"{first}..{first + more}")


def test_a_range_may_be_longer_than_anything_can_be_counted() -> None:
    assert total(Inputs((f"1..{10**30}",))) is None


def test_a_long_range_is_not_made_as_a_whole() -> None:
    found = items("1..1000000000000")
    assert [next(found).value for _ in range(3)] == [1, 2, 3]
    assert found.total() == 10**12


def test_a_file_that_is_named_as_a_range_is_a_file(here: Path) -> None:
    (here / "1..3").touch()
    assert values("1..3") == ["1..3"]
    assert values("1..3", format="range") == [1, 2, 3]


# ------------------------------------------------------------------------------------------------ what is said of wrong


@pytest.mark.parametrize(
    ("paths", "words", "said"),
    [
        (["no.jpg"], {}, r"^no\.jpg: there is no such file \(words that are items themselves stand behind :::\)$"),
        (["no/*.jpg"], {}, r"^no/\*\.jpg: no file matches"),
        (["folder"], {}, r"^folder: is a folder; a pattern in quotes names the files in it: 'folder/\*\*/\*'"),
        (["dangling"], {}, r"^dangling: is a symbolic link to something that is not there"),
        (["-", "-"], {}, r"only once"),
        (["1..5..0"], {}, r"the step of a range is not 0"),
        (["01..10"], {}, r"no leading zeros; for padded words, write ::: \{01\.\.10\}"),
        (["a.txt"], {"format": "range"}, r"^a\.txt: a range is written FIRST\.\.LAST"),
        (["a.txt"], {"format": "xml"}, r"--from takes one of lines, .*; got 'xml'"),
        (["a.txt"], {"delimiter": ";;"}, r"--delimiter takes one character"),
        (["a.csv.zst"], {}, r"^a\.csv\.zst: .*zstd -dc a\.csv\.zst \| procession map \.\.\. --from csv"),
        (["a.parquet.gz"], {}, r"^a\.parquet\.gz: .*unpack it first"),
    ],
)
def test_wrong_inputs_are_refused_before_anything_runs(
    here: Path, paths: list[str], words: dict[str, str], said: str
) -> None:
    (here / "folder").mkdir()
    (here / "dangling").symlink_to("nowhere")
    for name in ("a.txt", "a.csv.zst", "a.parquet.gz"):
        (here / name).touch()
    with pytest.raises(InputError, match=said):
        items(*paths, **words)


def test_a_folder_may_be_an_item_if_one_says_so(here: Path) -> None:
    (here / "one").mkdir()
    (here / "two").mkdir()
    assert values("one", format="files") == ["one"]
    assert values("*/", format="files") == ["one/", "two/"]


def test_a_file_that_cannot_be_opened_is_an_error_that_names_it(here: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("a.csv")
        with pytest.raises(InputError, match=r"^a\.csv: No such device or address$"):
            values("a.csv")


def test_what_follows_a_bad_file_is_never_opened_and_what_was_open_is_closed(here: Path) -> None:
    (here / "a.jsonl").write_text("1\n" * 10)
    before = os.listdir("/proc/self/fd")
    found = items("a.jsonl")
    assert next(found).value == 1
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    found.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert list(found) == []


def test_a_count_is_given_only_where_it_is_cheap(here: Path) -> None:
    (here / "a.jsonl").write_text("1\n")
    (here / "a.txt").write_text("1\n2\n\n4")
    assert total(Inputs()) is None
    assert total(Inputs(("a.jsonl",))) is None
    assert total(Inputs(("1..3", "a.jsonl"))) is None
    assert total(Inputs(("a.txt",), format="lines")) == 4 == len(values("a.txt", format="lines"))


def test_each_format_that_is_offered_is_read(here: Path) -> None:
    from pyarrow import feather, parquet, table

    rows = table({"a": [1]})
    parquet.write_table(rows, here / "parquet")
    feather.write_feather(rows, "arrow")
    texts = {"lines": "x\n", "null": "x\0", "jsonl": "1\n", "csv": "a\n1\n", "tsv": "a\tb\n1\t2\n", "files": ""}
    failure = (
        '{"item": 7, "source": "-", "number": 1, "error": "E", "text": "", "stack": "", "tries": 1, "stage": null}'
    )
    for name, text in {**texts, "failures": failure}.items():
        (here / name).write_text(text)
    for format in FORMATS:
        assert len(values("1..1" if format == "range" else format, format=format)) == 1, format
    assert next(open_items(Inputs(("failures",), format="failures"))).value == 7
