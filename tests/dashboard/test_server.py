"""`procession top --web`, as it is used: a real program, the command, and browsers that ask."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from procession import cli
from procession.cli.web import serving as web_serving
from tests.dashboard.browser import Browser
from tests.top.running import PATIENCE, Running, in_a_folder, started, until

COMMAND = (sys.executable, "-c", "import sys; from procession.cli import main; sys.exit(main())", "top", "--web")


@contextmanager
def serving(running: Running, pid: int = 0) -> Iterator[tuple[subprocess.Popen[str], Browser]]:
    """The command, for this program or one beside it, and a browser at the address that it has printed."""
    until(running.path.exists)
    words, pipe = [*COMMAND, str(pid or running.pid), "--port", "0"], subprocess.PIPE
    with subprocess.Popen(words, env=running.environ, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, Browser(process.stdout.readline())
        finally:
            if process.poll() is None:
                process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its status, and what it has said on stderr."""
    assert process.stderr is not None
    return process.wait(PATIENCE), process.stderr.read()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with in_a_folder() as made:
        yield made


@pytest.fixture(scope="module")
def browser(running: Running) -> Iterator[Browser]:
    with serving(running) as (_, made):
        yield made.enter()


# ------------------------------------------------------------------------------------------------------ who may come in


def test_the_page_is_for_who_has_the_token(browser: Browser) -> None:
    status, headers, text = browser.ask("/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert text == files("procession.cli.web").joinpath("page", "index.html").read_text()
    for path in ("/", "/events", "/metrics", "/page/main.js", "/nothing"):
        status, headers, text = browser.ask(path, cookie="")
        assert status == 403
        assert "the address with the token is printed" in text
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
    assert browser.ask("/?token=wrong")[0] == 403


def test_another_name_and_another_site_get_nothing(browser: Browser) -> None:
    assert browser.ask("/", host=f"evil.example:{browser.port}")[0] == 421
    resize = {"do": "resize", "pool": 0, "n": 7}
    for headers in ({"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}, {"cookie": "a=b"}):
        status, _, text = browser.ask("/do", "POST", resize, **headers)
        assert status == 403
        assert "error" in json.loads(text)
    assert browser.ask("/do", "POST", resize, content_type="text/plain")[0] == 415
    with browser.tab() as tab:
        assert next(tab)[1]["pools"][0]["width"] == 2


def test_from_another_site_the_address_leads_in_by_a_page(browser: Browser) -> None:
    status, headers, text = browser.ask(f"/?token={browser.token}", cookie="", sec_fetch_site="cross-site")
    assert status == 200
    assert "url=/" in text
    assert headers["set-cookie"].startswith(browser.cookie)


def test_all_files_of_the_page_are_served_and_no_others(browser: Browser) -> None:
    names = [each.name for each in files("procession.cli.web").joinpath("page").iterdir()]
    assert "index.html" in names
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for name in names:
        status, headers, _ = browser.ask(f"/page/{name}")
        assert status == 200
        assert headers["content-type"].startswith(kinds[name.rpartition(".")[2]])
        assert headers["x-content-type-options"] == "nosniff"
    for path in ("/page/app.py", "/page/..%2fapp.py", "/page/../app.py", "/page/none.js", "/page/", "/nothing", "/do"):
        assert browser.ask(path)[0] in (404, 405), path


# -------------------------------------------------------------------------------------------------------------- events


def test_a_tab_sees_the_program_at_once_and_as_it_changes(running: Running, browser: Browser) -> None:
    with browser.tab() as tab:
        kind, look = next(tab)
        assert kind == "look"
        assert look["program"]["pid"] == running.pid
        assert [pool["backend"] for pool in look["pools"]] == ["processes", "threads", "processes", "processes"]
        running.tell("fail 17")
        for kind, look in tab:
            assert kind == "look"
            if errors := look["pools"][0]["errors"]:
                break
        assert errors[-1]["text"] == "item 17 is bad"
        assert "in fail" in errors[-1]["stack"]


def test_twenty_tabs_are_told_and_one_that_does_not_read_delays_none(browser: Browser) -> None:
    with ExitStack() as stack:
        idle = stack.enter_context(socket.create_connection(("127.0.0.1", browser.port)))
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.sendall(
            f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{browser.port}\r\nCookie: {browser.cookie}\r\n\r\n".encode()
        )
        tabs = [stack.enter_context(browser.tab()) for _ in range(20)]
        first = [next(tab)[1]["at"] for tab in tabs]
        second = [next(tab)[1]["at"] for tab in tabs]
        assert all(before < after for before, after in zip(first, second, strict=True))


# -------------------------------------------------------------------------------------------------------------- actions


@pytest.mark.leaks("workers of the program that all tests look at come and go")
def test_what_is_to_be_done_is_done_and_seen_at_once(browser: Browser) -> None:
    assert browser.do(do="resize", pool=3, n=3) == (200, {"done": "resize"})
    with browser.tab() as tab:
        assert next(look for _, look in tab if look["pools"][3]["width"] == 3)
        status, said = browser.do(do="dump", pool=3)
        assert status == 200
        assert "hold" in said["dump"]
        wid = next(row["wid"] for row in next(tab)[1]["pools"][0]["rows"] if row["state"] == "idle")
        assert browser.do(do="kill", pool=0, worker=wid) == (200, {"done": "kill"})
        gone = (look for _, look in tab if wid not in {row["wid"] for row in look["pools"][0]["rows"]})
        assert next(gone)


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        ({"do": "kill", "pool": 0, "worker": 99}, 409, "there is no worker 99"),
        ({"do": "resize", "pool": 2, "n": 3}, 409, "only the program can change it"),
        ({"do": "drain", "pool": 77, "worker": 0}, 409, "there is no pool 77"),
        ({"do": "look"}, 400, "do must be one of dump, resize, drain, kill; got 'look'"),
        ({"do": "count"}, 400, "do must be one of"),
        ({"do": "exec"}, 400, "do must be one of"),
        ({"do": "resize", "pool": 0}, 400, "resize wants n, a number; got None"),
        ({"do": "resize", "pool": True, "n": 1}, 400, "resize wants pool, a number; got True"),
        (["dump"], 400, "not a JSON object"),
        ({"do": "dump", "pool": 0, "more": "x" * 5000}, 413, "more than 4096 bytes"),
    ],
)
def test_what_cannot_be_done_is_told_why(browser: Browser, words: Any, status: int, why: str) -> None:
    found, _, text = browser.ask("/do", "POST", words)
    assert found == status
    assert why in json.loads(text)["error"]


# -------------------------------------------------------------------------------------------------------------- numbers


def test_numbers_are_there_for_prometheus_in_both_formats(browser: Browser) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    status, headers, text = browser.ask("/metrics", cookie="", authorization=f"Bearer {browser.token}", accept=accept)
    assert status == 200
    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    opened = {each.name: each for each in parse_open(text)}
    status, headers, text = browser.ask(f"/metrics?token={browser.token}", cookie="")
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    plain = {each.name: each for each in parse_plain(text)}
    for found in (opened, plain):
        (done,) = [each for each in found["procession_tasks_done"].samples if each.labels["kind"] == "SpinOff"]
        assert (done.value, done.labels["name"]) == (1, "double")
    assert browser.ask("/metrics", cookie="", authorization="Bearer wrong-but-long-enough")[0] == 403


# -------------------------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_it_though_a_tab_is_open(running: Running, number: int, status: int) -> None:
    with serving(running) as (process, browser), browser.enter().tab() as tab:
        next(tab)
        process.send_signal(number)
        assert ended(process)[0] == status
        assert [kind for kind, _ in tab if kind != "look"] == ["over"]


def test_it_ends_soon_though_a_program_that_does_not_answer_was_asked_something() -> None:
    with tempfile.TemporaryDirectory(prefix="pweb", dir="/tmp") as name:
        running = started(Path(name))
        try:
            with serving(running) as (process, browser), browser.enter().asked("/page/icon.svg") as reply:
                assert reply.status == 200
                os.kill(running.pid, signal.SIGSTOP)
                with ThreadPoolExecutor(1) as threads:
                    asked = threads.submit(browser.do, do="dump", pool=0)
                    until(lambda: sockets(process.pid) > 0)  # of unix: it has asked the program
                    process.send_signal(signal.SIGINT)
                    assert ended(process) == (130, "interrupted\n")
                    assert asked.result()[0] == 410
        finally:
            os.kill(running.pid, signal.SIGCONT)
            running.close()


def sockets(pid: int) -> int:
    """How many connections by unix sockets it has."""
    known = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    found = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(each.removeprefix("socket:[").removesuffix("]") in known for each in found)


def test_what_is_not_said_to_its_end_is_nobodys_error(running: Running) -> None:
    with serving(running) as (process, browser):
        browser.enter()
        with socket.create_connection(("127.0.0.1", browser.port)) as cut:
            head = f"Host: 127.0.0.1:{browser.port}\r\nCookie: {browser.cookie}\r\nContent-Type: application/json"
            cut.sendall(f"POST /do HTTP/1.1\r\n{head}\r\nContent-Length: 99\r\n\r\n{{".encode())
        assert browser.ask("/events", "HEAD")[0] == 200  # and ends
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "interrupted\n")


def test_who_does_not_say_what_he_wants_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_serving, "SILENCE", 0.2)
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"late"})

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            started = asyncio.Event()
            server = web_serving._server(app, bool, started.set)
            serving = asyncio.ensure_future(server.serve(sockets=[listener]))
            await started.wait()
            visits = [await asyncio.open_connection(*listener.getsockname()) for _ in range(3)]
            (silent, _), (slow, half), (asks, whole) = visits
            half.write(b"GET / HTT")
            whole.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert await silent.read() == await slow.read() == b""
            go_on.set()
            assert (await asks.read()).endswith(b"late\r\n0\r\n\r\n")
            for _, each in visits:
                each.close()
            server.should_exit = True
            await serving

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


ONE_POOL = "from procession import Pool\nwith Pool(1) as pool:\n  pool.submit(int).result()\n  input()\ninput()"


def test_the_end_of_the_last_pool_is_trouble_and_that_of_the_program_the_end(running: Running) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", ONE_POOL], env=running.environ, stdin=pipe, text=True) as program:
        assert program.stdin is not None
        until(running.path.with_name(f"{program.pid}.sock").exists)
        with serving(running, program.pid) as (process, browser), browser.enter().tab() as tab:
            next(tab)
            program.stdin.write("\n")
            program.stdin.flush()
            assert next(kind for kind, _ in tab if kind != "look") == "trouble"
            assert browser.ask("/metrics")[0] == 503
            assert browser.do(do="dump", pool=0)[0] == 410
            program.kill()
            text = f"program {program.pid} has ended"
            assert next(data for kind, data in tab if kind == "over") == {"text": text}
            assert ended(process) == (1, f"procession top: {text}\n")


# --------------------------------------------------------------------------------------------------------------- words


def test_a_port_that_is_taken_is_said(
    running: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(running.folder))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["top", "--web", str(running.pid), "--port", str(port)]) == 1
    assert capsys.readouterr().err == f"procession top: port {port} of 127.0.0.1: Address already in use\n"
    monkeypatch.setenv("PROCESSION_DASHBOARD_TOKEN", "short")
    assert cli.main(["top", "--web", str(running.pid)]) == 1
    assert "PROCESSION_DASHBOARD_TOKEN must be 16" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_what_is_not_installed_is_named(
    running: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(running.folder))
    monkeypatch.setitem(sys.modules, missing, None)
    assert cli.main(["top", "--web", str(running.pid)]) == 1
    said = "procession top: --web needs starlette and uvicorn: pip install 'procession[dashboard]'\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "words",
    [["--web", "--once"], ["--web", "--json"], ["--web", "--interval", "2"], ["--port", "1"], ["--web", "--port", "x"]],
)
def test_words_that_do_not_go_together_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["top", str(os.getpid()), *words])
    assert caught.value.code == 2


def test_of_several_programs_one_must_be_named(
    running: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procession.cli.top.found", lambda: [(17, "a"), (18, "b")])
    assert cli.main(["top", "--web"]) == 1
    assert capsys.readouterr().err == "procession top: which one? 17, 18: say procession top --web PID\n"
    monkeypatch.setattr("procession.cli.top.found", list)
    assert cli.main(["top", "--web"]) == 1
    assert "no program that uses procession was found" in capsys.readouterr().err
