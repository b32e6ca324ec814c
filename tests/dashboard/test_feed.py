"""The one asker, and those who watch: a program of the test's own, one event loop, and no time that is waited for."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any

import pytest

from procession.cli.top_asking import Gone
from procession.cli.web.feed import Feed, Said, Watcher, with_last
from tests.top import looks

LONG = 60.0
"""Seconds: what would take so long does not come."""
PATIENCE = 30.0


class Program:
    """Answers a look when it is told what."""

    def __init__(self) -> None:
        self.answers: SimpleQueue[object] = SimpleQueue()
        self.asked = 0
        self.rests = 0
        self.hung_up = False
        self.threads: set[int] = set()

    def look(self) -> dict[str, Any]:
        self.asked += 1
        self.threads.add(threading.get_ident())
        answer = self.answers.get(timeout=PATIENCE)
        if isinstance(answer, Exception):
            raise answer
        return {"look": answer}

    def rest(self) -> None:
        self.rests += 1

    def hang_up(self) -> None:
        self.hung_up = True
        self.answers.put(Gone("hung up"))


def run(what: Callable[[Feed, Program], Awaitable[None]], interval: float = LONG) -> Program:
    """`what`, while the feed runs; then it is ended."""
    program = Program()

    async def main() -> None:
        feed = Feed(program, interval, soon=0.01)
        asking = asyncio.ensure_future(feed.run())
        try:
            async with asyncio.timeout(PATIENCE):
                await what(feed, program)
        finally:
            feed.end("the test is over")
            await asking

    asyncio.run(main())
    return program


def told(news: list[Said] | None) -> list[tuple[str, Any]] | None:
    if news is None:
        return None
    return [(each.kind, next(iter(json.loads(each.data).values()))) for each in news]


async def next_of(watcher: Watcher) -> list[tuple[str, Any]] | None:
    return told(await watcher.next(LONG))


async def until(what: Callable[[], bool]) -> None:
    while not what():  # noqa: ASYNC110  # nobody says when
        await asyncio.sleep(0.001)


# ----------------------------------------------------------------------------------------------------------- the asker


def test_nobody_is_asked_while_nobody_watches() -> None:
    async def what(feed: Feed, program: Program) -> None:
        await asyncio.sleep(0)
        assert program.asked == 0
        with feed.watcher() as watcher:
            program.answers.put(1)
            assert await next_of(watcher) == [("look", 1)]
        await until(lambda: program.rests == 1)
        feed.hurry()
        await asyncio.sleep(0)
        assert program.asked == 1

    program = run(what)
    assert program.threads.isdisjoint({threading.get_ident()})


def test_all_are_told_by_one_question_and_who_comes_late_at_once() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher() as first, feed.watcher() as second:
            program.answers.put(1)
            assert await next_of(first) == await next_of(second) == [("look", 1)]
            with feed.watcher() as late:
                assert await next_of(late) == [("look", 1)]
            assert program.asked == 1

    run(what)


def test_it_is_asked_again_and_at_once_when_something_was_done() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher() as watcher:
            for number in range(3):
                program.answers.put(number)
                assert await next_of(watcher) == [("look", number)]
                feed.hurry()  # the interval is a minute

    run(what)

    async def again(feed: Feed, program: Program) -> None:
        with feed.watcher() as watcher:
            for number in range(3):
                program.answers.put(number)
                assert await next_of(watcher) == [("look", number)]

    run(again, interval=0.001)


def test_who_is_slow_skips_looks_and_delays_nobody() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher() as slow, feed.watcher() as quick:
            for number in range(50):
                program.answers.put(number)
                assert await next_of(quick) == [("look", number)]
                feed.hurry()
            assert await next_of(slow) == [("look", 49)]
            assert await slow.next(0) == []

    run(what)


def test_what_was_seen_before_all_left_is_not_told_to_who_comes() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher() as watcher:
            program.answers.put("old")
            assert await next_of(watcher) == [("look", "old")]
        with feed.watcher() as watcher:
            assert await watcher.next(0) == []
            program.answers.put("new")
            assert await next_of(watcher) == [("look", "new")]

    run(what)


def test_who_comes_while_the_last_leaves_is_told() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher():
            await until(lambda: program.asked == 1)
        with feed.watcher() as watcher:  # what was asked for the other one
            program.answers.put(1)
            assert await next_of(watcher) == [("look", 1)]

    run(what)


# ----------------------------------------------------------------------------------------------------- trouble, the end


@pytest.mark.parametrize("steps", range(6))
def test_who_leaves_in_the_moment_of_news_has_left(steps: int) -> None:
    async def what(feed: Feed, program: Program) -> None:
        program.answers.put(1)
        with feed.watcher() as watcher:
            assert await next_of(watcher) == [("look", 1)]
            waiting = asyncio.ensure_future(watcher.next(LONG))
            await asyncio.sleep(0.01)
            feed.changed.set()
            for _ in range(steps):
                await asyncio.sleep(0)
            if waiting.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await waiting

    run(what)


def test_trouble_is_told_once_and_ends_with_the_next_look() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher() as watcher:
            program.answers.put(1)
            assert await next_of(watcher) == [("look", 1)]
            feed.hurry()
            program.answers.put(Gone("it does not answer"))
            assert await next_of(watcher) == [("trouble", "it does not answer")]
            program.answers.put(Gone("it does not answer"))
            await until(lambda: program.asked == 4)
            assert await watcher.next(0) == []
            with feed.watcher() as late:
                assert await next_of(late) == [("look", 1), ("trouble", "it does not answer")]
            program.answers.put(ValueError("nonsense"))
            assert await next_of(watcher) == [("trouble", "it cannot be looked at: ValueError('nonsense')")]
            program.answers.put(2)
            assert await next_of(watcher) == [("look", 2)]
            with feed.watcher() as late:
                assert await next_of(late) == [("look", 2)]

    run(what)


def test_the_end_is_the_last_that_is_told() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher() as watcher, feed.watcher() as slow:
            program.answers.put(1)
            assert await next_of(watcher) == [("look", 1)]
            feed.end("it is over")
            feed.end("another reason")
            assert await next_of(watcher) == [("over", "it is over")]
            assert await next_of(watcher) is None
            assert await next_of(watcher) is None
            assert await next_of(slow) == [("look", 1), ("over", "it is over")]
        await feed.left()
        with feed.watcher() as late:
            assert await next_of(late) == [("look", 1), ("over", "it is over")]

    assert run(what).hung_up


def test_a_question_that_is_being_asked_does_not_delay_the_end() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher() as watcher:
            await until(lambda: program.asked == 1)
            feed.end("it is over")
            assert await next_of(watcher) == [("over", "it is over")]

    assert run(what).hung_up


def test_no_more_is_said_than_that_it_is_over_when_it_ends_while_it_does_not_answer() -> None:
    async def what(feed: Feed, program: Program) -> None:
        with feed.watcher() as watcher:
            program.answers.put(Gone("it has ended"))
            await until(lambda: program.asked == 1)
            feed.end("program 7 has ended")
            assert await next_of(watcher) == [("over", "program 7 has ended")]

    run(what)


def test_the_last_numbers_are_told_before_the_end() -> None:
    streams = [{"kind": "imap", "name": "a", "engine": 3}, {"kind": "imap", "name": "b", "engine": 4}]
    streams.append({"kind": "Pipeline", "name": "c", "engines": [3, 4]})
    look = looks.look(looks.pool(3, looks.row(1), done=5), looks.pool(4, looks.row(1), done=6), streams=streams)
    ended = with_last(json.loads(json.dumps(look)), [{"number": 3, "done": 9, "failed": 1}])
    first, second = ended["pools"]
    assert (first["done"], first["failed"], first["rows"], first["running"], first["workers"]) == (9, 1, [], 0, 0)
    assert second == look["pools"][1]
    assert [stream["name"] for stream in ended["streams"]] == ["b", "c"]

    class Seen(Program):
        def look(self) -> dict[str, Any]:
            super().look()
            return look

    async def main() -> None:
        program = Seen()
        feed = Feed(program, LONG)
        asking = asyncio.ensure_future(feed.run())
        with feed.watcher() as watcher:
            program.answers.put(1)
            await watcher.next(LONG)
            feed.end("over", [{"number": 4, "done": 8}])
            news = await watcher.next(LONG)
            assert news is not None
            assert [each.kind for each in news] == ["look", "over"]
            assert [pool["done"] for pool in json.loads(news[0].data)["pools"]] == [5, 8]
        await asking

    asyncio.run(main())
