"""Whose folder it is, who is at the other end, and what is left behind by programs that were killed."""

import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from procession.seeing.attending import places


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="ptop", dir="/tmp") as name:
        yield Path(name)


def test_where_a_program_listens(short: Path) -> None:
    usual = Path(f"/tmp/procession-{os.geteuid()}")
    assert places.folder({"XDG_RUNTIME_DIR": str(short)}) == short / "procession"
    for wrong in ("", "relative", str(short / "missing"), "/etc/passwd"):
        assert places.folder({"XDG_RUNTIME_DIR": wrong}) == usual
    assert places.folder({}) == usual
    assert usual in places.folders(os.geteuid(), {"XDG_RUNTIME_DIR": str(short)})


def test_a_runtime_folder_whose_name_is_too_long_for_a_socket_is_not_used(short: Path) -> None:
    def named(length: int) -> Path:
        made = short / ("x" * (length - len(os.fsencode(short)) - 1))
        made.mkdir()
        return made

    longest = named(places.LONGEST)
    assert places.folder({"XDG_RUNTIME_DIR": str(longest)}) == longest / "procession"
    places.prepare(longest / "procession")
    places.listen(longest / "procession" / "4194304.sock", 1).close()
    too_long = {"XDG_RUNTIME_DIR": str(named(places.LONGEST + 1))}
    assert places.folder(too_long) == Path(f"/tmp/procession-{os.geteuid()}")


def test_a_runtime_folder_of_somebody_else_is_not_used(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert places.folder({"XDG_RUNTIME_DIR": str(short)}) == Path("/tmp/procession-12345")


def test_the_folder_is_made_for_its_owner_alone(short: Path) -> None:
    before = os.umask(0)
    try:
        places.prepare(short / "procession")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.lstat(short / "procession").st_mode) == 0o700
    places.prepare(short / "procession")


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o777, 0o770, 0o740])
def test_a_folder_that_others_may_use_is_refused(short: Path, mode: int) -> None:
    (short / "procession").mkdir()
    (short / "procession").chmod(mode)
    with pytest.raises(places.Unfit, match=f"open to others .mode {mode:o}"):
        places.prepare(short / "procession")


def test_a_link_or_a_file_is_refused(short: Path) -> None:
    (short / "real").mkdir(mode=0o700)
    (short / "link").symlink_to(short / "real")
    (short / "dangling").symlink_to(short / "missing")
    (short / "file").touch()
    for name in ("link", "dangling", "file"):
        with pytest.raises(places.Unfit, match="is not a folder"):
            places.prepare(short / name)
    assert not (short / "missing").exists()


def test_a_folder_of_somebody_else_is_refused(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short / "procession").mkdir(mode=0o700)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(places.Unfit, match=f"belongs to the user with the number {mine}"):
        places.prepare(short / "procession")
    with pytest.raises(places.Unfit, match="belongs to the user"):
        places.connect(short / "procession" / "1.sock")


def test_the_socket_is_its_owners_and_takes_the_place_of_one_that_was_left(short: Path) -> None:
    path = short / "7.sock"
    for _ in range(2):  # the second time it lies there
        with contextlib.closing(places.listen(path, 1)):
            found = os.lstat(path)
            assert stat.S_ISSOCK(found.st_mode)
            assert stat.S_IMODE(found.st_mode) == 0o600
            assert os.listdir(short) == ["7.sock"]


def test_a_socket_that_cannot_be_made_leaves_nothing(short: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        places.listen(short / ("x" * 200), 1)
    assert os.listdir(short) == []


@pytest.mark.parametrize(("who", "found"), [(0, None), (12345, None), (12346, 12346)])
def test_who_is_at_the_other_end_is_asked_of_the_kernel(who: int, found: int | None) -> None:
    class Fake:
        def getsockopt(self, level: int, name: int, size: int) -> bytes:
            assert (level, name) == (socket.SOL_SOCKET, socket.SO_PEERCRED)
            return (999).to_bytes(4, "little") + who.to_bytes(4, "little") + bytes(size - 8)

    assert places.stranger(Fake(), 12345) == found  # type: ignore[arg-type]


def test_who_listens_in_a_strangers_name_is_not_talked_to(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places.prepare(short)
    with contextlib.closing(places.listen(short / "7.sock", 1)):
        with contextlib.closing(places.connect(short / "7.sock")) as connected:
            assert places.stranger(connected, os.geteuid()) is None
        monkeypatch.setattr(places, "stranger", lambda _connection, _uid: 12345)
        with pytest.raises(places.Unfit, match="12345 listens"):
            places.connect(short / "7.sock")


def test_what_nobody_listens_at_is_removed_and_what_somebody_does_is_found(short: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(short)}
    home = places.folder(environ)
    places.prepare(home)
    places.listen(home / "5.sock", 1).close()
    (home / "nonsense.sock").touch()
    (home / "6.txt").touch()
    with contextlib.closing(places.listen(home / "4.sock", 1)):
        found = [(pid, path) for pid, path in places.programs(os.geteuid(), environ) if path.parent == home]
        assert found == [(4, home / "4.sock"), (5, home / "5.sock")]
        with pytest.raises(ConnectionRefusedError):
            places.connect(home / "5.sock")
        places.connect(home / "4.sock").close()
        assert sorted(os.listdir(home)) == ["4.sock", "6.txt", "nonsense.sock"]


def test_a_folder_that_is_not_fit_is_told(short: Path) -> None:
    (short / "procession").mkdir()
    (short / "procession").chmod(0o777)
    with pytest.raises(places.Unfit, match="open to others"):
        list(places.programs(os.geteuid(), {"XDG_RUNTIME_DIR": str(short)}))
