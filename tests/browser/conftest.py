"""Debian's Chromium, driven by selenium: one for all tests, a page for each."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.dashboards import DashboardPage, Server, served
from tests.browser.reports import ReportPage
from tests.leaks import VARIABLE

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    "--window-size=1400,1000",
)
"""--no-sandbox: its sandbox cannot be had by root, and what it shows is our own."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The driver."""
    with started() as chrome:
        yield chrome


@contextmanager
def started() -> Iterator[Any]:
    """A driver. Its processes come and go with the pages, so they are none of a test's own: without its mark."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "there is no chromium here: `make e2e` installs it, or apt-get install chromium"
    assert driver, "there is no chromedriver here: `make e2e` installs it, or apt-get install chromium-driver"
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        options = ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        chrome = Chrome(options=options, service=Service(driver, env=environment))
        try:
            yield chrome
        finally:
            chrome.quit()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[ReportPage]:
    """A page that is still to be opened. When the test is over, its console must have had no errors."""
    page = ReportPage(browser, tmp_path)
    yield page
    put_back(browser)


@pytest.fixture
def server() -> Iterator[Server]:
    """Says to a dashboard what a test wants said."""
    with served() as server:
        yield server


@pytest.fixture
def dashboard(browser: Any) -> Iterator[DashboardPage]:
    """The same for a dashboard; a test that needs a server names it before."""
    page = DashboardPage(browser)
    yield page
    browser.delete_all_cookies()
    put_back(browser, page.expected)


def put_back(browser: Any, expected: str = "") -> None:
    """An empty window as it was, and no errors in the console but those in which the text `expected` is."""
    said = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    errors = [entry for entry in said if not expected or expected not in entry["message"]]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.get("about:blank")
    assert not errors, errors
