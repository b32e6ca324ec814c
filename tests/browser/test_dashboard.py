"""The page of the dashboard, told by the test what a program says: what is hostile, missing, many, late or gone."""

from __future__ import annotations

import pytest

from tests.browser.dashboards import DashboardPage, Server, say, seen
from tests.top.looks import error, look, pool, row

pytestmark = pytest.mark.e2e

HOSTILE = "<script>document.title='bad'</script><img src=x onerror=alert(1)>\u202egnitset\u2066 \x07" + "w" * 10_000


# -------------------------------------------------------------------------------------------------------- what it says


def test_numbers_come_with_their_units(server: Server, dashboard: DashboardPage) -> None:
    first = look(pool(0, row(0), row(1, state="idle", task="", hand=0)), at=100.0)
    then = look(
        pool(0, row(0, cpu=0.5), row(1, state="idle", task="", hand=0), done=29, failures=3), at=101.0, cpu=3.25
    )
    seen(server, dashboard, first, then)
    assert dashboard.state() == "Live"
    assert "python job.py" in dashboard.text("#command")
    assert "up\n1 h 02 min" in dashboard.text("#facts")
    assert dashboard.tile(0, "rate") == "8.0"
    assert dashboard.tile(0, "queued") == "1,234"
    assert dashboard.tile(0, "p50") == "12.3 ms"
    assert dashboard.tile(0, "failures") == "3"
    assert dashboard.tile(0, "memory") == "24.6 MB"
    assert dashboard.cell(0, 0, "cpu") == "50 %"
    assert dashboard.cell(0, 0, "for") == "214 ms"
    assert "Works: 8.0 tasks a second; 1 of 4 workers runs; 1,234 tasks wait" in dashboard.text(
        "[data-pool='0'] .state"
    )
    # ten more were done within a second
    charts = dashboard.texts("[data-pool='0'] figcaption")
    assert charts[0] == "Ended a second 10"
    assert charts[2] == "Workers at work 1 of 4"
    label = dashboard.find("[data-pool='0'] canvas").get_attribute("aria-label")
    assert label == "Ended a second: now 10; in 60.0 s: least 10, most 10"
    assert dashboard.script("return document.title") == "8.0/s – python job.py"


def test_the_first_glance_says_what_it_waits_for(server: Server, dashboard: DashboardPage) -> None:
    seen(server, dashboard, look())
    assert dashboard.text("#nothing") == "No pool is open now."
    said = dashboard.module(
        """
        const { glance } = await import("/page/glance.js");
        const counts = { workers: 2, width: 2, busy: 2, idle: 0, starting: 0, queued: 0 };
        const pool = { ...counts, p50: 0.1, p99: 0.2, rate: 0, rows: [] };
        const inline = { backend: "inline", workers: undefined, busy: undefined, queued: undefined };
        const row = { wid: 7, state: "runs", for: 90, task: "parse('a.xml')" };
        const history = (since, more) => ({ since, grown: true, samples: [], shares: new Map([[7, 0.001]]), ...more });
        const say = (at, words, streams = [], more = {}) => {
          const { kind, word, text } = glance({ ...pool, ...words }, history(100, more), streams, at);
          return `${kind} ${word}: ${text}`;
        };
        return [
          say(101, { rate: 12, queued: 5 }),
          say(101, { rate: 12, rows: [row, { ...row, wid: 8, for: 0.1 }] }),
          say(200, { rows: [row], queued: 1 }),
          say(200, { rows: [row] }, [], { grown: false, shares: new Map([[7, 0.99]]) }),
          say(200, { busy: 0 }),
          say(200, { busy: 0, queued: 3 }),
          say(101, { busy: 0, queued: 3, starting: 1 }),
          say(101, { busy: 0, rate: 2 }),
          say(200, { busy: 0 }, [{ ready: 4, head: null }]),
          say(101, { rate: 3 }, [{ ready: 9, head: 60, head_for: 2.5 }]),
          say(200, { trouble: "it does not answer" }),
          say(200, { workers: undefined }),
          say(101, { ...inline, rate: 3 }),
          say(104, { ...inline, running: 1 }),
          say(120, { ...inline, running: 1 }, [], { grown: false }),
          say(200, { ...inline, running: 1 }),
          say(200, { ...inline, running: 0 }),
        ];
        """
    )
    slow = "no task has ended {}; 2 of 2 workers run, worker 7 for 90.0 s (parse('a.xml'), {})"
    idle = ", without taking CPU time: it waits"
    front = "9 finished items wait for 2.5 s for item 60, which is in front"
    assert said == [
        "good Works: 12 tasks a second; 2 of 2 workers run; 5 tasks wait",
        f"good Works: 12 tasks a second; 2 of 2 workers run, worker 7 for 90.0 s (parse('a.xml'){idle})",
        "warn Slow: " + slow.format("for 1 min 40 s", "without taking CPU time: it waits") + "; 1 task waits",
        "warn Slow: " + slow.format("since this page looks on, 1 min 40 s ago", "at 99 % CPU"),
        "idle Idle: nothing to do for 1 min 40 s",
        "warn Waits: no worker runs anything, though 3 tasks wait",
        "idle Starting: 1 worker to come; 3 tasks wait",
        "good Works: 2.0 tasks a second; none just now",
        "idle Idle: nothing to do for 1 min 40 s; 4 finished items have not been taken",
        f"good Works: 3.0 tasks a second; 2 of 2 workers run; {front}",
        "bad Trouble: it does not answer",
        "warn Unknown: it does not tell what it does",
        "good Works: 3.0 tasks a second, in the thread that hands them over",
        "good Works: tasks run in the thread that hands them over",
        "good Works: no task has ended since this page looks on, 20 s ago; they run in the thread that hands them over",
        "warn Slow: no task has ended for 1 min 40 s; they run in the thread that hands them over",
        "idle Idle: nothing to do for 1 min 40 s",
    ]


def test_a_pool_without_workers_is_shown_without_them(server: Server, dashboard: DashboardPage) -> None:
    words = {"backend": "inline", "width": 1, "running": 1, "done": 5, "failed": 0, "rate": 2.0, "p50": 0.1, "p99": 0.2}
    inline = {"number": 0, "kind": "Pool", "name": "", "failures": 0, "errors": [], **words}
    seen(server, dashboard, look(inline, at=100), look({**inline, "done": 7}, at=101))
    assert dashboard.text("[data-pool='0'] .state") == "Works: 2.0 tasks a second, in the thread that hands them over"
    assert dashboard.script("return document.title") == "2.0/s – python job.py"
    assert not dashboard.text("[data-pool='0'] [data-act='resize']")
    tiles = dashboard.script(
        "return [...document.querySelectorAll('.tiles > div:not([hidden]) dt')].map((e) => e.textContent)"
    )
    assert tiles == ["Ended a second", "Done", "In hand", "Median time", "Errors seen"]


def test_what_is_hostile_stays_text(server: Server, dashboard: DashboardPage) -> None:
    rows = [row(0, task=HOSTILE, note=HOSTILE, state="runs")]
    bad = error(HOSTILE, function=HOSTILE, kind=HOSTILE, stack=HOSTILE)
    hostile = pool(0, *rows, name=HOSTILE, backend="processes", auto=HOSTILE, errors=[bad], failures=1)
    stream = {"kind": "imap", "name": HOSTILE, "engine": 0, "ready": 1, "head": 1, "head_at": HOSTILE, "head_for": 1.0}
    pipeline = {"kind": "pipeline", "name": HOSTILE, "engines": [0], "trouble": HOSTILE}
    told = look(hostile, pool(1, trouble=HOSTILE), streams=[stream, pipeline], command=HOSTILE, trouble=HOSTILE)
    server.answer = 400, {"error": HOSTILE}
    dashboard.expected = "/do"
    dashboard.sizes(1400, 1000)
    seen(server, dashboard, told)
    dashboard.find("#errors summary").click()
    dashboard.find("[data-worker='0'] [data-act='kill']").click()
    assert "<script>document.title='bad'</script>" in dashboard.text("#kill-task")
    dashboard.find("#kill-yes").click()
    dashboard.until(lambda: "not killing" in dashboard.text("#said").lower())
    assert (
        dashboard.script("return document.querySelectorAll('main script, main img, dialog img, #said img').length") == 0
    )
    assert dashboard.script("return document.title").startswith("Trouble! – <script>")
    for width in (1400, 400):
        dashboard.sizes(width, 1000)
        wide = dashboard.until(lambda: dashboard.script("return document.documentElement.scrollWidth"))
        assert wide <= width
    tall = "return document.documentElement.scrollHeight"
    assert dashboard.script(tall) < 6000, "ten thousand characters took too much room"


def test_what_is_missing_is_no_number(server: Server, dashboard: DashboardPage) -> None:
    bare = {"number": 3, "kind": "Pool", "name": "", "backend": "?", "width": 0, "trouble": "it cannot be looked at"}
    empty = dict.fromkeys(("pid", "for", "done", "memory", "cpu", "task", "note"))
    none = pool(4, {**row(1), **empty}, rate=None, p50=None, p99=None, done=None, queued=None, busy=None)
    told = {"program": {"pid": 1, "memory": None, "cpu": None, "age": None}, "at": 5.0, "pools": [bare, none]}
    seen(server, dashboard, told, {**told, "at": 6.0})
    assert "Trouble: it cannot be looked at" in dashboard.text("[data-pool='3'] .state")
    assert dashboard.tile(4, "rate") == "–"
    assert dashboard.cell(4, 1, "for") == ""
    page = dashboard.text("body")
    for wrong in ("NaN", "undefined", "null", "Infinity", "[object"):
        assert wrong not in page


def test_pools_come_and_go(server: Server, dashboard: DashboardPage) -> None:
    seen(server, dashboard, look(pool(0, row(0)), pool(1, row(0)), at=1.0))
    dashboard.press("j")
    say(server, dashboard, look(pool(1, row(0)), pool(5, row(0), kind="SpinOff", name="detect"), at=2.0))
    assert dashboard.texts("#pools h2") == ["Pool 1  processes", "SpinOff 5 detect processes"]
    dashboard.until(lambda: "Pool 0 has ended." in dashboard.text("#said"))
    assert "Pool 0" in dashboard.text("#gone-pools")
    assert "19" in dashboard.text("#gone-pools")
    # another program at the same address: nothing of the one before is left
    say(server, dashboard, look(pool(0, row(0)), at=50.0, pid=99))
    assert dashboard.texts("#pools h2") == ["Pool 0  processes"]
    assert dashboard.text("#gone-pools") == ""


def test_errors_are_known_again(server: Server, dashboard: DashboardPage) -> None:
    several = [error("four is bad", at=9.0)] * 3
    seen(server, dashboard, look(pool(0, errors=several), at=10.0))
    assert len(dashboard.all("#error-list details")) == 3
    dashboard.find("#error-list summary").click()
    dashboard.until(lambda: dashboard.text("#error-list pre"))  # what opens says so a moment later
    assert dashboard.text("#error-list pre") == "ValueError: four is bad\n\na\nb"
    # they stay, though the program tells only the latest ones; and what is open stays open
    say(server, dashboard, look(pool(0, errors=[*several[1:], error("five is bad", at=11.0)]), at=12.0))
    summaries = dashboard.texts("#error-list summary")
    assert summaries == ["1 s agoPool 0, workValueErrorfive is bad", *["3 s agoPool 0, workValueErrorfour is bad"] * 3]
    assert dashboard.text("#error-list pre").startswith("ValueError: four is bad")
    # what is kept is bounded, but for what is being read
    many = [error(f"item {number}", at=20.0 + number) for number in range(400)]
    say(server, dashboard, look(pool(0, errors=many[:200]), at=300.0))
    say(server, dashboard, look(pool(0, errors=many[200:]), at=500.0))
    assert len(dashboard.all("#error-list details")) <= 51
    summaries = dashboard.texts("#error-list summary")
    assert "item 399" in summaries[0]
    assert "four is bad" in summaries[-1]
    assert dashboard.text("#error-list pre").startswith("ValueError: four is bad")


def test_a_long_history_is_bounded(server: Server, dashboard: DashboardPage) -> None:
    seen(server, dashboard, look())
    kept = dashboard.module(
        """
        const { Model } = await import("/page/model.js");
        const found = [];
        const pools = (done) => [{ number: 0, done, busy: 1, rows: [] }];
        const told = (at, done) => ({ at, program: { pid: 1, cpu: at / 2 }, pools: pools(done) });
        for (const pace of [0.5, 1]) {
          const model = new Model();
          for (let step = 0; step < 5000; step++) model.take(told(step * pace, step));
          const { samples } = model.histories.get(0);
          const last = samples[samples.length - 1];
          found.push([samples.length, last.at - samples[0].at, last.rate, model.share]);
        }
        return found;
        """
    )
    assert kept == [[700, 349.5, 2, 0.5], [601, 600, 1, 0.5]]


# -------------------------------------------------------------------------------------------------- the connection


def test_the_server_goes_and_comes_back(server: Server, dashboard: DashboardPage) -> None:
    seen(server, dashboard, look(pool(0, row(0)), at=1.0))
    server.say("trouble", {"text": "program 4711 does not answer"})
    dashboard.until(lambda: dashboard.state() == "Does not answer")
    assert dashboard.text("#trouble") == "Program 4711 does not answer."
    assert dashboard.text("#as-of").startswith("What is shown is as of ")
    assert dashboard.tile(0, "done") == "19"
    say(server, dashboard, look(pool(0, row(0), done=20), at=2.0))
    assert dashboard.state() == "Live"
    assert dashboard.text("#notice") == ""
    # nothing comes, though the connection stands
    dashboard.script("window.now = performance.now; performance.now = () => window.now.call(performance) + 7000")
    dashboard.until(lambda: "nothing has come for" in dashboard.text("#age"))
    dashboard.script("performance.now = window.now")
    dashboard.until(lambda: dashboard.text("#age") == "")
    # the server itself
    dashboard.expected = server.address
    server.stop()
    dashboard.until(lambda: dashboard.state() == "Does not answer")
    dashboard.until(lambda: "The server of this page does not answer" in dashboard.text("#trouble"))
    assert dashboard.tile(0, "done") == "20"
    dashboard.find("[data-act='dump']").click()
    dashboard.until(lambda: "nothing can be asked of it" in dashboard.text("#said"))
    server.start()
    server.say("look", look(pool(0, row(0), done=21), at=9.0))
    dashboard.until(lambda: dashboard.state() == "Live")
    dashboard.until(lambda: dashboard.tile(0, "done") == "21")
    # what is no look does no harm
    server.say("look", "{nonsense")
    dashboard.until(lambda: "cannot be read" in dashboard.text("#trouble"))
    say(server, dashboard, look(pool(0, row(0)), at=10.0))
    assert dashboard.state() == "Live"


def test_the_end_stays_to_be_read(server: Server, dashboard: DashboardPage) -> None:
    seen(server, dashboard, look(pool(0, row(0), errors=[error("bad")]), at=1.0))
    assert server.listening.acquire(timeout=10)
    server.say("over", {"text": "program 4711 has ended"})
    dashboard.until(lambda: dashboard.state() == "Ended")
    assert dashboard.text("#trouble") == "Program 4711 has ended."
    assert dashboard.tile(0, "done") == "19"
    assert "Ended – python job.py" in dashboard.script("return document.title")
    # it can still be read, but not be asked
    dashboard.find("#errors summary").click()
    dashboard.until(lambda: dashboard.text("#error-list pre"))
    dashboard.find("[data-act='dump']").click()
    dashboard.until(lambda: "nothing can be asked of it" in dashboard.text("#said"))
    assert server.asked.empty()


def test_what_is_hidden_is_not_drawn_but_remembered(server: Server, dashboard: DashboardPage) -> None:
    seen(server, dashboard, look(pool(0, row(0), queued=1), at=1.0))
    dashboard.script(
        "window.hide = (hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange')); }; window.hide(true)"
    )
    server.say("look", look(pool(0, row(0), queued=50), at=2.0))
    server.say("look", look(pool(0, row(0), queued=2), at=3.0))
    server.say("trouble", {"text": "told after the looks"})
    dashboard.until(lambda: "Told after the looks." in dashboard.text("#trouble"))
    assert dashboard.tile(0, "queued") == "1"
    dashboard.script("window.hide(false)")
    assert dashboard.tile(0, "queued") == "2"
    label = dashboard.all(".charts canvas")[1].get_attribute("aria-label")
    assert label.endswith("least 1, most 50")
