"""black, from PyPI as it is, on our pool: what it prints, its exit status and the files that it writes are the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.programs.cases import PROGRAMS
from benchmarks.programs.rounds import run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BLACK = next(each for each in PROGRAMS if each.package == "black")


def test_black_on_our_pool(tmp_path: Path) -> None:
    own = run(BLACK, Path(sys.executable), False, ["json"], tmp_path)
    ours = run(BLACK, Path(sys.executable), True, ["json"], tmp_path)
    assert b"files reformatted" in own.said
    assert ours.same_as(own, BLACK), (ours.status, ours.said, own.status, own.said)
