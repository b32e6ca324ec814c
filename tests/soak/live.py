"""More of the load: generators as tasks, and spin-offs that run items together, at a limited rate or not."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from procession import SpinOff, WorkerDied
from tests.soak.work import CANCELLED, payload, work_of

if TYPE_CHECKING:
    from tests.soak.load import Load


def told(count: int, large: int) -> Iterator[tuple[int, bytes]]:
    """So many values, some of them large; it takes its time now and then."""
    for n in range(count):
        if n % 64 == 63:
            time.sleep(0.001)
        yield n, payload(n, large if n % 16 == 15 else 10)


def yielding(load: Load, rng: random.Random, who: str) -> None:
    """Some generators at once on the shared pool, taken in turns: no value is lost, changed, or out of order.

    With further runs all values come, whatever dies; without, those before the death. Some are closed on the way.
    """
    book = load.book
    streams: list[tuple[Iterator[tuple[int, bytes]], int, int, bool, int]] = []
    for _ in range(rng.choice([1, 2, 6])):
        count, large, again = rng.choice([0, 3, 200, 3000]), rng.choice([100, 20_000, 300_000]), rng.random() < 0.7
        view: Any = load.pool.options(retries=100, retry_on=WorkerDied) if again else load.pool
        most = rng.randrange(count + 1) if rng.random() < 0.2 else count + 1
        streams.append((view.stream(told, count, large), count, large, again, most))
    places = [0] * len(streams)
    open_ = set(range(len(streams)))
    book.counts["generators"] += len(streams)
    while open_:
        at = rng.choice(sorted(open_))
        stream, count, large, again, most = streams[at]
        for _ in range(rng.choice([1, 10, 100])):
            n = places[at]
            if n == most or load.stop.is_set():
                stream.close()  # type: ignore[attr-defined]
                open_.discard(at)
                break
            try:
                value = next(stream)
            except StopIteration:
                if n != count:
                    book.wrong.append(f"{who}: a generator of {count} values has ended after {n}")
                open_.discard(at)
                break
            except WorkerDied as error:
                book.counts["generators that died"] += 1
                if again:
                    book.wrong.append(f"{who}: a generator that may run again has died of {error}")
                open_.discard(at)
                break
            if value != (n, payload(n, large if n % 16 == 15 else 10)):
                book.wrong.append(f"{who}: value {n} of a generator is {str(value)[:50]}")
            places[at] += 1
            book.alive()


def all_of(pairs: list[tuple[int, str]]) -> list[tuple[int, bytes]]:
    """One result for each."""
    return [work_of(pair) for pair in pairs]


def together(load: Load, rng: random.Random, who: str) -> None:
    """A spin-off that runs items together; some are cancelled while they wait, some run again."""
    book, retries = load.book, rng.choice([0, 3])
    words: dict[str, Any] = {
        "workers": rng.choice([1, 3]),
        "maxsize": rng.choice([8, 100]),
        "batch": rng.choice([1, 4, 32]),
        "max_wait": rng.choice([0.001, 0.02]),
        "rate": rng.choice([None, None, 2_000]),
        "buffer_bytes": rng.choice([None, None, 100_000]),
        "ordered": rng.random() < 0.7,
        "on_error": "return",
        "retries": retries,
        "retry_on": WorkerDied,
    }
    put: list[tuple[int, Future[Any]]] = []
    got: list[Any] = []
    book.counts["spin-offs of batches"] += 1
    with SpinOff(all_of, **words) as spin:
        for n in range(rng.choice([1, 20, 300])):
            number = book.number()
            book.runs[number] = 1 + retries
            while True:
                got += spin.ready()
                if spin.stats().put - spin.stats().taken < words["maxsize"] // 2 or not spin.stats().unfinished:
                    break
                load.stop.wait(0.001)
            put.append((number, spin.put((number, book.path))))
            if rng.random() < 0.03:
                put[rng.randrange(len(put))][1].cancel()
            if n % 64 == 0 and rng.random() < 0.2:
                spin.flush()
            book.alive()
            if load.stop.is_set():
                break
    got += spin
    for number, future in put:
        book.file(who, number, CANCELLED if future.cancelled() else future.exception() or future.result())
    numbers = [answer[0] for answer in got if not isinstance(answer, BaseException)]
    if len(set(numbers)) != len(numbers) or (words["ordered"] and numbers != sorted(numbers)):
        book.wrong.append(f"{who}: what came out of a spin-off of batches is not in order, or came twice")
    if len(got) + sum(future.cancelled() for _, future in put) != len(put):
        book.wrong.append(f"{who}: {len(put)} put, {len(got)} taken, {spin.stats()}")


WAYS = (yielding, yielding, together)
