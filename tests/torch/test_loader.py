"""`procession.adapters.torch.Loader`, beside torch's own DataLoader."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

from procession import Pool, np_rng, rng
from procession.adapters.torch import Loader
from procession.errors import TaskTimeout, WorkerDied
from tests import warm

pytestmark = pytest.mark.e2e
kept_zygote = warm.keep("torch")

Sample = namedtuple("Sample", "image label")  # collate knows these


class Numbers(Dataset):  # type: ignore[type-arg]
    """Item i is made of i."""

    def __len__(self) -> int:
        return 23

    def __getitem__(self, number: int) -> Any:
        image = torch.full((3, 4), float(number))
        return {"image": image, "pair": (number, f"name {number}"), "sample": Sample(image.to(torch.bfloat16), number)}


class Noisy(Numbers):
    """Augmented by every generator that people use."""

    def __getitem__(self, number: int) -> Any:
        drawn = [
            torch.rand(()).item(),
            random.random(),
            float(np.random.rand()),
            rng().random(),
            float(np_rng().random()),
        ]
        return torch.tensor([float(number), *drawn], dtype=torch.float64)


def _same(came: Any, wanted: Any) -> None:
    assert type(came) is type(wanted)
    if isinstance(wanted, torch.Tensor):
        assert came.dtype == wanted.dtype
        assert torch.equal(came, wanted)
    elif isinstance(wanted, dict):
        assert list(came) == list(wanted)
        for key in wanted:
            _same(came[key], wanted[key])
    elif isinstance(wanted, (list, tuple)):
        assert len(came) == len(wanted)
        for each, other in zip(came, wanted, strict=True):
            _same(each, other)
    else:
        assert came == wanted


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "words",
    [
        {"batch_size": 4},
        {"batch_size": 4, "drop_last": True},
        {"batch_size": None},
        {"batch_size": 3, "sampler": [5, 5, 1, 22]},
        {"batch_sampler": [[1], [2, 3], [4, 5, 6]]},
        {"batch_size": 2, "collate_fn": lambda items: [item["pair"] for item in items]},
    ],
)
def test_batches_are_those_of_the_data_loader(words: dict[str, Any], workers: int) -> None:
    wanted = DataLoader(Numbers(), **words)
    with Loader(Numbers(), workers=workers, **words) as loader:
        assert len(loader) == len(wanted)
        _same(list(loader), list(wanted))


def test_every_dtype_comes_back_and_may_be_written() -> None:
    kinds = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]
    data = TensorDataset(*[torch.ones(6, 2).to(kind) for kind in kinds])
    with Loader(data, batch_size=3, workers=1) as loader:
        for batch in loader:
            assert [each.dtype for each in batch] == kinds
            for each in batch:
                each += each
                assert torch.equal(each, (torch.ones(3, 2) * 2).to(each.dtype))


def _epochs(workers: int, batch: int | None = 5, **words: Any) -> list[torch.Tensor]:
    with Loader(Noisy(), batch_size=batch, shuffle=True, workers=workers, seed=11, **words) as loader:
        return [torch.stack(list(loader)) if batch is None else torch.cat(list(loader)) for _ in range(2)]


def test_what_is_drawn_does_not_depend_on_the_workers_or_the_batch() -> None:
    state, before = torch.get_rng_state(), random.getstate()
    here = _epochs(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == before
    for came in (_epochs(1), _epochs(2), _epochs(3, prefetch=5), _epochs(2, batch=None)):
        assert all(torch.equal(each, other) for each, other in zip(came, here, strict=True))
    assert not torch.equal(here[0], here[1]), "each epoch has another order and other numbers"
    assert sorted(here[0][:, 0].tolist()) == sorted(here[1][:, 0].tolist()) == [float(n) for n in range(23)]
    for column in range(1, 6):
        assert len(set(here[0][:, column].tolist())) == 23


def test_with_the_data_loader_it_does() -> None:
    """Why law 2 is worth a sentence."""

    def drawn(workers: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(11)
        words: dict[str, Any] = {"multiprocessing_context": "spawn"}
        return torch.cat(list(DataLoader(Noisy(), batch_size=5, num_workers=workers, generator=generator, **words)))

    assert not torch.equal(drawn(1), drawn(2))


def test_an_epoch_can_be_gone_on_with_in_another_program() -> None:
    wanted = _epochs(1)[1]
    with Loader(Noisy(), batch_size=5, shuffle=True, workers=1, seed=11) as loader:
        loader.epoch = 1
        assert torch.equal(torch.cat(list(loader)), wanted)


def test_workers_stay_for_all_epochs_and_an_epoch_may_be_left() -> None:
    class Pids(Numbers):
        def __getitem__(self, number: int) -> int:
            return os.getpid()

    with Loader(Pids(), batch_size=None, workers=1) as loader:
        pids = set()
        for _ in range(3):
            for pid in loader:
                pids.add(pid)
                break
        assert len(set(loader)) == 1
        assert len(pids) <= 3
    with pytest.raises(RuntimeError, match="closed"):
        iter(loader)


def test_no_more_is_made_ahead_than_was_said(tmp_path: Any) -> None:
    class Touch(Numbers):
        def __getitem__(self, number: int) -> int:
            (tmp_path / str(number)).touch()
            return number

    with Loader(Touch(), batch_size=1, workers=2, prefetch=2) as loader:
        epoch = iter(loader)
        next(epoch)
        next(epoch)
        assert len(list(tmp_path.iterdir())) <= 2 + 4
        epoch.close()  # type: ignore[attr-defined]


class Failing(Numbers):
    def __init__(self, how: str) -> None:
        self.how = how

    def __getitem__(self, number: int) -> int:
        if number == 13:
            if self.how == "raise":
                raise KeyError("thirteen")
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
        return number


@pytest.mark.parametrize(
    ("how", "error", "words"), [("raise", KeyError, {}), ("die", WorkerDied, {}), ("hang", TaskTimeout, {"timeout": 2})]
)
def test_a_failure_comes_at_its_place_and_ends_the_epoch(how: str, error: type[Exception], words: Any) -> None:
    with Loader(Failing(how), batch_size=2, workers=2, **words) as loader:
        for _ in range(2):
            seen: list[int] = []
            with pytest.raises(error) as caught:
                for batch in loader:
                    seen += batch.tolist()
            assert seen == list(range(12))
            assert f"in batch 6 of epoch {loader.epoch - 1}: items [12, 13]" in caught.value.__notes__


def test_a_sampler_of_torchs_and_one_that_raises() -> None:
    sampler = WeightedRandomSampler([1.0] * 23, 8, generator=torch.Generator().manual_seed(3))
    with Loader(Numbers(), batch_size=4, sampler=sampler, workers=1) as loader:
        assert [len(batch["pair"][0]) for batch in loader] == [4, 4]

    def broken() -> Any:
        yield 1
        raise OSError("no more")

    with Loader(Numbers(), batch_size=1, sampler=broken(), workers=1) as loader:
        with pytest.raises(OSError, match="no more"):
            list(loader)


def test_words_that_make_no_sense() -> None:
    class Endless(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter(())

    for words, message in [
        ({"workers": -1}, "workers must be at least 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"prefetch": 0}, "prefetch must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"sampler": [1], "shuffle": True}, "sampler says the order"),
        ({"batch_sampler": [[1]], "batch_size": 3}, "batch_sampler says all"),
    ]:
        with pytest.raises(ValueError, match=message):
            Loader(Numbers(), **words)
    with pytest.raises(TypeError, match="Endless has no indices"):
        Loader(Endless())
    with pytest.raises(TypeError, match="workers must be an int"):
        Loader(Numbers(), workers=1.5)  # type: ignore[arg-type]


def test_a_shared_tensor_goes_to_every_worker() -> None:
    """torch's reducers for multiprocessing give files that one process may open, once, and start a thread for it."""
    with Pool(1) as pool, Pool(1) as other:
        handle = pool.share(torch.ones(4))
        assert float(pool.submit(torch.sum, handle).result(60)) == 4.0
        assert float(other.submit(torch.sum, handle).result(60)) == 4.0
        assert not [each for each in threading.enumerate() if "_serve" in each.name]


def test_a_dataset_of_tensors_has_several_workers() -> None:
    data = TensorDataset(torch.arange(40.0), torch.arange(40))
    with Loader(data, batch_size=4, workers=2) as loader:
        _same(list(loader), list(DataLoader(data, 4)))
