"""How large arenas may become."""

from pathlib import Path

import pytest

from procession import cgroups
from procession.transport import budget
from procession.transport.spans import GRAIN

GB = 1 << 30


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(budget.VARIABLE, raising=False)


@pytest.mark.parametrize(("text", "bytes_"), [("0", 0), ("1_000_000", 1_000_000), (" 5 ", 5)])
def test_what_the_user_says(monkeypatch: pytest.MonkeyPatch, text: str, bytes_: int) -> None:
    monkeypatch.setenv(budget.VARIABLE, text)
    assert budget.total() == bytes_
    assert budget.narrowed(GB) == GB, "what was asked for is not narrowed"


@pytest.mark.parametrize("text", ["", "much", "-1", "1e9"])
def test_what_makes_no_sense_is_nothing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(budget.VARIABLE, text)
    monkeypatch.setattr(budget, "machine", lambda: 16 * GB)
    assert budget.total() == 4 * GB


def test_the_address_space_counts_where_it_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "Max address space         {0}           {0}           bytes"
    monkeypatch.setattr(cgroups, "read", lambda _path: line.format("unlimited"))
    there = budget.machine()
    assert there > 0
    monkeypatch.setattr(cgroups, "read", lambda _path: line.format(1 << 20))
    assert budget.machine() == 1 << 18


def test_control_groups_narrow_a_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    (tmp_path / "proc/self/mountinfo").write_text("1 2 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    group = tmp_path / "sys/fs/cgroup/a/b"
    group.mkdir(parents=True)
    root = str(tmp_path)
    monkeypatch.setattr(budget, "machine", lambda: 16 * GB)
    assert budget.narrowed(GB, root) == GB
    (group / "memory.max").write_text("max\n")
    assert budget.narrowed(GB, root) == GB
    (group.parent / "memory.max").write_text(f"{4 * GB}\n")
    assert budget.narrowed(GB, root) == GB // 4
    (group / "memory.max").write_text(f"{GB}\n")
    assert budget.narrowed(GB, root) == GB // 16 // GRAIN * GRAIN
