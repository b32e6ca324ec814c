"""`Pool(dashboard=True)`: the words, what is shared, and that nothing is left, whoever dies.

That no process, no descriptor and no thread is left is looked at by the suite's own fixture after each test.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from procession import Pool, dashboard, tapping
from tests import warm
from tests.dashboard.browser import Browser
from tests.top.running import PATIENCE, until

kept_zygote = warm.keep()


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Pools that are made in a test may be looked at; those of other tests may not."""
    with tempfile.TemporaryDirectory(prefix="pweb", dir="/tmp") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        monkeypatch.setenv("PROCESSION_TOP", "1")
        monkeypatch.setattr(tapping, "greet", None)
        yield Path(name)


def of(pool: Pool) -> Any:
    return pool._dashboard


def server(pool: Pool) -> int:
    """Its pid, once requests are answered."""
    until(lambda: of(pool)._ready)
    return int(of(pool)._process.pid)


def browser(pool: Pool) -> Browser:
    assert pool.dashboard is not None
    return Browser(pool.dashboard).enter()


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


# -------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("value", [None, "8080", 8080.0, ("127.0.0.1", 80)])
def test_what_is_no_port_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="dashboard must be True, False, or an integer"):
        Pool(1, dashboard=value)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_what_cannot_be_a_port_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=f"dashboard must be a port from 1 to 65535, .* got {port}"):
        Pool(1, dashboard=port)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else object())
    with pytest.raises(ImportError, match=r"pip install 'procession\[dashboard\]'"):
        Pool(1, dashboard=True)


def test_what_the_environment_forbids_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_TOP", "0")
    with pytest.raises(RuntimeError, match="PROCESSION_TOP=0 in the environment turns that off: unset it"):
        Pool(1, dashboard=True)
    monkeypatch.setenv("PROCESSION_TOP", "1")
    monkeypatch.setenv("PROCESSION_DASHBOARD_TOKEN", "short")
    with pytest.raises(ValueError, match="PROCESSION_DASHBOARD_TOKEN must be 16"):
        Pool(1, dashboard=True)


def test_a_port_that_is_taken_is_said_at_the_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"dashboard={port}: Address already in use: say another one, or True"):
            Pool(1, dashboard=port)


def test_without_the_word_there_is_none() -> None:
    with Pool(1, backend="inline") as pool, Pool(1, backend="inline", dashboard=False) as other:
        assert pool.dashboard is other.dashboard is None


# --------------------------------------------------------------------------------------------------------- what it does


def test_a_browser_sees_the_pool_to_its_last_number_and_nobody_else_the_token(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "procession")
    with Pool(2, dashboard=True) as pool:
        address = pool.dashboard
        assert capfd.readouterr().err == f"procession: the dashboard is at {address}\n"
        with browser(pool).tab() as tab:
            look = next(data for kind, data in tab if kind == "look")
            assert look["program"]["pid"] == os.getpid()
            assert [(each["backend"], each["done"]) for each in look["pools"]][-1] == ("processes", 0)
            assert list(pool.map(abs, range(50))) == list(range(50))
            pid, token = server(pool), str(address).partition("=")[2].encode()
            assert token not in Path(f"/proc/{pid}/cmdline").read_bytes()
            assert token not in Path(f"/proc/{pid}/environ").read_bytes()
            assert os.getsid(pid) != os.getsid(0)  # a ^C is not for it
            pool.shutdown()
            assert pool.dashboard is None
            assert not is_there(pid)
            *_, (before, last), (kind, text) = tab
            assert before == "look"
            assert (last["pools"][-1]["done"], last["pools"][-1]["rows"]) == (50, [])
            assert (kind, text) == ("over", {"text": "the last pool with a dashboard has ended"})
    # A log is read by others, too: it has the address, and not the token.
    place = str(address).partition("?")[0]
    assert [each.message for each in caplog.records if "dashboard" in each.message] == [
        f"the dashboard is at {place}; pool.dashboard has the address with its token"
    ]


def test_a_token_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_DASHBOARD_TOKEN", "the-token-of-the-scraper")
    with Pool(1, backend="threads", dashboard=True) as pool:
        pool.submit(abs, -1).result()
        made = browser(pool)
        assert made.token == "the-token-of-the-scraper"

        def done() -> bool:
            _, _, text = made.ask("/metrics", cookie="", authorization=f"Bearer {made.token}")
            return 'procession_tasks_done_total{pool="' in text

        until(done)
        assert not of(pool).ended


def test_pools_share_it_and_the_last_one_ends_it() -> None:
    with ExitStack() as stack:
        first, second, third = (
            stack.enter_context(Pool(1, backend=backend, dashboard=True))
            for backend in ("threads", "inline", "processes")
        )
        assert first.dashboard == second.dashboard == third.dashboard
        port = Browser(str(first.dashboard)).port
        with pytest.raises(ValueError, match=f"this process has its dashboard at port {port} already"):
            Pool(1, dashboard=1 if port != 1 else 2)
        pid = server(first)
        assert third.submit(abs, -1).result() == 1
        third.shutdown()
        first.shutdown()
        assert is_there(pid)
        with Pool(1, backend="threads", dashboard=port) as fourth:
            assert fourth.dashboard == second.dashboard
            second.shutdown()
            assert is_there(pid)
        assert not is_there(pid)
        assert first.dashboard is None
    with Pool(1, backend="threads", dashboard=port) as later:
        assert Browser(str(later.dashboard)).port == port


def test_work_that_is_not_awaited_keeps_it() -> None:
    with Pool(1, dashboard=True) as pool:
        read, write = os.pipe()
        future = pool.submit(until_byte, os.getpid(), read)
        pid = server(pool)
        until(future.running)
        pool.shutdown(wait=False)
        assert is_there(pid)
        os.write(write, b".")
        assert future.result() == b"."
        until(lambda: not is_there(pid))
        os.close(read)
        os.close(write)


def until_byte(pid: int, fd: int) -> bytes:
    with open(f"/proc/{pid}/fd/{fd}", "rb", buffering=0) as file:
        return file.read(1)


@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
@pytest.mark.parametrize("worked", [False, True])
def test_a_pool_that_is_dropped_lets_go_of_it(backend: Any, worked: bool) -> None:
    pool = Pool(1, backend=backend, dashboard=True)
    if worked:
        assert pool.submit(abs, -1).result() == 1
    made = of(pool)
    del pool
    gc.collect()
    until(lambda: made.address is None)
    until(lambda: made._through.opened)


@pytest.mark.parametrize("how", ["kill_workers", "terminate_workers"])
def test_a_pool_that_is_killed_lets_go_of_it(how: str) -> None:
    with Pool(1, dashboard=True) as pool:
        future, made = pool.submit(time.sleep, 100), of(pool)
        until(future.running)
        getattr(pool, how)()
        assert made.address is None


# ---------------------------------------------------------------------------------------------------- who dies, and how


def test_a_server_that_dies_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with Pool(1, dashboard=True) as pool:
        assert pool.submit(abs, -1).result() == 1
        made = of(pool)
        os.kill(server(pool), signal.SIGKILL)
        until(lambda: made._through.opened)
        assert pool.dashboard is None
        assert pool.submit(abs, -2).result() == 2
        with Pool(1, backend="threads", dashboard=True) as other:
            assert other.dashboard is not None
            assert pool.dashboard is None
    lines = [each.message for each in caplog.records if "dashboard" in each.message]
    assert lines == ["the dashboard is there no more, the pools go on: exit status -9"]


def test_a_server_that_cannot_start_is_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def lines() -> list[str]:
        return [each.message for each in caplog.records if "dashboard" in each.message]

    with Pool(1, backend="threads") as pool:
        pool.submit(abs, -1).result()
        monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
        with Pool(1, backend="threads", dashboard=True) as lost:
            until(lines)
            assert lost.submit(abs, -2).result() == 2
            until(lambda: lost.dashboard is None)
    assert len(lines()) == 1
    assert "FileNotFoundError" in lines()[0]
    caplog.clear()
    monkeypatch.undo()
    monkeypatch.setenv("PROCESSION_TOP", "1")
    monkeypatch.setattr(dashboard, "COMMAND", "import sys; sys.exit('it is not to be')")
    with Pool(1, backend="threads", dashboard=True) as lost:
        until(lines)
        until(lambda: lost.dashboard is None)
    assert lines() == ["the dashboard is there no more, the pools go on: exit status 1: it is not to be"]


def test_a_server_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "LATEST", 0.2)
    with Pool(1, backend="threads", dashboard=True) as pool:
        pid = server(pool)
        os.kill(pid, signal.SIGSTOP)
    assert not is_there(pid)


def test_a_forked_child_has_none_and_keeps_nothing_of_it() -> None:
    with Pool(1, dashboard=True) as pool:
        assert pool.submit(abs, -1).result() == 1
        pid = server(pool)
        report, told = os.pipe()
        held, hold = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(hold)
                with Pool(1, backend="threads", dashboard=True) as own:
                    said = [pool.dashboard is None, own.dashboard is not None, own.submit(abs, -1).result() == 1]
                os.write(told, repr(said).encode())
                os.read(held, 1)  # until the parent has ended its own
            finally:
                os._exit(0)
        try:
            assert select.select([report], [], [], PATIENCE)[0]
            assert os.read(report, 100) == b"[True, True, True]"
            assert pool.dashboard is not None
            assert browser(pool).ask("/")[0] == 200
            os.kill(pid, 0)
            pool.shutdown()
            assert not is_there(pid)
        finally:
            for fd in (report, told, held, hold):
                os.close(fd)
            os.waitpid(child, 0)


PROGRAM = """
import sys
from procession import Pool
pool = Pool(1, dashboard=True)
assert pool.submit(abs, -1).result() == 1
print(pool.dashboard, flush=True)
assert not {"starlette", "uvicorn", "procession.cli"} & set(sys.modules)
sys.stdin.readline()
raise ValueError
"""


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as made:
        try:
            yield made
        finally:
            made.kill()


def test_a_program_that_is_killed_leaves_no_server_and_its_tabs_are_told(program: subprocess.Popen[str]) -> None:
    assert program.stdout is not None
    with Browser(program.stdout.readline()).enter().tab() as tab:
        assert next(tab)[0] in ("look", "trouble")
        program.kill()
        *_, last = tab
        assert last == ("over", {"text": f"program {program.pid} has ended"})


def test_a_program_that_ends_by_an_error_leaves_no_server(program: subprocess.Popen[str]) -> None:
    assert program.stdout is not None
    assert program.stdin is not None
    with Browser(program.stdout.readline()).enter().tab() as tab:
        next(tab)
        program.stdin.write("end\n")
        program.stdin.flush()
        *_, last = tab
        assert last == ("over", {"text": "the last pool with a dashboard has ended"})
    assert program.wait(PATIENCE) == 1
