"""Who is let in: pure, so every kind of request is tried."""

from collections.abc import Mapping

import pytest

from procession.cli.web.access import HEADERS, Access, Enter, Refused
from procession.seeing.attending import address

TOKEN = "correct-token-of-this-server"
PORT = 8123
HOST = f"127.0.0.1:{PORT}"
COOKIE = f"procession-{PORT}={TOKEN}"
access = Access(TOKEN, PORT)


def judge(method: str = "GET", path: str = "/", query: str = "", **headers: str) -> Refused | Enter | None:
    """`fetch_site=` is `Sec-Fetch-Site`, and so on."""
    names = {"fetch_site": "sec-fetch-site", "kind": "content-type"}
    said = {names.get(name, name): value for name, value in {"host": HOST, **headers}.items()}
    return access.judge(method, path, query, said)


def status(verdict: Refused | Enter | None) -> int | None:
    assert not isinstance(verdict, Enter)
    return None if verdict is None else verdict.status


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_its_names_are_those_of_this_machine(host: str) -> None:
    assert judge(host=host, cookie=COOKIE) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1",
        "localhost",
        f"evil.example:{PORT}",
        "127.0.0.1:80",
        f"127.0.0.1:{PORT}.evil.example",
        f"0:{PORT}",
    ],
)
def test_another_name_gets_nothing_even_with_the_token(host: str) -> None:
    for path in ("/", "/events", "/metrics", "/do"):
        for method in ("GET", "POST"):
            assert status(judge(method, path, f"token={TOKEN}", host=host, cookie=COOKIE)) == 421


def test_port_80_is_not_said_by_browsers() -> None:
    headers = {"host": "localhost", "cookie": f"procession-80={TOKEN}"}
    assert Access(TOKEN, 80).judge("GET", "/", "", headers) is None


@pytest.mark.parametrize(("site", "directly"), [("none", True), ("same-origin", True), ("cross-site", False)])
def test_the_address_with_the_token_gives_a_cookie(site: str, directly: bool) -> None:
    verdict = judge(query=f"token={TOKEN}", fetch_site=site)
    assert isinstance(verdict, Enter)
    assert verdict.directly is directly
    assert verdict.cookie.split("; ") == [COOKIE, "HttpOnly", "SameSite=Strict", "Path=/"]
    assert judge(cookie=verdict.cookie.partition(";")[0]) is None


@pytest.mark.parametrize("said", ["wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%00", "%F0%9F", "é"])
def test_a_wrong_token_is_told_where_the_right_one_is(said: str) -> None:
    verdict = judge(query=f"token={said}", cookie=COOKIE)
    assert isinstance(verdict, Refused)
    assert verdict.status == 403
    assert "Pool(dashboard=True)" in verdict.text
    assert "procession top --web" in verdict.text


@pytest.mark.parametrize(
    "cookie", ["", f"procession-{PORT + 1}={TOKEN}", f"procession-{PORT}=wrong", f"procession={TOKEN}", TOKEN, ";;=;"]
)
def test_without_the_token_there_is_nothing(cookie: str) -> None:
    for path in ("/", "/page/main.js", "/events", "/metrics", "/do", "/nothing"):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT"):
            assert status(judge(method, path, cookie=cookie, kind="application/json")) == 403


def test_the_cookie_is_found_among_others() -> None:
    for cookie in (f"a=b; {COOKIE}", f"{COOKIE};a=b", f"procession-1=x; {COOKIE}; y"):
        assert judge(path="/events", cookie=cookie) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"fetch_site": "cross-site"},
        {"fetch_site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": f"http://127.0.0.1:{PORT + 1}"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"origin": "null"},
        {"fetch_site": "same-origin", "origin": "http://evil.example"},
    ],
)
def test_another_site_gets_nothing_but_may_open_the_page(headers: Mapping[str, str]) -> None:
    for method, path in (("POST", "/do"), ("GET", "/events"), ("GET", "/metrics"), ("GET", "/page/main.js")):
        assert status(judge(method, path, cookie=COOKIE, kind="application/json", **headers)) == 403
    assert judge(cookie=COOKIE, **headers) is None


@pytest.mark.parametrize("origin", [None, f"http://{HOST}", f"http://localhost:{PORT}"])
@pytest.mark.parametrize("site", [None, "same-origin", "none"])
def test_the_page_itself_may_act(origin: str | None, site: str | None) -> None:
    headers = {"origin": origin, "fetch_site": site}
    said = {name: value for name, value in headers.items() if value is not None}
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        assert judge("POST", "/do", cookie=COOKIE, kind=kind, **said) is None


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"])
def test_what_a_form_can_send_is_not_acted_on(kind: str) -> None:
    assert status(judge("POST", "/do", cookie=COOKIE, kind=kind)) == 415


def test_another_cookie_of_its_name_does_not_keep_the_page_out() -> None:
    ours = COOKIE.partition("=")[0]
    assert judge("GET", "/events", cookie=f"{ours}=what-another-port-has-set; a=b; {COOKIE}") is None
    assert status(judge("GET", "/events", cookie=f"{ours}=wrong; {ours}=; {ours}")) == 403


def test_who_comes_by_another_port_is_told_which_one_it_is() -> None:
    verdict = judge(host="127.0.0.1:9000", cookie=COOKIE)
    assert isinstance(verdict, Refused)
    assert HOST in verdict.text


@pytest.mark.parametrize(
    ("query", "headers", "let_in"),
    [
        ("", {"authorization": f"Bearer {TOKEN}"}, True),
        ("", {"authorization": f"bearer  {TOKEN} "}, True),
        (f"token={TOKEN}", {}, True),
        ("", {"cookie": COOKIE}, True),
        ("", {}, False),
        ("token=", {}, False),
        ("token=wrong", {}, False),
        ("", {"authorization": TOKEN}, False),
        ("", {"authorization": f"Basic {TOKEN}"}, False),
        ("", {"authorization": "Bearer wrong"}, False),
    ],
)
def test_metrics_are_for_who_shows_the_token_anyhow(query: str, headers: Mapping[str, str], let_in: bool) -> None:
    assert status(judge("GET", "/metrics", query, **headers)) == (None if let_in else 403)


def test_a_token_in_the_address_or_a_header_is_for_metrics_alone() -> None:
    for method, path in (("GET", "/events"), ("POST", "/do"), ("POST", "/metrics"), ("GET", "/page/main.js")):
        verdict = judge(method, path, f"token={TOKEN}", authorization=f"Bearer {TOKEN}", kind="application/json")
        assert status(verdict) == 403


def test_no_script_or_style_may_be_in_the_page_and_nobody_may_frame_it() -> None:
    policy = HEADERS["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert HEADERS["cache-control"] == "no-store"
    assert HEADERS["referrer-policy"] == "no-referrer"


def test_tokens_are_new_unless_the_environment_has_one() -> None:
    first, second = address.new_token({}), address.new_token({})
    assert first != second
    assert min(len(first), len(second)) >= 32
    assert address.new_token({address.VARIABLE: "0123456789-_.~aB"}) == "0123456789-_.~aB"


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "x" * 201, "x" * 15 + ";", "x" * 15 + " ", "é" * 16])
def test_a_token_that_does_not_fit_is_refused_and_not_said(token: str) -> None:
    with pytest.raises(ValueError, match=r"PROCESSION_DASHBOARD_TOKEN must be 16 to 200 characters") as caught:
        address.new_token({address.VARIABLE: token})
    assert not token or token not in str(caught.value)
