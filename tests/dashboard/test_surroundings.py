"""`Pool(dashboard=True)` in programs whose surroundings are unusual."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from procession import Pool, dashboard
from tests.top.running import PATIENCE, until

SHOWN = """
import os, sys
sys.path.insert(0, {tests!r})
from procession import Pool
from tests.dashboard.browser import Browser
from tests.top.running import until
with Pool(1, backend="threads", dashboard=True) as pool:
    pool.submit(abs, -1).result()
    browser = Browser(pool.dashboard)
    until(lambda: pool._dashboard._ready or pool.dashboard is None)
    assert browser.enter().ask("/")[0] == 200
    with browser.tab() as tab:
        assert any(kind == "look" for kind, _ in tab)
"""
HERE = str(Path(__file__).parents[2])


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pweb", dir="/tmp") as name:
        yield Path(name)


def run(code: str, folder: Path, *flags: str, closed: bool = False, **environ: str) -> subprocess.CompletedProcess[str]:
    known = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "PROCESSION_TOP": "1", **environ}
    # A program that nobody has given stdin, stdout or stderr is what a shell starts with `<&- >&- 2>&-`.
    shell = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'] if closed else []
    words = [*shell, sys.executable, *flags, "-c", code.format(tests=HERE)]
    return subprocess.run(words, env=known, timeout=2 * PATIENCE, capture_output=True, text=True, check=False)


def test_without_stdin_stdout_and_stderr_the_server_has_its_socket(folder: Path) -> None:
    assert run(SHOWN, folder, closed=True).returncode == 0


@pytest.mark.parametrize("flag", ["-I", "-E"])
def test_what_the_program_does_not_load_the_server_does_not_either(folder: Path, flag: str) -> None:
    (folder / "uvicorn.py").write_text("raise SystemExit('not this one')")
    done = run(SHOWN, folder, flag, PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr


def test_it_starts_though_all_warnings_are_errors(folder: Path) -> None:
    done = run(SHOWN, folder, PYTHONWARNINGS="error", PYTHONDEVMODE="1")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_is_ready_though_something_was_said_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("PROCESSION_TOP", "1")
    monkeypatch.setattr(dashboard, "COMMAND", "import sys; print('slow', file=sys.stderr)\n" + dashboard.COMMAND)
    with Pool(1, backend="threads", dashboard=True) as pool:
        until(lambda: pool._dashboard is not None and pool._dashboard._ready)


DEAD_ORDERS = """
import os, signal
from procession import Pool
from procession.backends import forksafe
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
with Pool(1, backend="threads", dashboard=True) as pool:
    made = pool._dashboard
    while not made._ready:
        pass
    nobody, theirs = forksafe.pipe()
    forksafe.close(nobody)
    made._orders, orders = theirs, made._orders
    pool.submit(abs, -1).result()
"""


def test_a_server_that_is_gone_does_not_end_a_program_that_sigpipe_ends(folder: Path) -> None:
    assert run(DEAD_ORDERS, folder).returncode == 0


def test_a_folder_in_which_it_cannot_be_looked_at_is_said_at_the_call(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("PROCESSION_TOP", "1")
    made = folder / "procession"
    made.mkdir()
    made.chmod(0o777)
    with pytest.raises(RuntimeError, match=f"dashboard= looks .* socket in {made}, .* {made} is open to others"):
        Pool(1, dashboard=True)


def test_a_port_of_our_own_is_waited_for_until_it_is_free(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("PROCESSION_TOP", "1")
    with Pool(1, backend="threads", dashboard=True) as first:
        made = first._dashboard
        assert made is not None
        until(lambda: made._ready)
        port = made.port
        first.shutdown(wait=False)
        until(lambda: made.ended)
        held: list[bool] = []
        await_end = made.await_end

        def awaited() -> None:
            held.append(dashboard._lock._is_owned())  # type: ignore[attr-defined]  # its keeper wants that
            await_end()

        monkeypatch.setattr(made, "await_end", awaited)
        with Pool(1, backend="threads", dashboard=port) as later:
            assert later.dashboard is not None
            assert later._dashboard is not made
            assert held == [False]


def test_where_it_was_to_be_is_said_though_it_could_not_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("PROCESSION_TOP", "1")
    monkeypatch.setattr(sys, "executable", str(folder / "none"))
    start = dashboard.Dashboard.start

    def started(self: dashboard.Dashboard) -> None:
        start(self)
        until(lambda: self.address is None)

    monkeypatch.setattr(dashboard.Dashboard, "start", started)
    with Pool(1, backend="threads", dashboard=True):
        said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("procession: the dashboard is at http://127.0.0.1:")
