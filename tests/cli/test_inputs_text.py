"""Lines: any bytes, any pieces, any packing; as soon as they are there, and not much sooner."""

import bz2
import fcntl
import gzip
import lzma
import os
import pty
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.cli.mapping.inputs import InputError
from procession.cli.mapping.inputs_text import BLOCK, pieces
from tests.cli.reading import fed, items, piped_stdin, values


class Dribble:
    """A file that gives its bytes in pieces as a pipe might."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = [*blocks, b""]

    def read(self, size: int) -> bytes:
        return self.blocks.pop(0)


def lines_of(*blocks: bytes, separator: str = "\n", exact: bool = False) -> list[str]:
    return [each for some in pieces(Dribble(*filter(None, blocks)), "x", separator, exact=exact) for each in some]


@settings(deadline=None)
@given(st.lists(st.binary().filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))), st.data())
def test_lines_of_any_bytes_come_through_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    if lines and lines[0].startswith(b"\xef\xbb\xbf"):
        lines[0] = b""
    text = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    blocks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert [os.fsencode(line) for line in lines_of(*blocks)] == lines


@settings(deadline=None)
@given(st.lists(st.binary().filter(lambda item: b"\0" not in item)), st.integers(1, 7))
def test_items_that_are_separated_by_nul_hold_any_other_byte(lines: list[bytes], step: int) -> None:
    text = b"".join(line + b"\0" for line in lines)
    blocks = [text[at : at + step] for at in range(0, len(text), step)]
    found = lines_of(*blocks, separator="\0", exact=True)
    assert [line.encode("utf-8", "surrogateescape") for line in found] == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\r\r\n", ["a\rb\r"]),
        (b"a\x0bb\x0cc\xe2\x80\xa8d\n", ["a\x0bb\x0cc\u2028d"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("ä€😀\n".encode(), ["ä€😀"]),
        (b"caf\xe9\n", ["caf\udce9"]),
        (b" a \n", [" a "]),
    ],
)
def test_what_a_line_is(text: bytes, lines: list[str]) -> None:
    for step in (1, 2, 3, len(text) or 1):
        blocks = [text[at : at + step] for at in range(0, len(text), step)]
        assert lines_of(*blocks) == lines, step
    assert fed(text) == lines
    assert fed(text.replace(b"\n", b"\0"), format="null") == [
        each.decode("utf-8", "surrogateescape") for each in text.removesuffix(b"\n").split(b"\n") if text
    ]


def test_a_line_that_is_longer_than_many_blocks_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text("x" * (5 * BLOCK) + "\n" + "y" * BLOCK + "\nz")
    assert [len(line) for line in values(file, format="lines")] == [5 * BLOCK, BLOCK, 1]


@pytest.mark.parametrize("pack", [gzip, bz2, lzma])
@pytest.mark.parametrize(("name", "words"), [("a.csv", {}), ("b.txt", {"format": "lines"}), ("c.JSONL", {})])
def test_packed_text_is_unpacked(tmp_path: Path, pack: object, name: str, words: dict[str, str]) -> None:
    suffix = {gzip: ".gz", bz2: ".bz2", lzma: ".xz"}[pack]
    file = tmp_path / (name + suffix)
    with pack.open(file, "wt") as out:
        out.write({"a.csv": "n\n1\n2\n", "b.txt": "1\n2\n", "c.JSONL": "1\n2\n"}[name])
    assert values(file, **words) == {"a.csv": [{"n": "1"}, {"n": "2"}], "b.txt": ["1", "2"], "c.JSONL": [1, 2]}[name]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"{name}{suffix}: cannot be read on: "):
        values(file, **words)
    file.write_bytes(b"no such packing")
    with pytest.raises(InputError, match=rf"{name}{suffix}: cannot be read on: "):
        values(file, **words)


def test_a_packed_file_that_is_an_item_stays_packed(tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    file.touch()
    assert values(file) == [str(file)]


def test_a_line_is_an_item_as_soon_as_it_is_there() -> None:
    """A pipe that stays open: were a whole block waited for, this would not come to its end."""
    with piped_stdin() as writer:
        for format, line, item in (
            ("lines", b"one\n", "one"),
            ("jsonl", b"[1]\n", [1]),
            ("null", b"a\0", "a"),
            ("csv", b"a,b\n", ["a", "b"]),
        ):
            found = items(format=format, header=False)
            for _ in range(3):
                os.write(writer, line)
                assert next(found).value == item
            found.close()


@pytest.mark.parametrize("format", ["lines", "jsonl", "csv"])
def test_no_more_is_read_than_a_block_beyond_the_item_that_is_given(format: str) -> None:
    """An endless pipe: a writer that is let go on only by what is read."""
    wrote = 0
    ended = threading.Event()

    def write(fd: int) -> None:
        nonlocal wrote
        try:
            while True:
                wrote += os.write(fd, b"1234567\n" * 512)
        except OSError:
            ended.set()

    with piped_stdin() as writer:
        held = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
        thread = threading.Thread(target=write, args=(writer,))
        thread.start()
        found = items(format=format, header=False)
        given = 0
        for item in found:
            given += 1
            if given == 100_000:
                assert item.number == given
                break
        # What may be written now is what was given, a block, and what the pipe itself holds.
        assert wrote <= given * 8 + BLOCK + held + 4096
        found.close()
        reader = os.open(os.devnull, os.O_RDONLY)
        os.dup2(reader, 0)
        os.close(reader)
        assert ended.wait(20)
        thread.join(20)


def test_stdin_that_does_not_block_is_waited_for() -> None:
    with piped_stdin() as writer:
        os.set_blocking(0, False)
        found = items()
        timer = threading.Timer(0.05, os.write, (writer, b"late\n"))
        timer.start()
        assert next(found).value == "late"
        timer.join()
        found.close()


def test_who_is_to_type_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = pty.openpty()
    kept = os.dup(0)
    os.dup2(theirs, 0)
    try:
        os.write(ours, b"typed\n\x04")
        assert values() == ["typed"]
        os.write(ours, b"x,y\n\x04")
        assert values(format="csv", header=False) == [["x", "y"]]
    finally:
        os.dup2(kept, 0)
        for fd in (kept, ours, theirs):
            os.close(fd)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"procession map: reads {what} from this terminal; Ctrl-D at the start of a line ends it"
        for what in ("lines", "csv")
    ]


def test_a_stdin_that_is_closed_or_a_folder_is_said(tmp_path: Path) -> None:
    kept = os.dup(0)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        os.dup2(folder, 0)
        with pytest.raises(InputError, match=r"^stdin: Is a directory$"):
            values()
        os.close(0)
        with pytest.raises(InputError, match=r"^stdin: Bad file descriptor$"):
            values()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(folder)


def test_names_of_any_bytes_are_files_and_items(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    Path(name).touch()
    assert values(name) == [name]
    assert values(f"{tmp_path}/*.jpg") == [name]
    assert fed(os.fsencode(name) + b"\n") == [name], sys.getfilesystemencoding()


@pytest.mark.parametrize(
    ("format", "text", "at_hand"),
    [
        ("lines", b"a\nb\n\nc\nd", 3),
        ("null", b"a\0b\0c\0d", 2),
        ("jsonl", b"1\n2\n3\n4", 2),
        ("jsonl", b"1\n2\n\n3\n", 0),
        ("csv", b"1,2\n3,4\n5,6\n7", 2),
        ("csv", b'1,2\n3,4\n"5,6\n', 0),
    ],
)
def test_what_is_given_without_waiting_is_counted(format: str, text: bytes, at_hand: int) -> None:
    """Of a piece, what is surely an item each; of what may not be one (a blank line, a quote that is open) nothing."""
    with piped_stdin() as writer:
        os.write(writer, text)
        found = items(format=format, header=False)
        assert found.at_hand() == 0, "nothing was read"
        next(found)
        assert found.at_hand() == at_hand
        for _ in range(at_hand):
            next(found)
        assert found.at_hand() == 0
        found.close()
        found = items(format=format, header=False, skip_bad=True)
        os.write(writer, text)
        next(found)
        assert found.at_hand() == 0, "any of them may be left out"
        found.close()
