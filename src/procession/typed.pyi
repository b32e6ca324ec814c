"""Words and type variables of the public face, for type checkers: nothing of this is there when a program runs.

What is checked by it
1. Each function against what it will be called with: the items, the state of `setup`, a list of items with `batch`.
2. What comes out: what the function returns; with on_error="return" an exception may be in its place.
3. Words and their values. A word that there is not is an error of its name.

A function whose parameter nobody says the type of, a lambda, makes Any of its items. pyright wants to be told that
it may: by a union that mypy takes for its wider half, and so must not see.
"""

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from os import PathLike
from typing import Any, Generic, Literal, Required, TypedDict

from typing_extensions import TypeVar

from procession.journal import Journal
from procession.options import Backend, Overflow
from procession.policies import Backoff, RetryOn
from procession.seeing.sources import Progress
from procession.types import Failure

MYPY = False
"""True for mypy, which knows the name, whatever stands here."""

A = TypeVar("A", default=Any)
B = TypeVar("B", default=Any)
C = TypeVar("C", default=Any)
D = TypeVar("D", default=Any)
E = TypeVar("E", default=Any)
F = TypeVar("F", default=Any)
S = TypeVar("S", default=Any)
Lambda = Callable[[A], B] | Callable[[Any], B]

Item = TypeVar("Item", contravariant=True, default=Any)
Result = TypeVar("Result", covariant=True, default=Any)

Setup = Callable[[], AbstractContextManager[S] | S]
"""What it returns is entered if it is a context manager; S is the state that there is then."""
Going = Literal["raise", "skip"] | Callable[[Failure], object]
"""on_error, where no exception comes out as a value."""
Returned = Literal["return"]

class PolicyWords(TypedDict, total=False):
    timeout: float | None
    queue_timeout: float | None
    grace: float | None
    retries: int | None
    retry_on: RetryOn | None
    backoff: Backoff | None
    priority: int | None
    resources: Mapping[str, float] | None

# ----------------------------------------------------------------------------------------------------------- pools

class PoolOwn(TypedDict, total=False):
    """Words of one backend."""

    pickle: bool
    thread_name_prefix: str
    address: object

class OptionWords(PolicyWords, total=False):
    """The words of `options`, but for `capture`."""

    name: str | None
    progress: Progress | None
    seed: int | None

class MapWords(TypedDict, total=False):
    timeout: float | None
    chunksize: int | None
    buffersize: int | None

class AnyStreamWords(TypedDict, total=False):
    window: int | None
    buffer_bytes: int | None
    spill: bool
    key: Callable[..., Hashable] | None
    sticky: bool
    live: bool
    chunksize: int | None
    rate: float | None
    seed: int | None
    progress: Progress
    journal: str | PathLike[str] | Journal | None
    item_id: Callable[..., str | int | bytes] | None

class UnorderedWords(AnyStreamWords, total=False):
    on_error: Going

class UnorderedReturns(AnyStreamWords, total=False):
    on_error: Required[Returned]

class StreamWords(UnorderedWords, total=False):
    ordered: bool

class StreamReturns(UnorderedReturns, total=False):
    ordered: bool

# -------------------------------------------------------------------------------------------------------- spin-offs

class WorkerWords(PolicyWords, total=False):
    workers: int
    backend: Backend
    sticky: bool
    max_wait: float | None
    rate: float | None
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    name: str | None

class AnySpinWords(WorkerWords, Generic[A, B], total=False):
    maxsize: int
    buffer_bytes: int | None
    overflow: Overflow
    iterate: bool
    on_result: Callable[[B], object] | None
    ordered: bool
    key: Callable[[A], Hashable] | None
    seed: int | None
    progress: Progress
    journal: str | PathLike[str] | Journal | None
    item_id: Callable[[A], int | str | bytes] | None

class StatefulSpinWords(AnySpinWords[A, B], total=False):
    capture: Literal[False]
    batch: None
    on_error: Going

class SpinWords(StatefulSpinWords[A, B], total=False):
    setup: None

class StatefulSpinReturns(AnySpinWords[A, B], total=False):
    capture: Literal[False]
    batch: None
    on_error: Required[Returned]

class SpinReturns(StatefulSpinReturns[A, B], total=False):
    setup: None

class StatefulBatchSpinWords(AnySpinWords[A, B], total=False):
    batch: Required[int]
    on_error: Going

class BatchSpinWords(StatefulBatchSpinWords[A, B], total=False):
    setup: None

class StatefulBatchSpinReturns(AnySpinWords[A, B], total=False):
    batch: Required[int]
    on_error: Required[Returned]

class BatchSpinReturns(StatefulBatchSpinReturns[A, B], total=False):
    setup: None

class CapturingSpinWords(AnySpinWords[Any, B], total=False):
    """Items are not checked against the function here."""

    capture: Required[Literal[True]]
    batch: None
    setup: Callable[[], object] | None
    on_error: Going

class CapturingSpinReturns(AnySpinWords[Any, B], total=False):
    capture: Required[Literal[True]]
    batch: None
    setup: Callable[[], object] | None
    on_error: Required[Returned]

# -------------------------------------------------------------------------------------------------------- pipelines

class AnyStageWords(WorkerWords, Generic[A], total=False):
    key: Callable[[A], Hashable] | None

class StatefulStageWords(AnyStageWords[A], total=False):
    batch: None
    many: Literal[False]

class StageWords(StatefulStageWords[A], total=False):
    setup: None

class StatefulManyStageWords(AnyStageWords[A], total=False):
    batch: None
    many: Required[Literal[True]]

class ManyStageWords(StatefulManyStageWords[A], total=False):
    setup: None

class StatefulBatchStageWords(AnyStageWords[A], total=False):
    batch: Required[int]
    many: Literal[False]

class BatchStageWords(StatefulBatchStageWords[A], total=False):
    setup: None

class StatefulBatchManyStageWords(AnyStageWords[A], total=False):
    batch: Required[int]
    many: Required[Literal[True]]

class BatchManyStageWords(StatefulBatchManyStageWords[A], total=False):
    setup: None

class PipelineWords(TypedDict, total=False):
    window: int | None
    buffer_bytes: int | None
    ordered: bool
    widths: Literal["auto"] | None

class AnyRunWords(TypedDict, total=False):
    live: bool
    seed: int | None
    progress: Progress

class RunWords(AnyRunWords, total=False):
    on_error: Going

class RunReturns(AnyRunWords, total=False):
    on_error: Required[Returned]
