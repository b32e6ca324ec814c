"""Spin-offs: items in, results out."""

from concurrent.futures import Future
from pathlib import Path
from typing import Any, assert_type

from depot.work import Parcel, Scale, label, load, pack, pack_all, plugged_in, weigh, weigh_all
from procession import Captured, Failure, Journal, SpinOff
from procession.spinoff_stats import SpinOffStats


def plain() -> None:
    spin = SpinOff(label, workers=2, maxsize=16, overflow="drop_oldest", key=lambda n: n % 2)
    assert_type(spin, SpinOff[int, str])
    assert_type(spin.put(1, timeout=2), Future[str])
    assert_type(spin.put_many([1, 2]), list[Future[str]])
    assert_type(spin.ready(), list[str])
    assert_type(next(spin), str)
    assert_type(list(spin), list[str])
    assert_type(spin.stats(), SpinOffStats)
    assert_type(spin.join(3), bool)
    assert_type(spin.flush(), bool)
    with SpinOff(pack) as packing:
        assert_type(packing.put(1).result(), Parcel)
    for parcel in packing:
        assert_type(parcel, Parcel)


def failing(failures: list[Failure]) -> None:
    returned = SpinOff(label, on_error="return", retries=2)
    assert_type(returned, SpinOff[int, str | BaseException])
    assert_type(returned.ready(), list[str | BaseException])
    assert_type(SpinOff(label, on_error=failures.append), SpinOff[int, str])
    assert_type(SpinOff(label, on_error="skip"), SpinOff[int, str])


def called_back() -> None:
    lengths: list[int] = []
    SpinOff(label, on_result=lambda text: lengths.append(len(text))).put(1)
    assert_type(SpinOff(label, journal="run.db", item_id=lambda n: f"item {n}"), SpinOff[int, str])
    assert_type(SpinOff(pack, journal=Journal(Path("run.db"), sync=False)), SpinOff[int, Parcel])
    SpinOff(label, iterate=False, name="labels", seed=3, progress=lambda done, total: None)


def with_state() -> None:
    assert_type(SpinOff(weigh, setup=load), SpinOff[Parcel, float])
    assert_type(SpinOff(weigh, setup=plugged_in, workers=2), SpinOff[Parcel, float])
    assert_type(SpinOff(weigh, setup=Scale, on_error="return"), SpinOff[Parcel, float | BaseException])


def capturing() -> None:
    spin = SpinOff(label, workers=2, capture=True)
    assert_type(spin, SpinOff[Any, Captured[str]])
    assert_type(next(spin).stderr, str)
    returned = SpinOff(weigh, setup=load, capture=True, on_error="return")
    assert_type(returned, SpinOff[Any, Captured[float] | BaseException])
    assert_type(SpinOff(label, capture=False), SpinOff[int, str])


def in_batches() -> None:
    assert_type(SpinOff(pack_all, batch=3, max_wait=0.1), SpinOff[int, Parcel])
    assert_type(SpinOff(pack_all, batch=3, on_error="return"), SpinOff[int, Parcel | BaseException])
    assert_type(SpinOff(weigh_all, setup=plugged_in, batch=3), SpinOff[Parcel, float])
    assert_type(SpinOff(weigh_all, setup=load, batch=3, on_error="return"), SpinOff[Parcel, float | BaseException])


def of_anything() -> None:
    spin: SpinOff[Any, Any] = SpinOff(lambda x: x * 2)
    spin.put("a")
    short = SpinOff(lambda x: str(x), workers=2)
    short.put(1)


async def coroutines() -> None:
    async with SpinOff(label) as spin:
        assert_type(await spin.aput(1), Future[str])
    async for each in spin:
        assert_type(each, str)
