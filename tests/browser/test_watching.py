"""A program that runs is watched in a browser, and changed from there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.browser.dashboards import DashboardPage
from tests.top.running import PATIENCE, Running, in_a_folder

pytestmark = pytest.mark.e2e
SCRIPT = Path(__file__).with_name("watched.py")
COMMAND = "import sys; from procession.cli import main; sys.exit(main())"


def watched(*words: str) -> AbstractContextManager[Running]:
    """A program that runs until the end, at the latest."""
    return in_a_folder(lambda folder: Running(folder, SCRIPT, *words))


@contextmanager
def served(program: Running, page: DashboardPage) -> Iterator[str]:
    """The address at which `procession top --web` shows it."""
    page.until(program.path.exists)
    command = [sys.executable, "-c", COMMAND, "top", "--web", str(program.process.pid)]
    server = subprocess.Popen(command, env=program.environ, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(PATIENCE)
        server.stdout.close()


def state(page: DashboardPage, pool: int) -> str:
    return page.text(f"[data-pool='{pool}'] .state")


def test_a_running_program_is_watched_and_changed(dashboard: DashboardPage) -> None:
    from selenium.webdriver.common.keys import Keys

    with watched() as program, served(program, dashboard) as address:
        dashboard.open(address)
        dashboard.until(lambda: dashboard.state() == "Live")
        assert "token" not in dashboard.browser.current_url
        # the SpinOff works: it is told how fast, and what is done grows
        dashboard.until(lambda: dashboard.number(1, "rate") > 0)
        before = dashboard.number(1, "done")
        dashboard.until(lambda: dashboard.number(1, "done") > before > 0)
        assert state(dashboard, 1).startswith("Works: ")
        assert dashboard.find("[data-pool='1'] .wide td.c-kind").text == "SpinOff"
        # an error comes, and its stack is read
        program.tell("fail 17")
        dashboard.until(lambda: "item 17 is bad" in dashboard.text("#error-list"))
        dashboard.find("#error-list summary").send_keys(Keys.ENTER)
        dashboard.until(lambda: "in fail" in dashboard.text("#error-list pre"))
        assert 'raise ValueError(f"item {number} is bad")' in dashboard.text("#error-list pre")
        # a task that sleeps: where it does is told
        program.tell("sleep 1000")
        program.tell("sleep 2000")
        task = "sleep_until_killed(1000.0)"
        dashboard.until(lambda: task in dashboard.texts("[data-pool='0'] td.c-task"))
        dashboard.until(lambda: len(dashboard.workers(0)) == 2)
        wid = next(each for each in dashboard.workers(0) if dashboard.cell(0, each, "task") == task)
        dashboard.find("[data-pool='0'] [data-act='dump']").click()
        dashboard.until(lambda: "in sleep_until_killed" in dashboard.text("#text-body"))
        dashboard.find("#copy").click()
        dashboard.until(lambda: dashboard.text("#copied"))
        dashboard.press(Keys.ESCAPE)
        # it is killed by the keyboard alone
        dashboard.script("document.querySelector('[data-pool-head]').focus()")
        for _ in range(1 + dashboard.workers(0).index(wid)):
            dashboard.press("j")
        assert dashboard.focused("worker") == str(wid)
        dashboard.press("K")
        assert f"Kill worker {wid} (pid " in dashboard.text("#kill-title")
        assert dashboard.text("#kill-task") == f"It runs {task}."
        dashboard.press(Keys.TAB, Keys.ENTER)
        assert program.said() == "WorkerDied"
        dashboard.until(lambda: wid not in dashboard.workers(0))
        program.tell("sleep 3000")
        dashboard.until(lambda: "sleep_until_killed(3000.0)" in dashboard.texts("[data-pool='0'] td.c-task"))
        assert len(dashboard.workers(0)) == 2
        dashboard.until(lambda: dashboard.tile(0, "died") == "1")
        dashboard.until(lambda: "WorkerDied" in dashboard.text("#error-list"))
        # three workers
        dashboard.press("r")
        dashboard.press("3", Keys.ENTER)
        dashboard.until(lambda: dashboard.tile(0, "workers") == "2 of 3")
        program.tell("sleep 4000")
        dashboard.until(lambda: len(dashboard.workers(0)) == 3)
        # and the end
        program.process.terminate()
        dashboard.until(lambda: dashboard.state() == "Ended")
        assert dashboard.number(1, "done") > before


def test_a_program_has_a_dashboard_of_its_own(dashboard: DashboardPage) -> None:
    with watched("dashboard") as program:
        dashboard.open(program.first)
        dashboard.until(lambda: dashboard.number(1, "rate") > 0)
        before = dashboard.number(1, "done")
        dashboard.until(lambda: dashboard.number(1, "done") > before)
        program.tell("sleep 1000")
        dashboard.until(lambda: "sleep_until_killed(1000.0)" in dashboard.texts("[data-pool='0'] td.c-task"))
        program.process.kill()
        dashboard.until(lambda: dashboard.state() == "Ended")
        assert "sleep_until_killed(1000.0)" in dashboard.texts("[data-pool='0'] td.c-task")
