"""What the adapters of Arrow and Polars share: a function over batches of rows, on workers, as an iterator of results.

Laws
1. The function sees every row once, in the order of the source, and no batch without rows. Only when the source has no
   row at all, and says what its columns are, it is given one batch without rows, so that the result has columns.
2. At most `window` batches are taken from the source and not handed over. Nothing is read before it is needed.
3. Results come in the order of the batches (`ordered=False`: as they are finished), one for each call.
4. All results have the columns of the first one that comes. The first that has other ones ends the iterator, by name.
5. An error of the function has a note that says which batch it was, and which rows of the source. So has the death of a
   worker. An error of the source comes as it is, behind the results of all that it gave before.
6. Leaving early (`close`, the end of a `with` block, dropping the iterator) cancels what waits, ends what runs, and
   closes the source if that is a generator or a stream of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from procession import options
from procession.adapters.given_by_users import Sized, check_pool, shared
from procession.backends.functions import name_of
from procession.pool_face import PoolFace
from procession.stream_pulling import close_if_ours
from procession.streams import check_positive

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from procession.seeing.sources import Progress
    from procession.stream_stats import StreamStats
    from procession.streams import Stream

T = TypeVar("T")
Columns = list[tuple[str, tuple[Any, ...]]]

MOST_ROWS = 65_536
"""Rows in a batch at most, where nobody says how many."""
FOR_EACH_WORKER = 4
"""Batches in the window for each worker, where nobody says how many; and so many, at least, are made of a table."""


class Source:
    """Where the batches come from.

    pieces: what has rows and `slice(offset, length)`, as they come. join: makes one of several. empty: one without
    rows; None: nobody knows the columns. rows: how many there are in all; None: not known.
    """

    def __init__(
        self, pieces: Iterator[Any], join: Callable[[list[Any]], Any], empty: Any = None, rows: int | None = None
    ) -> None:
        self.pieces, self.join, self.empty, self.rows = pieces, join, empty, rows

    def batches(self, batch_rows: int | None, workers: int) -> tuple[Iterator[Any], int | None]:
        """Batches as they are to be sent, none of them empty; and how many, if that is known."""
        if batch_rows is None and self.rows is None:
            return cut(self._filled(), MOST_ROWS), None
        wanted = batch_rows or max(1, min(MOST_ROWS, -(-(self.rows or 0) // (FOR_EACH_WORKER * workers))))
        count = None if self.rows is None else -(-self.rows // wanted)
        return rebatched(self._filled(), wanted, self.join), count or None

    def _filled(self) -> Iterator[Any]:
        """The pieces that have rows."""
        for piece in self.pieces:
            if len(piece):
                yield piece
            elif self.empty is None:
                self.empty = piece

    def told(self, number: int, start: int, batch: Any) -> str:
        """What a note calls this batch, whose first row is that."""
        return f"batch {number}: rows {start} to {start + len(batch) - 1} of the source"

    def close(self) -> None:
        """Nothing more is taken."""
        close_if_ours(self.pieces)


def cut(pieces: Iterator[Any], most: int) -> Iterator[Any]:
    """The pieces, with those that are larger in parts."""
    for piece in pieces:
        if len(piece) <= most:
            yield piece
            continue
        for start in range(0, len(piece), most):
            yield piece.slice(start, min(most, len(piece) - start))


def rebatched(pieces: Iterator[Any], rows: int, join: Callable[[list[Any]], Any]) -> Iterator[Any]:
    """Of exactly so many rows, but for the last."""
    held: list[Any] = []
    missing = rows
    for whole in pieces:
        piece = whole
        while len(piece) >= missing:
            held.append(piece.slice(0, missing) if len(piece) > missing else piece)
            piece = piece.slice(missing, len(piece) - missing)
            yield join(held) if len(held) > 1 else held[0]
            held, missing = [], rows
        if len(piece):
            held.append(piece)
            missing -= len(piece)
    if held:
        yield join(held) if len(held) > 1 else held[0]


class Batches(Iterator[T]):
    """The results, batch by batch, in order. Also a context manager, which closes it.

    One thread takes. Closing or dropping it cancels what it has begun.
    """

    closes_as_source = True

    def __init__(self, feed: Feed, stream: Stream[Any]) -> None:
        self._feed, self._stream = feed, stream
        self._first: list[Any] = []  # the first result, when somebody has asked for its columns before taking it
        self._like: Columns | None = None  # the columns of the first result

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        result: T = self._first.pop() if self._first else self._take()
        return result

    def _take(self) -> Any:
        feed = self._feed
        try:
            result = next(self._stream).value
        except StopIteration:
            raise
        except Exception as error:
            place = feed.sent.get(self._stream._outlet.latest)
            if place is not None and error is not feed.error:
                self._note(error, place)
            raise
        place = feed.sent.pop(self._stream._outlet.latest)
        columns = self._columns(result)
        if self._like is None:
            self._like = columns
        elif columns != self._like:
            self.close()
            other = self._unlike(f"a result has other columns than the first one: {differing(self._like, columns)}")
            self._note(other, place)
            raise other
        return result

    def _columns(self, result: Any) -> Columns:
        """The names of its columns, and what each is."""
        raise NotImplementedError

    def _unlike(self, text: str) -> Exception:
        """The error for a result whose columns are not those of the first."""
        return ValueError(text)

    def _note(self, error: Exception, place: str) -> None:
        error.add_note(f"in {place}")

    def stats(self) -> StreamStats:
        """Numbers, as those of `Pool.imap`; items are batches."""
        return self._stream.stats()

    def close(self) -> None:
        """Cancel what waits, end what runs, and close the source. May be called again."""
        self._first.clear()
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def differing(wanted: Columns, found: Columns) -> str:
    """What is different, in words."""
    names, kinds = [name for name, _ in wanted], dict(found)
    for name, kind in wanted:
        if name not in kinds:
            return f"{name!r} is missing"
        if kinds[name] != kind:
            return f"{name!r} is {' '.join(map(str, kinds[name]))}, not {' '.join(map(str, kind))}"
    for name in kinds:
        if name not in names:
            return f"it has {name!r} as well"
    return f"they are in another order, {', '.join(kinds)}"


class Feed:
    """The items of a stream, made of batches as they are needed.

    sent: what the batches are called that are on their way, by their number. error: what the source has raised.
    tries: see `Words.begin`.
    """

    def __init__(self, source: Source, batches: Iterator[Any], total: int | None, make: Callable[[Any], Any]) -> None:
        self.sent: dict[int, str] = {}
        self.error: BaseException | None = None
        self.tries = True
        self._source, self._batches, self._total, self._make = source, batches, total, make

    def iterable(self) -> Iterable[Any]:
        """To be iterated over once; with a length if that is known."""
        return self._items() if self._total is None else Sized(self._items(), self._total)

    def _items(self) -> Iterator[Any]:
        number = start = 0
        source = self._source
        try:
            for batch in self._heard():
                self.sent[number] = source.told(number, start, batch)
                start += len(batch)
                number += 1
                yield self._make(batch)
            if not number and self.tries and source.empty is not None:
                self.sent[0] = "batch 0, which is without rows, as the source is"
                yield self._make(source.empty)
        finally:
            close_if_ours(self._batches)
            source.close()

    def _heard(self) -> Iterator[Any]:
        try:
            yield from self._batches
        except Exception as error:
            self.error = error
            raise


class Words:
    """What the public functions are told, and what becomes of it."""

    def __init__(
        self, fn: object, pool: PoolFace | None, batch_rows: int | None, window: int | None, ordered: object
    ) -> None:
        if not callable(fn):
            raise TypeError(f"fn must be a function, not {type(fn).__name__}; it comes before the source")
        options.check_fn(fn)
        check_positive("batch_rows", batch_rows, "as the source has them")
        check_positive("window", window, f"{FOR_EACH_WORKER} for each worker")
        if not isinstance(ordered, bool):
            raise TypeError(f"ordered must be True or False, not {type(ordered).__name__}")
        if pool is not None:
            check_pool(pool)
        if pool is not None and pool._captures:
            raise ValueError("pool is a view with capture=True: a table has no place for what its tasks have written")
        self._fn, self._batch_rows, self._window, self._ordered, self._pool = fn, batch_rows, window, ordered, pool

    def pool(self) -> PoolFace:
        """The one to run on. Asked for when all words are known to be right."""
        if self._pool is None:
            self._pool = shared()
        return self._pool

    def begin(
        self,
        source: Source,
        call: Callable[..., Any],
        carried: Callable[[Any], Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        progress: Progress,
        tries: bool = True,
    ) -> tuple[Feed, Stream[Any]]:
        """Start the work: `call(fn, (carried(batch), (args, kwargs)))` for each batch.

        tries: if there is no row, with a batch without rows.
        """
        pool = self.pool()
        workers: int = pool._engine.max_workers
        more = pool.share((args, kwargs)) if args or kwargs else ((), {})
        batches, total = source.batches(self._batch_rows, workers)
        feed = Feed(source, batches, total, lambda batch: (carried(batch), more))
        feed.tries = tries
        named = pool if pool._name else pool.options(name=name_of(self._fn))
        window = self._window or FOR_EACH_WORKER * workers
        items, call = feed.iterable(), partial(call, self._fn)
        return feed, named.imap(call, items, ordered=self._ordered, window=window, chunksize=1, progress=progress)
