"""concurrent.futures.ProcessPoolExecutor, with the interpreter's default start method and with forkserver."""

from typing import Any

from benchmarks.peers.base import ExecutorPeer


class ProcessPoolExecutorPeer(ExecutorPeer):
    """The baseline of the run."""

    name = "ppe"
    title = "concurrent.futures.ProcessPoolExecutor"
    package = "concurrent.futures"
    chunked = True
    streams_in_chunks = True
    chunksizes = (500, 2_000, 8_000, 25_000)
    script_import = "from concurrent.futures import ProcessPoolExecutor"
    script_body = "with ProcessPoolExecutor(2) as pool:\n    print(pool.submit(noop, 1).result())"

    def make_pool(self, workers: int) -> Any:
        return self.library().ProcessPoolExecutor(workers)


class ForkserverPeer(ExecutorPeer):
    """The same from a fork server, for the measures where the start method is what counts."""

    name = "ppe-forkserver"
    title = "ProcessPoolExecutor, forkserver"
    package = "concurrent.futures"
    measures = frozenset({"startup", "idle"})
    script_import = "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor"
    script_body = (
        'context = multiprocessing.get_context("forkserver")\n'
        "with ProcessPoolExecutor(2, mp_context=context) as pool:\n"
        "    print(pool.submit(noop, 1).result())"
    )

    def make_pool(self, workers: int) -> Any:
        import multiprocessing

        context = multiprocessing.get_context("forkserver")
        return self.library().ProcessPoolExecutor(workers, mp_context=context)
