"""Programs of docs/ that need other libraries, as they stand there. Those on a cluster: tests/clusters."""

from pathlib import Path

import pytest

from tests.examples.pages import Block, elsewhere, printed_by

BLOCKS = [block for block in elsewhere() if block.said not in ("needs a cluster", "needs PyTorch")]


@pytest.mark.e2e
@pytest.mark.parametrize("block", BLOCKS, ids=[block.name for block in BLOCKS])
def test_a_program_of_a_page(tmp_path: Path, block: Block) -> None:
    assert printed_by(block, tmp_path, {}) == block.printed
