"""The site of docs/, built as `make docs` does it, and looked at in a browser that is given nothing but that folder."""

from __future__ import annotations

import functools
import http.server
import importlib
import inspect
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import started
from tests.house.test_site import DOCS, public

ROOT = Path(__file__).resolve().parents[2]
SOME = ("index.html", "tutorial/spinoff.html", "reference/pool.html")
NARROW = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "website", folder], cwd=ROOT, capture_output=True, text=True, timeout=250, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as chrome:
        yield chrome


class Quiet(http.server.SimpleHTTPRequestHandler):
    timeout = 0.5  # a browser keeps connections open that it does not use

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def pages(site: Path) -> list[str]:
    return [page.relative_to(site).as_posix() for page in sorted(site.rglob("*.html"))]


# ------------------------------------------------------------------------------------------------------------ the build


def test_each_page_is_built(site: Path) -> None:
    written = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert written <= set(pages(site))


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """Links may lead away; what a page is made of may not come from there."""
    for page in pages(site):
        text = (site / page).read_text()
        made_of = re.findall(r"<(?:script|img|iframe|source)[^>]*\bsrc=\"([^\"]+)", text)
        made_of += re.findall(r"<link[^>]*rel=\"(?:stylesheet|icon|preload)\"[^>]*href=\"([^\"]+)", text)
        made_of += re.findall(r"<link[^>]*href=\"([^\"]+)\"[^>]*rel=\"(?:stylesheet|icon|preload)\"", text)
        assert made_of, page
        assert not [each for each in made_of if "//" in each], page
    for style in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", style.read_text()), style


def test_each_fault_is_an_error_of_the_build(tmp_path: Path) -> None:
    """A small site with the same settings: what is wrong with it is said, and it is not built."""
    wrong = {
        "link": "[there](nowhere.md)",
        "anchor": "[there](index.md#no-such-heading)",
        "outside": "[there](../no-such-file.py)",
        "name": "```{public} procession.Nobody\n```",
        "undocumented": "```{public} procession.pool.Pool.__repr__\n```",
        "orphan": "",
    }
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# One\n\n```{toctree}\nlink\nanchor\noutside\nname\nundocumented\n```\n")
    for name, text in wrong.items():
        (docs / f"{name}.md").write_text(f"# Two\n\n{text}\n")
    program = "import sys; from website.__main__ import sphinx; sys.exit(sphinx(*sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, docs, tmp_path / "site", tmp_path / "read"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 1
    for said in (
        "nowhere",
        "no-such-heading",
        "docs/outside.md links to no-such-file.py",
        "procession.Nobody",
        "toctree",
    ):
        assert said in done.stderr, said
    assert "procession.pool.Pool.__repr__ has no docstring" in done.stderr


# -------------------------------------------------------------------------------------------------------- the reference


def entries(site: Path) -> dict[str, str]:
    """The signature of each name of the reference, as text."""
    found = {}
    for page in sorted((site / "reference").glob("*.html")):
        for name, text in re.findall(r"<dt class=\"sig[^\"]*\" id=\"([^\"]+)\">(.*?)</dt>", page.read_text(), re.S):
            found[name] = re.sub(r"<[^>]+>", "", text)
    return found


def runtime(name: str) -> Any:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def test_the_reference_has_what_there_is_when_a_program_runs(site: Path) -> None:
    """Each public method, with each of its words; what is private, and what only refuses words, is not there."""
    found = entries(site)
    lacking = []
    for name in public():
        assert name in found, name
        thing = runtime(name)
        if not inspect.isclass(thing) or issubclass(thing, BaseException):
            continue
        for each in dir(thing):
            member = inspect.getattr_static(thing, each)
            ours = any(each in vars(base) for base in thing.__mro__ if base.__module__.startswith("procession"))
            if each.startswith("_") or not ours or not inspect.isfunction(member):
                continue
            if f"{name}.{each}" not in found:
                lacking.append(f"{name}.{each}")
                continue
            words = [word for word in inspect.signature(member).parameters if word not in ("self", "wrong")]
            lacking += [f"{name}.{each}({word})" for word in words if word not in found[f"{name}.{each}"]]
    assert not lacking
    assert not [name for name in found if any(part.startswith("_") for part in name.split("."))]
    assert not [name for name, text in found.items() if "wrong" in text or "Never" in text]


def test_no_name_is_without_a_word_about_it(site: Path) -> None:
    for page in sorted((site / "reference").glob("*.html")):
        empty = re.findall(r"id=\"(procession[^\"]+)\">(?:(?!</dt>).)*</dt>\s*<dd>\s*</dd>", page.read_text(), re.S)
        assert not empty, page


# --------------------------------------------------------------------------------------------------------- in a browser


def test_pages_in_a_browser(browser: Any, address: str) -> None:
    browser.get_log("browser")
    for page in SOME:
        browser.get(f"{address}/{page}")
        fetched = browser.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
        assert len(fetched) > 3
        assert not [each for each in fetched if not each.startswith((address, "data:"))]
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def searched(browser: Any, base: str, words: str) -> list[str]:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"{base}/index.html")
    browser.find_element(By.NAME, "q").send_keys(words, Keys.ENTER)
    WebDriverWait(browser, 30).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "ul.search li a"))
    return [link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, "ul.search li a")]


def test_the_search_finds_a_page_and_a_name(browser: Any, address: str) -> None:
    assert any("guides/camera-loop.html" in each for each in searched(browser, address, "drop_oldest"))
    assert any("reference/pool.html#procession.Pool.imap" in each for each in searched(browser, address, "Pool.imap"))


def test_the_search_works_from_a_folder_too(browser: Any, site: Path) -> None:
    """Opened as a file, without any server."""
    assert any("concepts/leases.html" in each for each in searched(browser, site.as_uri(), "lease"))


def test_no_page_is_wider_than_a_telephone(browser: Any, site: Path, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", NARROW)
    try:
        wide = []
        for page in pages(site):
            browser.get(f"{address}/{page}")
            width = browser.execute_script("return document.documentElement.scrollWidth")
            if width > NARROW["width"]:
                wide.append((page, width))
        assert not wide
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
