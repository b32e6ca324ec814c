"""loky, through the reusable executor that its documentation recommends."""

from typing import Any

from benchmarks.peers.base import ExecutorPeer


class LokyPeer(ExecutorPeer):
    """An executor whose workers are fresh interpreters and whose functions may travel by value."""

    name = "loky"
    title = "loky.get_reusable_executor"
    package = "loky"
    distribution = "loky"
    chunked = True
    chunksizes = (500, 2_000, 8_000, 25_000)
    script_import = "from loky import get_reusable_executor"
    script_body = "with get_reusable_executor(max_workers=2) as pool:\n    print(pool.submit(noop, 1).result())"

    def make_pool(self, workers: int) -> Any:
        return self.library().get_reusable_executor(max_workers=workers)
