"""The report in a browser: zoom, search, hover, keys, themes; what is hostile stays text; a million tasks."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, defaultdict
from importlib.resources import files

import pytest

from procession.seeing import packing
from procession.seeing.recording import CANCELLED, ERROR, OK, OUTCOMES, FailureText, Recording
from procession.seeing.verdict import Finding, Verdict
from tests.browser.reports import ReportPage
from tests.seeing.made import NONE, Faults, made, repeated
from tests.seeing.test_page import HOSTILE, hostile, hostile_verdict
from tests.seeing.unpacked import element, unpacked

pytestmark = pytest.mark.e2e


def few() -> Recording:
    """Ten tasks on one worker without a pause; number 4 failed."""
    recording = made(0, 1)
    since = recording.since + 200_000_000
    for index in range(10):
        started = since + index * 100_000_000
        times = {"queued": since, "sent": since, "started": started, "ended": started + 100_000_000}
        outcome = ERROR if index == 4 else OK
        row = recording.add(worker=0, stream=1, index=index, outcome=outcome, done=started + 100_500_000, **times)
        for name, value in (("load", 3_000_000), ("bytes_in", 2_000), ("bytes_out", 70)):
            recording.columns[name][row] = value
        if index == 4:
            recording.failures[row] = FailureText("ValueError", "four is no good", "Traceback: here it was\nValueError")
    recording.until = since + 1_001_000_000
    recording.workers[0] = recording.workers[0]._replace(started=since, ended=recording.until)
    return recording


def test_each_stream_has_a_line(page: ReportPage) -> None:
    page.open(made(400))
    lines = [[cell.text for cell in line.find_elements("css selector", "td")] for line in page.all("#streams tbody tr")]
    assert [line[0] for line in lines] == ["map of thumbnails", "imap of tokens", "SpinOff of scores"]
    window, lasted, ended, *waited = lines[1][2:]
    assert (window, lasted, ended) == ("16", "76.0 ms", "closed")
    assert waited == ["30.0 ms", "20.0 ms", "10.0 ms"]
    assert lines[2][2:] == ["", "", "not seen", "", "", ""]


def test_the_timeline_is_zoomed_and_moved(page: ReportPage) -> None:
    page.open(made(600, 4))
    whole = page.shown()
    rows = page.find("#bars")
    # the wheel, over a moment that stays where it is
    page.script("document.getElementById('timeline').scrollIntoView()")
    at = page.place(0.25)
    moment = whole.since + 0.25 * whole.length
    origin = _origin(rows, *at)
    page.act().scroll_from_origin(origin, 0, -200).perform()
    near = page.changed(whole)
    assert near.length < 0.7 * whole.length
    assert abs((moment - near.since) / near.length - 0.25) < 0.01
    # moved by the wheel with Shift held, or sideways
    page.act().scroll_from_origin(origin, 100, 0).perform()
    moved = page.changed(near)
    assert moved.since > near.since
    assert moved.length == pytest.approx(near.length)
    # a double click shows all again
    page.act().move_to_element_with_offset(rows, *at).double_click().perform()
    assert page.changed(moved) == whole
    # a stretch that is dragged over
    left, right = page.place(0.5), page.place(0.6)
    page.act().move_to_element_with_offset(rows, *left).click_and_hold().move_to_element_with_offset(
        rows, *right
    ).release().perform()
    part = page.changed(whole)
    assert part.since == pytest.approx(whole.since + 0.5 * whole.length, abs=whole.length / 200)
    assert part.length == pytest.approx(0.1 * whole.length, rel=0.03)
    # the buttons
    page.find("#out").click()
    wider = page.changed(part)
    assert wider.length == pytest.approx(2 * part.length)
    page.find("#in").click()
    assert page.changed(wider).length == pytest.approx(part.length)
    assert "to" in page.text("#range")


def _origin(element: object, x: int, y: int) -> object:
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    return ScrollOrigin.from_element(element, x, y)


def test_the_keys_do_what_the_pointer_does(page: ReportPage) -> None:
    from selenium.webdriver.common.keys import Keys

    page.open(few())
    whole = page.shown()
    page.keys("+")
    near = page.changed(whole)
    assert near.length == pytest.approx(whole.length / 2)
    page.keys(Keys.ARROW_RIGHT)
    right = page.changed(near)
    assert right.since == pytest.approx(near.since + 0.15 * near.length)
    page.keys(Keys.HOME)
    home = page.changed(right)
    assert home.since == whole.since
    page.keys("0")
    assert page.changed(home) == whole
    # to the failure, the task after it, and back to nothing
    page.keys("f")
    assert "four is no good" in page.until(page.details)
    page.keys("]")
    page.until(lambda: "item 5 of" in page.details())
    page.keys("[", "[")
    page.until(lambda: "item 3 of" in page.details())
    assert "item 3" in page.text("#said")
    page.keys(Keys.ESCAPE)
    page.until(lambda: not page.details())
    page.keys("/")
    assert page.script("return document.activeElement.id") == "query"


def test_a_failed_task_is_found_and_its_stack_is_read(page: ReportPage) -> None:
    from selenium.webdriver.common.keys import Keys

    recording = made(900, 4, seed=5, faults=Faults(failing=0.06, cancelled=0.02))
    page.open(recording)
    failed = [row for row in range(len(recording)) if recording.outcome[row] not in (OK, CANCELLED)]
    assert page.search("failed") == f"{len(failed)} found"
    assert page.search("failed", Keys.ENTER) == f"1 of {len(failed)}"
    first = min(failed, key=lambda row: recording.started[row])
    text = recording.failures[first]
    page.until(lambda: text.message in page.details())
    assert page.text("#details pre") == text.trace
    assert page.shown().length < (recording.until - recording.since) / 2
    page.find("#next").click()
    assert page.until(lambda: page.text("#hits").startswith("2 of"))
    page.find("#query").send_keys(Keys.SHIFT, Keys.ENTER)
    assert page.until(lambda: page.text("#hits").startswith("1 of"))
    # other words: by the error's text, by number, by function and outcome, by length
    row = max(recording.failures)
    message = recording.failures[row].message.split()
    assert page.search(f"{message[0]} {message[1]} good", Keys.ENTER).startswith("1 of")
    assert recording.failures[row].kind in page.until(page.details)
    for query, wanted in (
        ("#77", lambda row: recording.index[row] == 77),
        ("images.thumbnail error", lambda row: (recording.function[row], recording.outcome[row]) == (0, ERROR)),
        ("cancelled", lambda row: recording.outcome[row] == CANCELLED),
        ("attempt:2", lambda row: recording.attempt[row] == 2),
    ):  # fmt: skip
        expected = sum(map(wanted, range(len(recording))))
        assert expected
        page.search(query)
        assert page.until(lambda said=f"{expected} found": page.text("#hits") == said)
    page.search("there is no such thing")
    assert page.until(lambda: page.text("#hits") == "nothing found")


def test_hovering_tells_all_of_a_task_and_a_click_keeps_it(page: ReportPage) -> None:
    recording = few()
    page.open(recording)
    page.script("document.getElementById('timeline').scrollIntoView()")
    whole = page.shown()
    middle = recording.started[7] + 50_000_000 - recording.since
    at = page.place((middle - whole.since) / whole.length)
    page.act().move_to_element_with_offset(page.find("#bars"), *at).perform()
    tip = page.until(lambda: page.find("#tip").is_displayed() and page.text("#tip"))
    for told in ("thumbnail", "item 7 of map thumbnails", "ok", "97.0 ms", "700 ms", "2.00 kB", "70 B", "pid 4711"):
        assert told in tip
    page.act().click().perform()
    assert "item 7 of map thumbnails" in page.until(page.details)
    # where nothing is a click lets go of it
    at = page.place(0.001)
    page.act().move_to_element_with_offset(page.find("#bars"), *at).click().perform()
    page.until(lambda: not page.details())
    assert not page.find("#tip").is_displayed()


def test_what_the_tables_say_is_what_was_recorded(page: ReportPage) -> None:
    recording = made(900, 4, 2, seed=9)
    page.open(recording)
    by_function: dict[str, Counter[str]] = defaultdict(Counter)
    for row in range(len(recording)):
        figures = by_function[recording.functions[recording.function[row]]]
        figures["count"] += 1
        figures["failures"] += recording.outcome[row] not in (OK, CANCELLED)
    lines = "[...document.querySelectorAll('#functions tbody tr')]"
    told = page.script(f"return {lines}.map(line => [...line.cells].map(cell => cell.textContent))")
    assert {line[0]: (line[1], line[7]) for line in told} == {
        name: (str(figures["count"]), str(figures["failures"])) for name, figures in by_function.items()
    }
    slowest = max(over - begun for over, begun in zip(recording.ended, recording.started, strict=True))
    number, unit = page.text("#slowest tbody tr td:nth-child(3)").split()
    assert (float(number), unit) == (pytest.approx(slowest / 1e6, rel=0.005), "ms")
    assert f"({sum(figures['failures'] for figures in by_function.values())})" in page.text("#contents")
    # sorted by a click, the other way round by another one
    head = page.find("#functions thead th:nth-child(2) button")
    head.click()
    column = f"return {lines}.map(line => Number(line.cells[1].textContent))"
    assert page.script(column) == sorted(page.script(column), reverse=True)
    head.click()
    assert page.script(column) == sorted(page.script(column))
    # from the table of the slowest to the timeline
    page.script("document.querySelector('#slowest tbody .link').click()")
    assert page.text("#slowest tbody tr td:nth-child(2)") in page.until(page.details)


def test_what_is_missing_and_what_was_sent_again_is_said(page: ReportPage) -> None:
    recording = made(40, 2)
    recording.lost = 1234
    recording.repeats = {1: (12, 80_000_000)}
    page.open(recording)
    assert "1,234 tasks are missing" in page.text("#lost")
    assert "tokenize: 12 large arguments (80.0 MB) had been sent just so before" in page.text("#functions")
    page.open(made(40, 2))
    assert not page.find("#lost").is_displayed()


def test_the_legend_finds_and_lets_go(page: ReportPage) -> None:
    recording = made(200, 2, faults=NONE)
    page.open(recording)
    first = page.find("#legend button")
    function = recording.functions.index(first.text)
    first.click()
    expected = list(recording.function).count(function)
    assert page.until(lambda: page.text("#hits") == f"{expected} found")
    first.click()
    assert page.until(lambda: page.text("#hits") == "")


def test_the_browser_unpacks_what_was_packed(page: ReportPage, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = made(500, 3, 2, seed=11)
    recording.add(worker=1, index=2**45, attempt=65_535, started=recording.since + 2**46, load=2**32 - 1)
    recording.add(queued=recording.since - 7, outcome=CANCELLED, bytes_in=2**44 + 3)
    for exact in (200_000, 100):
        monkeypatch.setattr(packing, "EXACT", exact)
        page.open(recording)
        text = page.path.read_text("utf-8")
        told = page.browser.execute_async_script(
            (files("procession.seeing") / "report" / "columns.js").read_text("utf-8")
            + """
            const [about, data, done] = arguments;
            unpack(JSON.parse(about), data).then(({ columns, series }) => {
                const lists = Object.entries(columns).map(([name, column]) => [name, [...column]]);
                done([Object.fromEntries(lists), series.map((each) => [...each.times, ...each.values])]);
            });
            """,
            element(text, "about"),
            element(text, "data"),
        )
        meant = unpacked(text)
        for name, column in meant.columns.items():
            since = meant.since if name in packing.TIMES else 0
            expected = [None if since and not value else value - since for value in column]
            assert told[0][name] == expected, name
        assert told[1] == [
            [time - meant.since for time in each.times] + list(each.values) for each in meant.counters.values()
        ]


def test_light_and_dark(page: ReportPage) -> None:
    said = [Finding("problem", "A title", "A text", "An advice", "fault")]
    page.open(made(60, 2), Verdict("One finding", said, {}, {}, "A limit"))
    ground = "return getComputedStyle(document.body).backgroundColor"
    pixel = """
        const canvas = document.getElementById('bars');
        return [...canvas.getContext('2d').getImageData(2, canvas.height - 3, 1, 1).data];
    """
    assert page.script(ground) == "rgb(255, 255, 255)"
    page.find("#theme").click()
    dark = page.script(ground)
    assert dark != "rgb(255, 255, 255)"
    assert page.script(pixel) != [255, 255, 255, 255]
    page.find("#theme").click()
    assert page.script(ground) == "rgb(255, 255, 255)"
    assert page.script(pixel) == [255, 255, 255, 255]
    page.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    assert page.script(ground) == dark
    assert "An advice" in page.text("#findings")


def test_hostile_texts_stay_texts(page: ReportPage) -> None:
    page.open(hostile(), hostile_verdict())
    page.search("</script>")
    page.keys("f")
    page.until(page.details)
    assert page.script("return document.querySelectorAll('img, script:not([id])').length") == 1  # the page's own
    assert page.text("#headline") == HOSTILE[0]
    assert HOSTILE[0] in page.browser.title
    shown = page.text("#functions") + page.text("#failures")
    for text in HOSTILE[:4]:
        assert text in shown


def test_a_name_of_ten_thousand_letters_takes_three_lines(page: ReportPage) -> None:
    page.open(made(100, 2, faults=NONE, functions=("f" * 10_000,)))
    page.find("#in").click()
    page.keys("]")
    page.until(page.details)
    heights = page.script(
        "return [...document.querySelectorAll('.legend button, td .link, #details h3')]"
        ".map((each) => each.getBoundingClientRect().height)"
    )
    assert len(heights) > 3
    assert max(heights) < 120


def test_the_page_reaches_no_network(page: ReportPage) -> None:
    page.open(made(40))
    assert page.script("return performance.getEntriesByType('resource').length") == 0
    refused = page.browser.execute_async_script("""
        const [done] = arguments, seen = [];
        addEventListener("securitypolicyviolation", (event) => {
            seen.push(event.effectiveDirective);
            if (seen.length === 2) done(seen.sort());
        });
        fetch("http://127.0.0.1:9/").catch(() => null);
        document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/x.png" }));
    """)
    assert refused == ["connect-src", "img-src"]
    page.console()  # what was refused is said there


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize(
    "recording",
    [
        Recording(),
        made(0, 4),
        made(1, 1, faults=NONE),
        made(5, 2, faults=Faults(instant=1.0)),
        made(900, 64),
        made(3000, 300, 3),
        made(2000, 4, faults=Faults(killing=0.3, attempts=1)),
        made(3000, 8, functions=tuple(f"a.long.package.name.module{each}.function_{each}" for each in range(40))),
    ],
    ids=["nothing", "no task", "one task", "no length", "64 workers", "300 workers", "mortal", "40 functions"],
)
def test_it_fits_whatever_was_recorded(page: ReportPage, recording: Recording, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 2 if width == 400 else 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.open(recording)
    assert page.script("return document.documentElement.scrollWidth <= innerWidth")
    assert page.script("return document.getElementById('bars').height") > 50
    assert page.shown().length > 0
    assert "NaN" not in page.script("return document.body.innerText")
    assert "undefined" not in page.script("return document.body.innerText")
    page.find("#in").click()
    page.keys("f", "]", "n", "0")


def test_a_million_tasks_open_and_stay_usable(page: ReportPage, capfd: pytest.CaptureFixture[str]) -> None:
    # Of five workers: what is repeated is farther away than deflating looks.
    recording = repeated(made(200_000, 5, faults=NONE._replace(failing=0.01)), 5)
    began = time.perf_counter()
    page.open(recording, Verdict("A million", [], {}, {}, "What is timed here is the page."))
    wrote = time.perf_counter() - began
    page.load()
    drawn = float(page.script("return document.documentElement.dataset.drawn"))
    whole = page.shown()
    steps = []
    for key in "+++---" * 2:
        before = page.shown()
        page.keys(key)
        page.changed(before)
        steps.append(float(page.script("return document.getElementById('rows').dataset.took")))
    assert page.shown() == whole
    found = page.search("thumbnail error")
    with capfd.disabled():
        size = os.path.getsize(page.path)
        print(
            f"\n{len(recording):,} tasks: {size / 1e6:.1f} MB, written and first shown in {wrote:.1f} s; from the "
            f"navigation's start to the first drawn frame {drawn:.0f} ms; a step of zoom takes "
            f"{sorted(steps)[len(steps) // 2]:.0f} ms, at most {max(steps):.0f} ms",
            file=sys.stderr,
        )
    assert found.endswith("found")
    assert drawn < 30_000  # a machine that does other things may be slow
    assert size < 45 * len(recording)


def test_outcomes_have_one_name_everywhere(page: ReportPage) -> None:
    recording = made(0, 1)
    for outcome in range(len(OUTCOMES)):
        times = dict.fromkeys(("queued", "sent", "started", "ended", "done"), recording.since + 10 + outcome)
        recording.add(worker=0, outcome=outcome, **times)
    page.open(recording)
    for name in OUTCOMES:
        assert page.search(name) == "1 found"
