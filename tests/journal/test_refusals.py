"""What a journal refuses: each a JournalError that says the path, what is so, and what to do, and changes nothing."""

from __future__ import annotations

import functools
import os
import pickle
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from procession import Journal, JournalError, ProcessionError
from procession.journal import files, identity, settings_of
from procession.journal.comparing import differences
from procession.types import Raised
from tests.apart import ROOT
from tests.journal.work import PATIENCE, Point, accept, double, open_map, open_queue, recall, record, triple

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def refused(path: Path, open: Callable[..., Any] = open_map, **words: Any) -> str:
    """What is said when it is opened; nothing is left open, and no lock."""
    with pytest.raises(JournalError) as caught:
        open(path, **words)
    assert not list(path.parent.glob("*-lock"))
    text = str(caught.value)
    assert text.startswith(f"journal {path}: ")
    assert isinstance(caught.value, ProcessionError)
    return text


def made(path: Path, **words: Any) -> None:
    journal = open_map(path, **words)
    record(journal, [1, 2], [10, (20,)])
    journal.close()


# ------------------------------------------------------------------------------------------------------------- settings


def test_settings_are_checked_and_never_change() -> None:
    journal = Journal("run.db", version=3, force=True, sync=False)
    assert (journal.path, journal.force, journal.version, journal.sync) == ("run.db", True, 3, False)
    assert journal == Journal(Path("run.db"), version=3, force=True, sync=False) != Journal("run.db")
    assert len({journal, Journal("run.db", version=3, force=True, sync=False)}) == 1
    assert pickle.loads(pickle.dumps(journal)) == journal
    assert repr(journal) == "Journal('run.db', force=True, version=3, sync=False)"
    for change in (lambda: setattr(journal, "path", "x"), lambda: delattr(journal, "path")):
        with pytest.raises(AttributeError, match="never changes"):
            change()
    assert settings_of(journal) is journal
    assert settings_of(Path("a")) == settings_of("a") == Journal("a")


class OfBytes:
    def __fspath__(self) -> bytes:
        return b"run.db"


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ({"path": 3}, TypeError, "path must be"),
        ({"path": b"run.db"}, TypeError, "path must be"),
        ({"path": OfBytes()}, TypeError, "path must be"),
        ({"path": ""}, ValueError, "path must be"),
        ({"path": "a\0b"}, ValueError, "path must be"),
        ({"path": "a", "force": 1}, TypeError, "force must be"),
        ({"path": "a", "sync": None}, TypeError, "sync must be"),
        ({"path": "a", "version": 1.5}, TypeError, "version must be"),
        ({"path": "a", "version": True}, TypeError, "version must be"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    words: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Journal(**words)


def test_what_is_no_path_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"journal must be a path or a procession\.Journal, not int"):
        settings_of(3)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------- whose journal it is


def test_another_function_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "run.db")
    text = refused(tmp_path / "run.db", fn=triple)
    assert "the function was tests.journal.work:double, now it is tests.journal.work:triple" in text
    assert "the code of tests.journal.work:triple was another one" in text
    assert "Journal(path, force=True)" in text


def with_constant(n: int) -> Callable[[int], int]:
    def add(x: int) -> int:
        return x + n

    return add


def test_another_code_is_refused_and_a_version_stands_for_it(tmp_path: Path) -> None:
    made(tmp_path / "code.db", fn=with_constant(1))
    made(tmp_path / "code.db", fn=with_constant(1))
    assert "the code of tests.journal.test_refusals:with_constant.<locals>.add was another one" in refused(
        tmp_path / "code.db", fn=with_constant(2)
    )
    made(tmp_path / "version.db", fn=with_constant(1), version="a")
    made(tmp_path / "version.db", fn=with_constant(2), version="a")
    for version in ("b", 1, None):
        text = refused(tmp_path / "version.db", fn=with_constant(1), version=version)
        assert f"version was 'a', now it is {version!r}" in text
    assert "version was None, now it is 1" in refused(tmp_path / "code.db", fn=with_constant(1), version=1)


def test_another_seed_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "run.db", seed=1)
    assert "seed was 1, now it is None" in refused(tmp_path / "run.db")
    assert "seed was 1, now it is 2" in refused(tmp_path / "run.db", seed=2)


def test_force_goes_on_and_writes_down_the_new(tmp_path: Path) -> None:
    made(tmp_path / "run.db")
    journal = open_map(tmp_path / "run.db", fn=triple, seed=3, version=2, force=True)
    assert recall(journal, [1, 2]) == [10, (20,)]
    journal.close()
    made(tmp_path / "run.db", fn=triple, seed=3, version=2)
    assert "the function was tests.journal.work:triple" in refused(tmp_path / "run.db")


@pytest.mark.parametrize("force", [False, True])
def test_what_cannot_be_forced(tmp_path: Path, force: bool) -> None:
    made(tmp_path / "run.db")
    text = refused(tmp_path / "run.db", item_id=str, force=force)
    assert "known by the positions of its items, now they would be by ids of its items (item_id)" in text
    text = refused(tmp_path / "run.db", open_queue, force=force)
    assert "it belongs to an imap, and this is a SpinOff; take another file" in text


def test_all_that_differs_is_named(tmp_path: Path) -> None:
    made(tmp_path / "run.db", seed=1)
    text = refused(tmp_path / "run.db", fn=triple, seed=2, version="v")
    assert all(each in text for each in ("the function was", "seed was", "version was"))


def test_under_another_python_code_is_not_compared_and_each_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    was = {"kind": "map", "function": "a:f", "code": {"3.9": "1"}, "version": None, "seed": None, "own_ids": False}
    monkeypatch.setattr("procession.journal.comparing._python", lambda: "3.14")
    now = {**was, "code": {"3.14": "2"}}
    differences("run.db", was, now, False)
    assert now["code"] == {"3.9": "1", "3.14": "2"}
    with pytest.raises(JournalError, match=r"another one \(2, now 3\)"):
        differences("run.db", now, {**was, "code": {"3.14": "3"}}, False)
    forced = {**was, "code": {"3.14": "3"}}
    differences("run.db", now, forced, True)
    assert forced["code"] == {"3.14": "3"}


# --------------------------------------------------------------------------------------------------------- what it is


def contents(path: Path) -> list[tuple[str, bytes]]:
    return sorted((each.name, each.read_bytes()) for each in path.iterdir() if each.is_file())


PNG = bytes.fromhex("89504e470d0a1a0a0000000d494844520000000100000001080600000 01f15c489".replace(" ", ""))


@pytest.mark.parametrize("content", [b"Dear diary,\n", PNG * 100, b"SQLite format 3\0", b"\0" * 4096, b"x"])
def test_what_is_no_journal_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.db").write_bytes(content)
    text = refused(tmp_path / "run.db", force=True)
    assert "it is no journal, but another kind of file; nothing was changed in it" in text
    assert contents(tmp_path) == [("run.db", content)]


def test_another_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "run.db") as connection:
        connection.execute("CREATE TABLE items (a)")
    connection.close()
    before = contents(tmp_path)
    assert "it is a database, but no journal" in refused(tmp_path / "run.db", force=True)
    assert contents(tmp_path) == before


def test_a_newer_format_is_refused_and_not_touched(tmp_path: Path) -> None:
    made(tmp_path / "run.db")
    connection = sqlite3.connect(tmp_path / "run.db")
    connection.execute("PRAGMA user_version=2")
    connection.close()
    before = contents(tmp_path)
    text = refused(tmp_path / "run.db", force=True)
    assert "it was written by a newer procession (format 2, this one knows 1)" in text
    assert contents(tmp_path) == before


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    (tmp_path / "run.db").touch(mode=0o644)
    made(tmp_path / "run.db")
    assert stat.S_IMODE((tmp_path / "run.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("mask", [0, 0o077])
def test_files_are_the_users_alone(tmp_path: Path, mask: int) -> None:
    old = os.umask(mask)
    try:
        journal = open_map(tmp_path / "run.db")
    finally:
        os.umask(old)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    journal.close()
    assert modes == dict.fromkeys(["run.db", "run.db-wal", "run.db-shm", "run.db-lock"], 0o600)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.db").mkdir()
    assert "it is a folder; name a file in it" in refused(tmp_path / "run.db")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path}/no; make it first" in refused(tmp_path / "no" / "run.db")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.db")
    assert "it is no ordinary file" in refused(tmp_path / "run.db")


def test_a_log_without_its_file_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "run.db-wal").write_bytes(b"x" * 100)
    assert "its log" in refused(tmp_path / "run.db")
    assert contents(tmp_path) == [("run.db-wal", b"x" * 100)]


def test_what_a_killed_program_left_of_a_new_journal_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "run.db-new").write_bytes(b"half")
    (tmp_path / "run.db-new-journal").write_bytes(b"half")
    (tmp_path / "run.db-lock").write_bytes(b"1\n")
    made(tmp_path / "run.db")
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]


def test_strange_names_are_names(tmp_path: Path) -> None:
    for name in ("a b?c#d%41.db", "ü", os.fsdecode(b"\xff\xfe"), ":memory:", "file:x?mode=memory"):
        made(tmp_path / name)
        journal = open_map(tmp_path / name)
        assert journal.known == 2
        journal.close()
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("name", ["n" * 255, "n" * 241, "/".join(["f" * 100] * 5 + ["run.db"])])
def test_a_name_that_is_too_long_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert "a name may have 240 bytes, with its folders 490" in refused(path)
    assert list(path.parent.iterdir()) == []


def test_a_long_name_is_a_name(tmp_path: Path) -> None:
    made(tmp_path / ("n" * 240))
    folder = tmp_path / "/".join(["f" * 60] * 10)
    path = Path(str(folder)[:483]) / "run.db"
    path.parent.mkdir(parents=True)
    assert len(str(path)) == 490
    made(path)


def test_an_old_sqlite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 32, 3))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.32.3")
    assert "it needs SQLite 3.33 or newer, and that of this Python is 3.32.3" in refused(tmp_path / "run.db")
    assert list(tmp_path.iterdir()) == []


def test_links_lead_to_one_journal(tmp_path: Path) -> None:
    made(tmp_path / "run.db")
    (tmp_path / "link").symlink_to("run.db")
    journal = open_map(tmp_path / "link")
    assert journal.known == 2
    with pytest.raises(JournalError, match="it is in use by this program"):
        open_map(tmp_path / "run.db")
    journal.close()
    (tmp_path / "hangs").symlink_to("other.db")
    made(tmp_path / "hangs")
    assert (tmp_path / "other.db").exists()


READ_ONLY = """
import os, sys
from tests.journal.work import *
os.setgid({0})
os.setuid({0})
for _ in range(2):
    try:
        open_map(sys.argv[1])
    except JournalError as error:
        print(error)
"""


@AS_ROOT
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """By a program of another user: root may write anywhere."""
    folder = tmp_path / "folder"
    folder.mkdir()
    made(folder / "run.db")
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    (folder / "run.db").chmod(0o644)
    command = [sys.executable, "-c", READ_ONLY.format(NOBODY), str(folder / "run.db")]
    before = contents(folder)
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    told = ran.stdout.splitlines()
    assert len(told) == 2, ran.stderr
    assert all(re.search(r"run\.db: making .*run\.db-lock failed: .*Permission denied", each) for each in told)
    assert contents(folder) == before


@AS_ROOT
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    made(tmp_path / "run.db")
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o777 if each == tmp_path else 0o755)
    command = [sys.executable, "-c", READ_ONLY.format(NOBODY), str(tmp_path / "run.db")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.stdout.count("reading it failed: [Errno 13] Permission denied") == 2, ran.stderr


def test_a_file_that_sqlite_cannot_write_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that is mounted read-only, for whose sake nothing is mounted here."""
    from procession.journal import store

    made(tmp_path / "run.db")
    monkeypatch.setattr(store, "connect", functools.partial(store.connect, mode="ro"))
    assert "the file, or its folder, cannot be written" in refused(tmp_path / "run.db")


# -------------------------------------------------------------------------------------------------------------- pickles


went_off: list[int] = []


class Bomb:
    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    went_off.append(1)


def check_untrusted(path: Path, why: str) -> None:
    """JSON is recalled; what is pickled is not, and says why."""
    journal = open_map(path)
    assert recall(journal, [1]) == [10]
    for items, first in (([2], 1), ([3], 2)):
        with pytest.raises(JournalError, match="is a pickle, and is not loaded") as caught:
            recall(journal, items, first)
        assert why in str(caught.value)
    journal.close()
    assert went_off == []


def with_bomb(path: Path) -> None:
    journal = open_map(path)
    record(journal, [1, 2, 3], [10, Bomb(), Raised(ValueError("x"))])
    journal.close()
    went_off.clear()


@AS_ROOT
def test_pickles_in_the_file_of_another_user_are_not_loaded(tmp_path: Path) -> None:
    with_bomb(tmp_path / "run.db")
    os.chown(tmp_path / "run.db", NOBODY, -1)
    check_untrusted(tmp_path / "run.db", f"belongs to user {NOBODY}, not to you (user 0)")


def test_pickles_in_a_file_that_seems_another_users_are_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bomb(tmp_path / "run.db")
    me = os.geteuid()
    monkeypatch.setattr(files.os, "geteuid", lambda: me + 1)
    check_untrusted(tmp_path / "run.db", f"belongs to user {me}, not to you (user {me + 1})")


@pytest.mark.parametrize("mode", [0o660, 0o602, 0o666])
def test_pickles_in_a_file_that_others_may_write_are_not_loaded(tmp_path: Path, mode: int) -> None:
    with_bomb(tmp_path / "run.db")
    (tmp_path / "run.db").chmod(mode)
    check_untrusted(tmp_path / "run.db", f"may be written by others (mode {mode:04o}); chmod go-w")
    (tmp_path / "run.db").chmod(0o600)
    journal = open_map(tmp_path / "run.db")
    recall(journal, [2], first=1)
    assert went_off == [1]
    journal.close()
    went_off.clear()


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_what_lies_beside_the_file_must_be_the_users_own_too(tmp_path: Path, end: str) -> None:
    made(tmp_path / "run.db")
    (tmp_path / f"run.db{end}").touch()
    (tmp_path / f"run.db{end}").chmod(0o666)
    assert "may be written by others" in str(files.foreign(str(tmp_path / "run.db")))


def test_items_of_a_queue_are_loaded_under_the_same_rule(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db")
    accept(journal, ["json", Point(1)])
    journal.close()
    (tmp_path / "run.db").chmod(0o620)
    journal = open_queue(tmp_path / "run.db")
    first, second = journal.pending()
    assert first.item == "json"
    with pytest.raises(JournalError, match="item 1 is a pickle, and is not loaded"):
        second.item  # noqa: B018
    journal.close()


def test_a_class_that_is_gone_is_an_error_that_names_the_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_map(tmp_path / "run.db")
    record(journal, [1], [Point(1)])
    journal.close()
    journal = open_map(tmp_path / "run.db")
    monkeypatch.delattr("tests.journal.work.Point")
    with pytest.raises(JournalError, match="the outcome of item 0 cannot be rebuilt here: AttributeError"):
        recall(journal, [1])
    journal.close()


def test_the_identity_is_what_the_caller_says() -> None:
    assert identity.identity_of(double) == identity.identity_of(double)
    assert identity.identity_of(double) != identity.identity_of(double, 1)
