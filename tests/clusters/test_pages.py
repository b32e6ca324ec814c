"""Programs of docs/ that need a cluster, run as they stand there: their own processes, the cluster of this session."""

from pathlib import Path

import pytest

from tests.clusters.engines import running
from tests.examples.pages import Block, elsewhere, printed_by

BLOCKS = [block for block in elsewhere() if block.said == "needs a cluster"]


def test_each_says_which() -> None:
    assert [block.name for block in BLOCKS if engine_of(block) not in ("ray", "dask")] == []


def engine_of(block: Block) -> str:
    return block.code.partition('backend="')[2].partition('"')[0]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("block", "backend"), [(block, engine_of(block)) for block in BLOCKS], ids=[block.name for block in BLOCKS]
)
def test_a_program_of_a_page(tmp_path: Path, block: Block, backend: str) -> None:
    found = {} if running.dask is None else {"DASK_SCHEDULER_ADDRESS": running.dask.address}  # Ray's is set already
    assert printed_by(block, tmp_path, found) == block.printed
