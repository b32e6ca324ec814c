"""A loader of batches for PyTorch, prefetched by worker processes: the same batches whatever the number of workers.

    from procession.adapters.torch import Loader        # was: from torch.utils.data import DataLoader

    with Loader(dataset, batch_size=64, shuffle=True, workers=4, seed=7) as loader:
        for epoch in range(10):
            for images, labels in loader:
                ...

Laws
1. Batches come in the order of the sampler, and are what torch's DataLoader makes of the same indices.
2. What an item draws at random depends on the seed, the epoch and the item's place in it, and on nothing else: not on
   the workers, the batch, or what was loaded before. That is so for `procession.rng()` and `np_rng()`, and for the
   global generators of torch, `random` and NumPy, which are begun anew for each item.
3. At most `prefetch` batches for each worker are made and not taken.
4. An error of an item comes at its batch's place, behind all batches before it, and ends the epoch, not the loader. So
   does the death of a worker.
5. An epoch that is left early leaves nothing running; workers stay until `close`, or until the loader is dropped.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

from procession.worker.chance import Seeded, check_seed

if TYPE_CHECKING:
    from types import TracebackType

    from procession.pool import Pool

__all__ = ["Loader"]


class Loader:
    """An iterable of batches; each `iter` of it is an epoch.

    dataset: with `__getitem__` and `__len__`. It is sent once and loaded once by each worker, where its NumPy arrays
        are one copy in shared memory that cannot be written.
    batch_size: items in a batch; None: each item by itself.
    shuffle: in an order that depends on the seed and the epoch.
    sampler: yields indices, in place of shuffle. batch_sampler: yields lists of them, in place of batch_size as well.
    workers: so many processes; 0: each batch is made here, when it is asked for.
    collate_fn: makes a batch of a list of items; None: torch's `default_collate` (without batch_size its
        `default_convert`).
    drop_last: leave out a last batch that is smaller.
    seed: see law 2; None: another one for each loader.
    prefetch: batches for each worker that are made ahead.
    timeout: seconds that one batch may take; then TaskTimeout, and its worker is replaced.

    Raises ImportError without torch, TypeError and ValueError for words that make no sense. An IterableDataset has no
    indices, and is refused.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        *,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        workers: int = 1,
        collate_fn: Callable[[Any], Any] | None = None,
        drop_last: bool = False,
        seed: int | None = None,
        prefetch: int = 2,
        timeout: float | None = None,
    ) -> None:
        data = _torch().utils.data
        check_seed(seed)
        _check_count("workers", workers, 0)
        _check_count("prefetch", prefetch, 1)
        if batch_size is not None:
            _check_count("batch_size", batch_size, 1)
        if isinstance(dataset, data.IterableDataset) or not hasattr(dataset, "__getitem__"):
            raise TypeError(f"dataset must have __getitem__ and __len__; {type(dataset).__name__} has no indices")
        if sampler is not None and shuffle:
            raise ValueError("sampler says the order, so shuffle cannot be asked for as well")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("batch_sampler says all of it: batch_size, shuffle, sampler and drop_last go without it")
        self.dataset = dataset
        self.batch_size = None if batch_sampler is not None else batch_size
        self.epoch = 0
        """The number of the next epoch; may be set, to go on where another program had ended."""
        self._single = batch_sampler is None and batch_size is None
        default = data.default_convert if self._single else data.default_collate
        self._collate: Callable[[Any], Any] = default if collate_fn is None else collate_fn
        self._shuffle, self._sampler, self._batch_sampler = shuffle, sampler, batch_sampler
        self._drop_last = drop_last
        self._workers, self._prefetch, self._timeout = workers, prefetch, timeout
        self.seed: int = _new_seed() if seed is None else seed
        self._pool: Pool | None = None
        self._handle: Any = None
        self._closed = False

    def __len__(self) -> int:
        """Batches in an epoch."""
        if self._batch_sampler is not None:
            return len(self._batch_sampler)  # type: ignore[arg-type]
        items = len(self.dataset if self._sampler is None else self._sampler)  # type: ignore[arg-type]
        size = self.batch_size or 1
        return items // size if self._drop_last else -(-items // size)

    def __iter__(self) -> Iterator[Any]:
        """One epoch. Leaving it early, by `break` or an exception, ends what it has begun."""
        if self._closed:
            raise RuntimeError("this loader is closed")
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._here(epoch) if self._workers == 0 else self._ahead(epoch)

    def _here(self, epoch: int) -> Iterator[Any]:
        for numbers, first in self._batches(epoch):
            with _Kept():
                batch = _batch(self.dataset, self._collate, self.seed, epoch, self._single, numbers, first)
            yield batch

    def _ahead(self, epoch: int) -> Iterator[Any]:
        pool = self._begun().options(timeout=self._timeout, name="load")
        chosen: list[Any] = []
        places: list[int] = []

        def told() -> Iterator[Any]:
            for numbers, first in self._batches(epoch):
                chosen.append(numbers)
                places.append(first)
                yield numbers

        window = self._prefetch * self._workers
        words = (repeat(self._handle), repeat(self._collate), repeat(self.seed), repeat(epoch), repeat(self._single))
        source = told()
        with pool.imap(_packed_batch, *words, source, _Last(places), window=window, chunksize=1) as stream:
            for number in count():
                try:
                    packed = next(stream)
                except StopIteration:
                    return
                except Exception as error:
                    if number < len(chosen):
                        error.add_note(f"in batch {number} of epoch {epoch}: items {chosen[number]!r}")
                    raise
                chosen[number] = places[number] = None  # type: ignore[call-overload]
                yield _unpacked(packed)

    def _batches(self, epoch: int) -> Iterator[tuple[Any, int]]:
        """Lists of indices, with the place of the first."""
        place = 0
        if self._batch_sampler is not None:
            for numbers in self._batch_sampler:
                yield list(numbers), place
                place += len(numbers)
            return
        size = self.batch_size or 1
        gathered: list[Any] = []
        for number in self._indices(epoch):
            gathered.append(number)
            if len(gathered) == size:
                yield gathered, place
                place += size
                gathered = []
        if gathered and not self._drop_last:
            yield gathered, place

    def _indices(self, epoch: int) -> Iterable[Any]:
        if self._sampler is not None:
            return self._sampler
        if not self._shuffle:
            return range(len(self.dataset))
        torch = _torch()
        generator = torch.Generator().manual_seed(_torch_seed(self.seed, epoch, "order"))
        order: list[int] = torch.randperm(len(self.dataset), generator=generator).tolist()
        return order

    # -- workers -------------------------------------------------------------------------------------------------------

    def _begun(self) -> Pool:
        if self._pool is None:
            from procession.pool import Pool

            self._pool = Pool(self._workers, preload=["torch"])
            self._handle = self._pool.share(self.dataset)
        return self._pool

    def close(self) -> None:
        """End the workers. An epoch that is under way ends with RuntimeError."""
        self._closed = True
        pool, self._pool, self._handle = self._pool, None, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._pool is not None:
            self._pool.kill_workers()
        self.close()


class _Last:
    """Beside a source: the last place that it has told of."""

    def __init__(self, places: list[int]) -> None:
        self._places = places

    def __iter__(self) -> _Last:
        return self

    def __next__(self) -> int:
        return self._places[-1]


# -- on a worker -------------------------------------------------------------------------------------------------------


def _packed_batch(*words: Any) -> Any:
    return _packed(_batch(*words))


def _batch(
    dataset: Any, collate: Callable[[Any], Any], seed: int, epoch: int, single: bool, numbers: list[Any], first: int
) -> Any:
    load = Seeded(_item, seed)
    items = [load(dataset, number, seed, (epoch, place), (epoch, place)) for place, number in enumerate(numbers, first)]
    return collate(items[0] if single else items)


def _item(dataset: Any, number: Any, seed: int, place: tuple[int, int]) -> Any:
    """Law 2. Called with its `rng()` in force."""
    import random
    import sys

    value = _torch_seed(seed, *place)
    _torch().manual_seed(value)
    random.seed(value)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(value & 0xFFFFFFFF)
    return dataset[number]


def _torch_seed(seed: int, *place: object) -> int:
    from random import Random

    return Random(f"procession torch {seed} {place}").getrandbits(63)


class _Tensor:
    """A tensor as an array: that travels through shared memory without a copy, and torch's own pickle does not."""

    __slots__ = ("array", "dtype")

    def __init__(self, array: Any, dtype: Any) -> None:
        self.array = array
        self.dtype = dtype


def _packed(value: Any) -> Any:
    """The same, with tensors as arrays."""
    torch = _torch()
    if type(value) is torch.Tensor and _is_plain(torch, value):
        tensor = value.resolve_conj().resolve_neg().contiguous()
        if value.dtype is torch.bfloat16:
            return _Tensor(tensor.view(torch.int16).numpy(), torch.bfloat16)
        return _Tensor(tensor.numpy(), None)
    return _rebuilt(value, _packed)


def _unpacked(value: Any) -> Any:
    if type(value) is _Tensor:
        tensor = _torch().from_numpy(value.array)
        return tensor if value.dtype is None else tensor.view(value.dtype)
    return _rebuilt(value, _unpacked)


def _is_plain(torch: Any, tensor: Any) -> bool:
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided or tensor.requires_grad:
        return False
    try:
        return tensor.dtype is torch.bfloat16 or torch.empty(0, dtype=tensor.dtype).numpy() is not None
    except TypeError:  # NumPy has nothing like it
        return False


def _rebuilt(value: Any, each: Callable[[Any], Any]) -> Any:
    """Lists, tuples and dicts again, of what `each` makes of what is in them."""
    kind = type(value)
    if kind is dict:
        return {key: each(inner) for key, inner in value.items()}
    if kind is list:
        return [each(inner) for inner in value]
    if kind is tuple:
        return tuple([each(inner) for inner in value])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*(each(inner) for inner in value))
    return value


# -- parts -------------------------------------------------------------------------------------------------------------


class _Kept:
    """The global generators of this process are afterwards what they were."""

    def __enter__(self) -> None:
        import random
        import sys

        self._torch = _torch().get_rng_state()
        self._random = random.getstate()
        self._numpy = sys.modules["numpy"].random.get_state() if "numpy" in sys.modules else None

    def __exit__(self, *_error: object) -> None:
        import random
        import sys

        _torch().set_rng_state(self._torch)
        random.setstate(self._random)
        if self._numpy is not None:
            sys.modules["numpy"].random.set_state(self._numpy)


def _new_seed() -> int:
    import secrets

    return secrets.randbits(63)


def _check_count(word: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{word} must be an int, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{word} must be at least {least}; got {value}")


def _torch() -> Any:
    try:
        import torch
        import torch.utils.data
    except ImportError as error:
        raise ImportError("this needs PyTorch: pip install 'procession[torch]'") from error
    return torch
