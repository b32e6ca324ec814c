"""Words of outputs together, and where bytes go: stdout, and files that have their names when they are complete."""

import bz2
import errno
import fcntl
import gzip
import lzma
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from procession.cli.mapping.inputs import Item
from procession.cli.mapping.outputs import FORMATS, NotWritable, OutputError, Outputs, Sink, open_sink
from tests.cli.reading import piped_stdout

ONE = Item("one", "-", 1, None, 0)


def sink(**words: Any) -> Sink:
    return open_sink(Outputs(**words))


# --------------------------------------------------------------------------------------------------------------- stdout


def test_results_leave_when_they_are_flushed_and_in_few_writes() -> None:
    with piped_stdout() as stdout:
        out = sink(format="lines")
        os.set_blocking(stdout, False)
        for number in range(100):
            out.write(ONE, number)
        with pytest.raises(BlockingIOError):
            os.read(stdout, 1)
        out.flush()
        expected = b"".join(b"%d\n" % number for number in range(100))
        assert os.read(stdout, 10_000) == expected
        out.write(ONE, "last")
        out.close()
        out.close()
        assert os.read(stdout, 10_000) == b"last\n"


def test_many_results_leave_without_a_flush() -> None:
    with piped_stdout() as stdout:
        out = sink(format="lines")
        os.set_blocking(stdout, False)
        for _ in range(600):
            out.write(ONE, "x" * 50)
        with pytest.raises(BlockingIOError):
            os.read(stdout, 1)
        for _ in range(100):
            out.write(ONE, "x" * 50)
        assert len(os.read(stdout, 100_000)) > 32_000


def test_a_reader_that_goes_is_said_once() -> None:
    with piped_stdout() as stdout:
        out = sink()
        out.write(ONE, 1)
        os.close(stdout)
        with pytest.raises(BrokenPipeError):
            out.flush()
        out.write(ONE, 2)
        out.flush()
        out.close()


def test_a_stdout_that_does_not_block_is_waited_for() -> None:
    """The reader begins when the pipe is full: all that is written comes through, nothing twice."""
    program = (
        "import os\nos.set_blocking(1, False)\n"
        "from procession.cli.mapping.outputs import Outputs, open_sink\n"
        "from procession.cli.mapping.inputs import Item\n"
        "sink = open_sink(Outputs(format='lines'))\n"
        "for number in range(100_000): sink.write(Item(None, '-', 1, None, 0), number)\n"
        "sink.close()\n"
    )
    found = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert found == b"".join(b"%d\n" % number for number in range(100_000))


def test_a_full_disk_is_a_sentence_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = os.dup(1)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    try:
        out = sink()
        out.write(ONE, 1)
        with pytest.raises(OutputError, match=r"^stdout: No space left on device$"):
            out.flush()
        out.write(ONE, 2)
        out.close()
        os.close(1)
        out = sink()
        out.write(ONE, 1)
        with pytest.raises(OutputError, match=r"^stdout: Bad file descriptor$"):
            out.close()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(full)


# ---------------------------------------------------------------------------------------------------------------- files


def test_a_file_has_its_name_when_it_is_complete(tmp_path: Path) -> None:
    file, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    file.write_text("of an earlier run")
    file.chmod(0o640)
    out = sink(output=str(file))
    out.write(ONE, {"a": 1})
    out.flush()
    assert partial.read_text() == '{"a": 1}\n', "who wants to look, looks there"
    assert file.read_text() == "of an earlier run"
    out.write(ONE, 2)
    out.close()
    assert file.read_text() == '{"a": 1}\n2\n'
    assert not partial.exists()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    out.close()


def test_what_was_written_before_an_interruption_is_kept_beside(tmp_path: Path) -> None:
    file, partial = tmp_path / "out.txt", tmp_path / "out.txt.partial"
    out = sink(output=str(file))
    out.write(ONE, "first")
    out.close(complete=False)
    assert partial.read_text() == "first\n"
    assert not file.exists()
    out = sink(output=str(file))
    out.write(ONE, "again")
    out.close()
    assert file.read_text() == "again\n"
    assert not partial.exists()

    out = sink(output=str(tmp_path / "nothing.txt"))
    out.close(complete=False)
    assert [each.name for each in tmp_path.iterdir()] == ["out.txt"], "of nothing, nothing is left"


def test_a_disk_that_fills_never_makes_a_file_that_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out.jsonl"
    out = sink(output=str(file))
    out.write(ONE, "x" * 10)
    place: Any = out.place  # type: ignore[attr-defined]

    def full(data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(place, "_file", Broken(place._file, full))
        with pytest.raises(OutputError, match=r"out\.jsonl: No space left on device"):
            out.close()
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl.partial"]


class Broken:
    """A file whose writes fail."""

    def __init__(self, file: Any, write: Any) -> None:
        self.file, self.write = file, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_after_a_failed_write_the_end_makes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.jsonl"
    out = sink(output=str(file))
    place: Any = out.place  # type: ignore[attr-defined]
    out.write(ONE, 1)

    def full(data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(place, "_file", Broken(place._file, full))
        with pytest.raises(OutputError):
            out.flush()
    out.close(complete=True)
    assert not file.exists()


def test_two_programs_do_not_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    first = sink(output=str(file))
    first.write(ONE, [1])
    with pytest.raises(OutputError, match=r"out\.csv: another program is writing it, into .*out\.csv\.partial"):
        sink(output=str(file))
    first.close()
    assert file.read_text() == "1\n"


def test_a_file_that_gets_its_name_is_not_begun_by_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither just before, when nobody may have its lock, nor just after, when who has opened it has FILE itself."""
    file, partial, replace, flock = tmp_path / "out.txt", tmp_path / "out.txt.partial", os.replace, fcntl.flock
    refused = []

    def begun_before(one: str, other: str) -> None:
        with pytest.raises(OutputError, match="another program"):
            sink(output=str(file))
        refused.append(one)
        replace(one, other)

    out = sink(output=str(file))
    out.write(ONE, "first")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", begun_before)
        out.close()
    assert refused == [str(partial)]
    assert file.read_text() == "first\n"

    def named_meanwhile(opened: Any, how: int) -> None:
        monkeypatch.undo()
        partial.write_text("second\n")
        replace(partial, file)
        flock(opened, how)

    monkeypatch.setattr(fcntl, "flock", named_meanwhile)
    out = sink(output=str(file))
    assert file.read_text() == "second\n", "it is complete, and nobody's to be cut"
    out.write(ONE, "third")
    out.close()
    assert file.read_text() == "third\n"


def test_what_is_no_file_may_be_full(tmp_path: Path) -> None:
    out = sink(output="/dev/full")
    out.write(ONE, 1)
    with pytest.raises(OutputError, match=r"^/dev/full: No space left on device$"):
        out.close()
    out.close()


def test_a_link_stays_a_link_and_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real.txt").touch()
    (tmp_path / "link.txt").symlink_to("real.txt")
    out = sink(output=str(tmp_path / "link.txt"))
    out.write(ONE, "x")
    out.close()
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "x\n"
    out = sink(output="/dev/null")
    out.write(ONE, "x")
    out.close()
    assert not os.path.exists("/dev/null.partial")


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip), (".bz2", bz2), (".xz", lzma)])
def test_a_name_may_ask_for_packing(tmp_path: Path, suffix: str, pack: Any) -> None:
    file = tmp_path / f"out.csv{suffix}"
    out = sink(output=str(file))
    out.write(ONE, {"a": 1})
    out.flush()
    out.close()
    assert pack.open(file, "rt").read() == "a\n1\n"
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("a.jsonl", {"a": 1}, '{"a": 1}\n'),
        ("a.NDJSON", [1], "[1]\n"),
        ("a.txt", "x", "x\n"),
        ("a.csv", {"a": 1}, "a\n1\n"),
        ("a.tsv", ["x", 1], "x\t1\n"),
        ("a.json", "x", '"x"\n'),
        ("a", "x", '"x"\n'),
    ],
)
def test_the_name_of_the_file_says_the_format(tmp_path: Path, name: str, value: Any, written: str) -> None:
    out = sink(output=str(tmp_path / name))
    out.write(ONE, value)
    out.close()
    assert (tmp_path / name).read_text() == written
    out = sink(output=str(tmp_path / name), format="jsonl")
    out.write(ONE, {"b": None})
    out.close()
    assert (tmp_path / name).read_text() == '{"b": null}\n'


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"format": "xml"}, r"--to takes one of jsonl, .*; got 'xml'"),
        ({"output": "no/such/out.txt"}, r"no/such/out\.txt: there is no such folder"),
        ({"output": "."}, r"^\.: is a folder; --out-dir"),
        ({"output": "a", "out_dir": "b"}, r"--out-dir .* --output"),
        ({"format": "csv", "out_dir": "b"}, r"--out-dir .* --to"),
        ({"name": "{stem}"}, r"--name .* --out-dir, which is missing"),
        ({"format": "csv", "delimiter": "ab"}, r"--delimiter takes one character"),
        ({"tag": True}, r"--tag is for --to lines"),
        ({"tag": True, "format": "lines", "with_item": True}, r"take one of them"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=said):
        sink(**words)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_no_trace_in_any_format(tmp_path: Path) -> None:
    for format in FORMATS:
        file = tmp_path / format
        out = sink(output=str(file), format=format)
        bad: Any = Unwritable()
        out.write(ONE, {"a": "first"})
        for value in (bad, {"a": bad}, [bad]):
            if format in ("lines", "null") and value is not bad:
                continue
            with pytest.raises(NotWritable):
                out.write(ONE, value)
        out.write(ONE, {"a": "second"})
        out.close()
        data = file.read_bytes()
        assert b"first" in data
        assert b"second" in data
        assert b"Unwritable" not in data
        if format in ("jsonl", "lines", "null"):
            assert len(data.replace(b"\0", b"\n").splitlines()) == 2


class Unwritable:
    def __str__(self) -> str:
        raise RuntimeError("no")
