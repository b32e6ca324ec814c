"""The page of the dashboard is used: rows and focus that stay, keys, charts, themes, a small screen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.dashboards import DashboardPage, Server, say, seen
from tests.top.looks import error, look, pool, row

pytestmark = pytest.mark.e2e


def crowd(at: float, *, but: int = -1) -> dict[str, Any]:
    taken = [(wid * 7919 + 101 * int(at)) % 300 / 300 + 2 * at for wid in range(300)]  # whose is most changes each time
    rows = [row(wid, task=f"work({wid})", cpu=taken[wid]) for wid in range(300) if wid != but]
    return look(pool(0, *rows, width=300), at=at)


def test_of_many_workers_the_chosen_one_stays(server: Server, dashboard: DashboardPage) -> None:
    seen(server, dashboard, crowd(1.0), crowd(2.0))
    dashboard.find("th.c-cpu button").click()
    order = dashboard.workers(0)
    assert len(order) == 300
    assert order[0] != 0
    assert dashboard.find("th.c-cpu").get_attribute("aria-sort") == "descending"
    chosen = order[40]
    dashboard.script("document.querySelector(arguments[0]).focus()", f"tr[data-worker='{chosen}']")
    dashboard.script(
        "window.line = document.querySelector(arguments[0]);"
        "const text = window.line.querySelector('.c-task bdi').firstChild;"
        "getSelection().setBaseAndExtent(text, 0, text, text.length)",
        f"tr[data-worker='{chosen}']",
    )
    say(server, dashboard, crowd(3.0, but=order[3]))
    assert dashboard.focused("worker") == str(chosen)
    assert dashboard.script("return getSelection().toString()").strip() == f"work({chosen})"
    assert dashboard.script("return window.line.isConnected")
    # while one is chosen no row moves
    assert dashboard.workers(0) == [wid for wid in order if wid != order[3]]
    # its neighbour has the focus when it is gone
    say(server, dashboard, crowd(4.0, but=chosen))
    assert dashboard.focused("worker") == str(order[41])
    # all but one row are left out by the Tab key
    assert len(dashboard.all("tr[data-worker][tabindex='0']")) == 1
    assert len(dashboard.all("tr[data-worker] button[tabindex='0']")) == 2


def test_rows_are_put_in_order_with_the_focus_kept(server: Server, dashboard: DashboardPage) -> None:
    seen(server, dashboard, look())
    wrong = dashboard.module(
        """
        const { arrange } = await import("/page/table.js");
        const list = document.body.appendChild(document.createElement("div"));
        const button = (at) => Object.assign(document.createElement("button"), { textContent: at });
        const buttons = [...Array(6).keys()].map(button);
        let seed = 7;
        const random = (most) => (seed = (seed * 16807) % 2147483647) % most;
        const wrong = [];
        for (let turn = 0; turn < 500; turn++) {
          const wanted = buttons.filter(() => random(4)).sort(() => random(3) - 1);
          const focused = wanted.find((each) => each === document.activeElement);
          arrange(list, wanted);
          const right = wanted.every((each, at) => list.children[at] === each);
          if (!right || list.children.length !== wanted.length) wrong.push(turn);
          if (focused && document.activeElement !== focused) wrong.push(`focus ${turn}`);
          if (wanted.length && !random(3)) wanted[random(wanted.length)].focus();
        }
        list.remove();
        return wrong;
        """
    )
    assert wrong == []


def test_keys_do_what_those_of_top_do(server: Server, dashboard: DashboardPage) -> None:
    from selenium.webdriver.common.keys import Keys

    bad = error("four is bad")
    seen(server, dashboard, look(pool(0, row(0), row(1), errors=[bad]), pool(1, row(0), backend="threads"), at=100.0))
    dashboard.press("j")
    assert dashboard.script("return document.activeElement.matches('[data-pool=\"0\"] .head')")
    dashboard.press("j", "j")
    assert dashboard.focused("worker") == "1"
    dashboard.press("s")
    dashboard.until(lambda: "Workers are sorted by pid." in dashboard.text("#said"))
    # stacks
    server.answer = 200, {"dump": "worker 0: asleep"}
    dashboard.press("d")
    dashboard.until(lambda: dashboard.text("#text-body") == "worker 0: asleep")
    assert server.asked.get(timeout=10) == {"do": "dump", "pool": 0}
    assert dashboard.focused() == "text-body"
    dashboard.press(Keys.ESCAPE)
    assert dashboard.focused("worker") == "1"
    # resize
    server.answer = 200, {"done": "resize"}
    dashboard.press("r")
    dashboard.press("7", Keys.ENTER)
    assert server.asked.get(timeout=10) == {"do": "resize", "pool": 0, "n": 7}
    dashboard.until(lambda: "Pool 0 is to have 7 workers." in dashboard.text("#said"))
    # drain; what is refused is said, and stays until it is sent away
    server.answer = 409, {"error": "it is ending"}
    dashboard.expected = "/do"
    dashboard.press("x")
    assert server.asked.get(timeout=10) == {"do": "drain", "pool": 0, "worker": 1}
    dashboard.until(lambda: "Not draining worker 1 of Pool 0: it is ending." in dashboard.text("#said"))
    # kill, but not without a yes: Return cancels at first
    dashboard.press("K")
    assert dashboard.text("#kill-title") == "Kill worker 1 (pid 4701) of Pool 0?"
    assert dashboard.text("#kill-task") == "It runs work(1)."
    dashboard.press(Keys.ENTER)
    assert dashboard.text("#kill-title") == ""
    dashboard.press("K")
    dashboard.press(Keys.TAB, Keys.ENTER)
    assert server.asked.get(timeout=10) == {"do": "kill", "pool": 0, "worker": 1}
    # of threads; and the error's stack
    dashboard.press("j", "j", "x")
    dashboard.until(lambda: "Threads can be neither" in dashboard.text("#said"))
    dashboard.press("j", "d")
    dashboard.until(lambda: dashboard.text("#error-list pre").endswith("a\nb"))
    # help, where letters can be switched off
    dashboard.press("?")
    assert "kill the worker" in dashboard.text("#help-dialog")
    dashboard.find("#keys").click()
    dashboard.press(Keys.ESCAPE, "?")
    assert dashboard.text("#help-dialog") == ""
    assert server.asked.empty()


def test_the_tab_key_reaches_all(server: Server, dashboard: DashboardPage) -> None:
    from selenium.webdriver.common.keys import Keys

    seen(server, dashboard, look(pool(0, row(0), row(1), errors=[error("bad")])))
    met = []
    for _ in range(40):
        dashboard.press(Keys.TAB)
        what = dashboard.script(
            "const at = document.activeElement; return at === document.body ? '' : "
            "at.getAttribute('aria-label') || at.innerText.trim().split('\\n')[0] || at.id"
        )
        if not what:
            break
        outline = dashboard.script("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", what
        met.append(what)
    for wanted in (
        "To the pools",
        "Auto",
        "Keys",
        "Stacks",
        "Resize…",
        "Worker",
        "CPU",
        "Drain worker 0",
        "Kill worker 0",
    ):
        assert any(each.startswith(wanted) or wanted == each for each in met), (wanted, met)
    assert any(each.startswith("Charts of Pool 0") for each in met)
    assert any("bad" in each or "ago" in each for each in met)
    assert "Kill worker 1" not in met, "the buttons of one row only are reached by Tab; of others by the arrow keys"


def test_charts_say_the_values_of_a_moment(server: Server, dashboard: DashboardPage) -> None:
    from selenium.webdriver.common.keys import Keys

    looks = [look(pool(0, row(0), queued=10 * step, done=step), at=100.0 + step) for step in range(5)]
    seen(server, dashboard, *looks)
    dashboard.script("document.querySelector('.charts').focus()")
    dashboard.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert dashboard.texts(".charts figcaption")[1] == "Waiting 20, 2 s ago"
    assert dashboard.texts(".charts [role=status]")[0].startswith("2 s ago: Ended a second: 1.0; Waiting: 20; ")
    dashboard.press(Keys.ESCAPE)
    assert dashboard.texts(".charts figcaption")[1] == "Waiting 40"
    # the pointer at the left end of what is known: the earliest sample
    from selenium.webdriver import ActionChains

    canvas = dashboard.all(".charts canvas")[1]
    ActionChains(dashboard.browser, duration=0).move_to_element(canvas).perform()
    dashboard.until(lambda: dashboard.texts(".charts figcaption")[1] == "Waiting 0, 4 s ago")
    painted = dashboard.script(
        "const {width, height} = arguments[0];"
        "const { data } = arguments[0].getContext('2d').getImageData(0, 0, width, height);"
        "return new Set(new Uint32Array(data.buffer)).size",
        canvas,
    )
    assert painted > 5


# ------------------------------------------------------------------------------------------------------ how it looks


CONTRAST = """
const probe = document.body.appendChild(document.createElement("i"));
const light = (name) => {
  probe.style.color = `var(${name})`;
  const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
  const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = {};
for (const front of ["--ink", "--muted", "--bad", "--good", "--warn", "--accent"]) {
  for (const back of ["--paper", "--soft", "--track"]) {
    const [low, high] = [light(front), light(back)].sort((one, other) => one - other);
    found[`${front} on ${back}`] = (high + 0.05) / (low + 0.05);
  }
}
for (const line of ["--c0", "--c1", "--c2", "--c3"]) {
  const [low, high] = [light(line), light("--track")].sort((one, other) => one - other);
  found[`${line} as a line`] = ((high + 0.05) / (low + 0.05)) * 1.5;
}
probe.remove();
return found;
"""


def test_themes_are_remembered_and_can_be_read(server: Server, dashboard: DashboardPage) -> None:
    from selenium.webdriver.support.ui import Select

    dashboard.prefers(color_scheme="light")
    seen(server, dashboard, look(pool(0, row(0))))
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = dashboard.script(paper)
    weak = {what: ratio for what, ratio in dashboard.script(CONTRAST).items() if ratio < 4.5}
    assert not weak, "light"
    dashboard.prefers(color_scheme="dark")
    dark = dashboard.until(lambda: (now := dashboard.script(paper)) != light and now)
    weak = {what: ratio for what, ratio in dashboard.script(CONTRAST).items() if ratio < 4.5}
    assert not weak, "dark"
    # what is chosen goes before what the system has, also when the page is opened again
    Select(dashboard.find("#theme")).select_by_value("light")
    assert dashboard.script(paper) == light
    dashboard.open(server.address)
    assert dashboard.script(paper) == light
    assert dashboard.find("#theme").get_attribute("value") == "light"
    Select(dashboard.find("#theme")).select_by_value("auto")
    assert dashboard.script(paper) == dark


def test_a_small_screen_has_all_of_it(server: Server, dashboard: DashboardPage) -> None:
    dashboard.sizes(400, 800, mobile=True, ratio=2)
    rows = [row(wid, task=f"resize('a/rather/long/path/of/a/picture/img{wid}.png', width=80)") for wid in range(3)]
    stream = {"kind": "imap", "name": "resize", "engine": 0, "ready": 3, "taken": 5, "unfinished": 4, "head": 5}
    seen(server, dashboard, look(pool(0, *rows, errors=[error("a text that is long " * 9)]), streams=[stream]))
    assert dashboard.script("return document.documentElement.scrollWidth") == 400
    for each in ("#theme", "#help", "[data-act='dump']", "[data-act='resize']", "[data-act='kill']", "th.c-cpu button"):
        found = dashboard.find(each)
        assert found.is_displayed(), each
        assert found.rect["x"] >= 0, each
        assert found.rect["x"] + found.rect["width"] <= 400, each
    for name in ("worker", "state", "for", "task", "cpu", "memory"):
        assert dashboard.find(f"tr[data-worker='0'] .c-{name}").is_displayed() or name == "cpu"
    canvas = dashboard.all(".charts canvas")[1]
    assert dashboard.script("return arguments[0].width / arguments[0].clientWidth", canvas) == pytest.approx(
        2, abs=0.02
    )


def test_workers_on_a_cluster_have_a_host_and_can_be_killed(server: Server, dashboard: DashboardPage) -> None:
    """What is not known of them is no number; those of one machine have no column for where they are."""
    far = [row(0, host="node-3", memory=None, cpu=None), row(1, host="", pid=0, memory=None, cpu=None)]
    seen(server, dashboard, look(pool(0, *far, backend="ray", resources="GPU: 1"), pool(1, row(0)), at=100.0))
    assert "ray, GPU: 1" in dashboard.text("[data-pool='0'] .head")
    assert [dashboard.cell(0, wid, "host") for wid in (0, 1)] == ["node-3", ""]
    assert [dashboard.cell(0, 0, name) for name in ("pid", "done", "memory")] == ["4700", "12", ""]
    assert dashboard.script("return document.querySelectorAll('[data-pool=\"1\"] td.c-host:not([hidden])').length") == 0
    server.answer = 200, {"done": "kill"}
    dashboard.find("[data-pool='0'] tr[data-worker='0'] [data-act='kill']").click()
    dashboard.find("#kill-yes").click()
    assert server.asked.get(timeout=10) == {"do": "kill", "pool": 0, "worker": 0}
