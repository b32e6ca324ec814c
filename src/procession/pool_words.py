"""The words of `options` and `imap`, for the type checkers: of methods that hand them on."""

from __future__ import annotations

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypedDict

    from procession.observe.progress import Progress
    from procession.on_error import OnError
    from procession.policies import Backoff, RetryOn

    class OptionWords(TypedDict, total=False):
        """The words of `options`, but for `capture`."""

        timeout: float | None
        queue_timeout: float | None
        grace: float | None
        retries: int | None
        retry_on: RetryOn | None
        backoff: Backoff | None
        priority: int | None
        name: str | None
        progress: Progress | None
        seed: int | None

    class StreamWords(TypedDict, total=False):
        """The words of `imap_unordered`."""

        window: int | None
        buffer_bytes: int | None
        spill: bool
        key: Callable[..., Hashable] | None
        sticky: bool
        on_error: OnError
        live: bool
        chunksize: int | None
        rate: float | None
        seed: int | None
        progress: Progress

    class OrderedWords(StreamWords, total=False):
        """The words of `imap`."""

        ordered: bool
