"""The parent forks, or a task does: the copy of the pool is nobody's, and a child of a task is no worker."""

import os
import traceback
import warnings

from procession import Pool, SpinOff
from tests.failures import tasks
from tests.failures.kit import Notes


def in_child(body) -> str:
    """Fork, run `body` in the child, and return what it returned or raised, as text."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "multi-threaded, fork": that is the point
        pid = os.fork()
    if pid == 0:
        try:
            try:
                said = str(body())
            except BaseException:
                said = traceback.format_exc()
            os.write(write, said.encode()[:60_000])
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


def test_the_childs_copy_refuses() -> None:
    """Row: The parent forks, or a task forks. The child's copy of a pool refuses work, clearly; the parent's lives."""
    with Pool(2) as pool:
        future = pool.submit(tasks.double, 1)
        said = in_child(lambda: pool.submit(tasks.double, 2).result(10))
        assert "RuntimeError" in said
        assert "fork" in said, said
        assert "fork" in in_child(lambda: list(pool.map(tasks.double, [1])))
        assert "fork" in in_child(lambda: list(pool.imap(tasks.double, [1])))
        assert in_child(lambda: pool.shutdown()) == "None"
        assert future.result(60) == 2
        assert pool.submit(tasks.double, 3).result(60) == 6


def test_the_childs_copy_of_a_spinoff_refuses() -> None:
    """Row: The parent forks, or a task forks. A spin-off's copy as well."""
    with SpinOff(tasks.double) as spin:
        spin.put(1)
        said = in_child(lambda: spin.put(2).result(10))
        assert "RuntimeError" in said
        assert "fork" in said, said
    assert list(spin) == [2]


def test_the_childs_copy_of_a_stream_refuses() -> None:
    """Row: The parent forks, or a task forks. What a child has of a map or an imap waits for nothing."""
    source = (n for n in range(100))
    with Pool(2) as pool:
        mapped, streamed = pool.map(tasks.double, range(100)), pool.imap(tasks.double, source, window=4)
        assert (next(mapped), next(streamed)) == (0, 0)
        said = in_child(lambda: next(streamed))
        assert "this stream belongs to the parent process, which forked" in said, said
        said = in_child(lambda: list(mapped))  # of which the child may have some already
        assert "RuntimeError" in said or said == str(list(range(2, 200, 2))), said
        assert in_child(lambda: streamed.close()) == "None"
        assert list(mapped) == list(streamed) == list(range(2, 200, 2))


def test_the_child_holds_none_of_our_descriptors() -> None:
    """Row: The parent forks, or a task forks. The child holds no descriptor of the pool."""
    before = set(os.listdir("/proc/self/fd"))
    with Pool(2) as pool:
        assert pool.submit(tasks.double, 1).result(60) == 2
        ours = set(os.listdir("/proc/self/fd")) - before
        assert ours
        held = in_child(lambda: " ".join(os.listdir("/proc/self/fd"))).split()
        # two for the pipe of in_child, one of its listing
        assert len(set(held) & ours) <= 3, (held, ours)


def test_a_child_makes_a_pool_of_its_own() -> None:
    """Row: The parent forks, or a task forks. A new pool in the child works."""

    def fresh() -> int:
        with Pool(1) as pool:
            return pool.submit(tasks.double, 21).result(60)

    with Pool(1) as pool:
        pool.submit(tasks.double, 1).result(60)
        assert in_child(fresh) == "42"
        assert pool.submit(tasks.double, 1).result(60) == 2


def test_a_forked_child_that_returns_from_a_task_exits(notes: Notes) -> None:
    """Row: The parent forks, or a task forks. The child that returns from the task is not taken for the worker."""
    with Pool(1) as pool:
        for _ in range(3):
            said, worker, code = pool.submit(tasks.fork_and_return, notes.path).result(60)
            assert (said, code) == ("parent", 0)
            assert worker == pool.submit(tasks.pid_of_worker).result(60)
        values = list(pool.imap(tasks.fork_and_return, [notes.path] * 4, chunksize=4))
        assert [v[0] for v in values] == ["parent"] * 4
    assert len(notes.lines()) == 7


def test_a_child_of_a_task_holds_no_channel(notes: Notes) -> None:
    """Row: The parent forks, or a task forks. A child of a task holds none of the worker's channels, but what it prints
    and logs by; it warns of nothing, for a worker has no threads."""
    with Pool(1) as pool:
        pool.submit(tasks.fork_and_list, notes.path).result(60)
        mine = pool.submit(tasks.my_descriptors).result(60)
        mine.pop(pool.submit(tasks.descriptor_of_notes).result(60))
    inherited = [line.split(maxsplit=1) for line in notes.lines()]
    pipes = {target for fd, target in mine.items() if fd > 2 and target.startswith("pipe:")}
    assert pipes
    assert not [target for fd, target in inherited if int(fd) > 2 and target in pipes]
