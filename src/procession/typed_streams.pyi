"""The maps and streams of a pool as type checkers see them: the function must take the items; see typed.pyi.

`pool_streams.PoolStreams` is what is there when a program runs, and has their words and docstrings.
"""
# pyright: reportIncompatibleMethodOverride=false

from abc import ABCMeta
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, TypeVar, Unpack, overload

from procession.captured import Captured
from procession.pool_streams import PoolStreams
from procession.streams import Stream
from procession.streams_async import AsyncStream
from procession.typed import MapWords, StreamReturns, StreamWords, UnorderedReturns, UnorderedWords

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T = TypeVar("T")

Items = Iterable[A] | AsyncIterable[A]

class TypedStreams(PoolStreams, metaclass=ABCMeta):
    @overload  # type: ignore[override]  # narrower: the function must take the items
    def map(self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[MapWords]) -> Iterator[T]: ...
    @overload
    def map(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[MapWords]
    ) -> Iterator[T]: ...
    @overload
    def map(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[MapWords],
    ) -> Iterator[T]: ...
    @overload
    def map(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[MapWords],
    ) -> Iterator[T]: ...
    @overload  # type: ignore[override]  # narrower: the function must take the items
    def imap(self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[StreamWords]) -> Stream[T]: ...
    @overload
    def imap(
        self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[StreamReturns]
    ) -> Stream[T | BaseException]: ...
    @overload
    def imap(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[StreamWords]
    ) -> Stream[T]: ...
    @overload
    def imap(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[StreamReturns]
    ) -> Stream[T | BaseException]: ...
    @overload
    def imap(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[StreamWords],
    ) -> Stream[T]: ...
    @overload
    def imap(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[StreamReturns],
    ) -> Stream[T | BaseException]: ...
    @overload
    def imap(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[StreamWords],
    ) -> Stream[T]: ...
    @overload
    def imap(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[StreamReturns],
    ) -> Stream[T | BaseException]: ...
    @overload  # type: ignore[override]  # narrower: the function must take the items
    def imap_unordered(
        self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[UnorderedWords]
    ) -> Stream[T]: ...
    @overload
    def imap_unordered(
        self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[UnorderedReturns]
    ) -> Stream[T | BaseException]: ...
    @overload
    def imap_unordered(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[UnorderedWords]
    ) -> Stream[T]: ...
    @overload
    def imap_unordered(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[UnorderedReturns]
    ) -> Stream[T | BaseException]: ...
    @overload
    def imap_unordered(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[UnorderedWords],
    ) -> Stream[T]: ...
    @overload
    def imap_unordered(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[UnorderedReturns],
    ) -> Stream[T | BaseException]: ...
    @overload
    def imap_unordered(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[UnorderedWords],
    ) -> Stream[T]: ...
    @overload
    def imap_unordered(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[UnorderedReturns],
    ) -> Stream[T | BaseException]: ...
    @overload  # type: ignore[override]  # narrower: the function must take the items
    def aimap(self, fn: Callable[[A], T], i1: Items[A], /, **words: Unpack[StreamWords]) -> AsyncStream[T]: ...
    @overload
    def aimap(
        self, fn: Callable[[A], T], i1: Items[A], /, **words: Unpack[StreamReturns]
    ) -> AsyncStream[T | BaseException]: ...
    @overload
    def aimap(
        self, fn: Callable[[A, B], T], i1: Items[A], i2: Items[B], /, **words: Unpack[StreamWords]
    ) -> AsyncStream[T]: ...
    @overload
    def aimap(
        self, fn: Callable[[A, B], T], i1: Items[A], i2: Items[B], /, **words: Unpack[StreamReturns]
    ) -> AsyncStream[T | BaseException]: ...
    @overload
    def aimap(
        self, fn: Callable[[A, B, C], T], i1: Items[A], i2: Items[B], i3: Items[C], /, **words: Unpack[StreamWords]
    ) -> AsyncStream[T]: ...
    @overload
    def aimap(
        self,
        fn: Callable[[A, B, C], T],
        i1: Items[A],
        i2: Items[B],
        i3: Items[C],
        /,
        **words: Unpack[StreamReturns],
    ) -> AsyncStream[T | BaseException]: ...
    @overload
    def aimap(
        self,
        fn: Callable[..., T],
        i1: Items[Any],
        i2: Items[Any],
        i3: Items[Any],
        i4: Items[Any],
        /,
        *more: Items[Any],
        **words: Unpack[StreamWords],
    ) -> AsyncStream[T]: ...
    @overload
    def aimap(
        self,
        fn: Callable[..., T],
        i1: Items[Any],
        i2: Items[Any],
        i3: Items[Any],
        i4: Items[Any],
        /,
        *more: Items[Any],
        **words: Unpack[StreamReturns],
    ) -> AsyncStream[T | BaseException]: ...

class CapturedStreams:
    """The same of a view under `options(capture=True)`."""

    @overload
    def map(self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[MapWords]) -> Iterator[Captured[T]]: ...
    @overload
    def map(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[MapWords]
    ) -> Iterator[Captured[T]]: ...
    @overload
    def map(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[MapWords],
    ) -> Iterator[Captured[T]]: ...
    @overload
    def map(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[MapWords],
    ) -> Iterator[Captured[T]]: ...
    @overload
    def imap(self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[StreamWords]) -> Stream[Captured[T]]: ...
    @overload
    def imap(
        self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[StreamReturns]
    ) -> Stream[Captured[T] | BaseException]: ...
    @overload
    def imap(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[StreamWords]
    ) -> Stream[Captured[T]]: ...
    @overload
    def imap(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[StreamReturns]
    ) -> Stream[Captured[T] | BaseException]: ...
    @overload
    def imap(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[StreamWords],
    ) -> Stream[Captured[T]]: ...
    @overload
    def imap(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[StreamReturns],
    ) -> Stream[Captured[T] | BaseException]: ...
    @overload
    def imap(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[StreamWords],
    ) -> Stream[Captured[T]]: ...
    @overload
    def imap(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[StreamReturns],
    ) -> Stream[Captured[T] | BaseException]: ...
    @overload
    def imap_unordered(
        self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[UnorderedWords]
    ) -> Stream[Captured[T]]: ...
    @overload
    def imap_unordered(
        self, fn: Callable[[A], T], i1: Iterable[A], /, **words: Unpack[UnorderedReturns]
    ) -> Stream[Captured[T] | BaseException]: ...
    @overload
    def imap_unordered(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[UnorderedWords]
    ) -> Stream[Captured[T]]: ...
    @overload
    def imap_unordered(
        self, fn: Callable[[A, B], T], i1: Iterable[A], i2: Iterable[B], /, **words: Unpack[UnorderedReturns]
    ) -> Stream[Captured[T] | BaseException]: ...
    @overload
    def imap_unordered(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[UnorderedWords],
    ) -> Stream[Captured[T]]: ...
    @overload
    def imap_unordered(
        self,
        fn: Callable[[A, B, C], T],
        i1: Iterable[A],
        i2: Iterable[B],
        i3: Iterable[C],
        /,
        **words: Unpack[UnorderedReturns],
    ) -> Stream[Captured[T] | BaseException]: ...
    @overload
    def imap_unordered(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[UnorderedWords],
    ) -> Stream[Captured[T]]: ...
    @overload
    def imap_unordered(
        self,
        fn: Callable[..., T],
        i1: Iterable[Any],
        i2: Iterable[Any],
        i3: Iterable[Any],
        i4: Iterable[Any],
        /,
        *more: Iterable[Any],
        **words: Unpack[UnorderedReturns],
    ) -> Stream[Captured[T] | BaseException]: ...
    @overload
    def aimap(
        self, fn: Callable[[A], T], i1: Items[A], /, **words: Unpack[StreamWords]
    ) -> AsyncStream[Captured[T]]: ...
    @overload
    def aimap(
        self, fn: Callable[[A], T], i1: Items[A], /, **words: Unpack[StreamReturns]
    ) -> AsyncStream[Captured[T] | BaseException]: ...
    @overload
    def aimap(
        self, fn: Callable[[A, B], T], i1: Items[A], i2: Items[B], /, **words: Unpack[StreamWords]
    ) -> AsyncStream[Captured[T]]: ...
    @overload
    def aimap(
        self, fn: Callable[[A, B], T], i1: Items[A], i2: Items[B], /, **words: Unpack[StreamReturns]
    ) -> AsyncStream[Captured[T] | BaseException]: ...
    @overload
    def aimap(
        self, fn: Callable[[A, B, C], T], i1: Items[A], i2: Items[B], i3: Items[C], /, **words: Unpack[StreamWords]
    ) -> AsyncStream[Captured[T]]: ...
    @overload
    def aimap(
        self,
        fn: Callable[[A, B, C], T],
        i1: Items[A],
        i2: Items[B],
        i3: Items[C],
        /,
        **words: Unpack[StreamReturns],
    ) -> AsyncStream[Captured[T] | BaseException]: ...
    @overload
    def aimap(
        self,
        fn: Callable[..., T],
        i1: Items[Any],
        i2: Items[Any],
        i3: Items[Any],
        i4: Items[Any],
        /,
        *more: Items[Any],
        **words: Unpack[StreamWords],
    ) -> AsyncStream[Captured[T]]: ...
    @overload
    def aimap(
        self,
        fn: Callable[..., T],
        i1: Items[Any],
        i2: Items[Any],
        i3: Items[Any],
        i4: Items[Any],
        /,
        *more: Items[Any],
        **words: Unpack[StreamReturns],
    ) -> AsyncStream[Captured[T] | BaseException]: ...
