"""The stream to one tab: who reads, who does not, who goes, and how many there may be."""

from __future__ import annotations

import asyncio

from procession.cli.web.events import MOST, Events, Message, written
from procession.cli.web.feed import Feed, Said
from tests.dashboard.test_feed import Program, next_of, run, until


class Tab:
    """A connection: what was sent, and whether it takes any more."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.takes.wait()
        self.sent.append(message)

    @property
    def text(self) -> str:
        return b"".join(each.get("body", b"") for each in self.sent).decode()


def test_events_are_written_as_browsers_read_them() -> None:
    assert written([]) == b": ping\n\n"
    said = [Said(1, "look", {"a": "line\nline"}), Said(2, "over", {"text": "é"})]
    assert written(said) == b'event: look\ndata: {"a":"line\\nline"}\n\nevent: over\ndata: {"text":"\\u00e9"}\n\n'


def test_a_tab_is_told_until_it_is_over() -> None:
    async def what(feed: Feed, program: Program) -> None:
        tab = Tab()
        answering = asyncio.ensure_future(Events(feed)({}, tab.receive, tab.send))
        program.answers.put(1)
        await until(lambda: "look" in tab.text)
        feed.end("it is over")
        await answering
        assert tab.sent[0]["status"] == 200
        assert tab.text.endswith('event: over\ndata: {"text":"it is over"}\n\n')
        assert not tab.sent[-1].get("more_body")

    run(what)


def test_a_tab_that_has_gone_is_left_and_nobody_is_asked_any_more() -> None:
    async def what(feed: Feed, program: Program) -> None:
        tab = Tab()
        answering = asyncio.ensure_future(Events(feed)({}, tab.receive, tab.send))
        program.answers.put(1)
        await until(lambda: "look" in tab.text)
        tab.gone.set()
        await answering
        assert feed.watchers == 0
        await until(lambda: program.rests == 1)

    run(what)


def test_a_tab_that_takes_nothing_is_left() -> None:
    async def what(feed: Feed, program: Program) -> None:
        tab = Tab()
        answering = asyncio.ensure_future(Events(feed, stuck=0.01)({}, tab.receive, tab.send))
        await until(lambda: len(tab.sent) == 1)
        tab.takes.clear()
        with feed.watcher() as other:
            program.answers.put(1)
            assert await next_of(other) == [("look", 1)]
            await answering
            assert feed.watchers == 1

    run(what)


def test_a_tab_without_news_is_pinged() -> None:
    async def what(feed: Feed, program: Program) -> None:
        tab = Tab()
        answering = asyncio.ensure_future(Events(feed, ping=0.001)({}, tab.receive, tab.send))
        await until(lambda: tab.text.count(": ping\n\n") >= 3)
        tab.gone.set()
        await answering
        program.answers.put(1)

    run(what)


def test_no_more_tabs_than_there_is_room_for() -> None:
    async def what(feed: Feed, program: Program) -> None:
        program.answers.put(1)
        tabs = [Tab() for _ in range(MOST)]
        answering = [asyncio.ensure_future(Events(feed)({}, tab.receive, tab.send)) for tab in tabs]
        await until(lambda: all("look" in tab.text for tab in tabs))
        tab = Tab()
        await Events(feed)({}, tab.receive, tab.send)
        assert tab.sent[0]["status"] == 503
        assert "too many tabs" in tab.text
        for each in tabs:
            each.gone.set()
        await asyncio.gather(*answering)
        assert feed.watchers == 0

    run(what)


def test_no_more_tabs_are_let_in_though_they_come_all_at_once() -> None:
    async def what(feed: Feed, program: Program) -> None:
        program.answers.put(1)
        tabs = [Tab() for _ in range(MOST + 6)]
        answering = [asyncio.ensure_future(Events(feed)({}, tab.receive, tab.send)) for tab in tabs]
        await until(lambda: all(tab.sent for tab in tabs))
        assert [tab.sent[0]["status"] for tab in tabs] == [200] * MOST + [503] * 6
        for each in tabs:
            each.gone.set()
        await asyncio.gather(*answering)

    run(what)
