"""Pipelines: what a stage gives is what the next one takes."""

from collections.abc import AsyncIterator
from typing import Any, assert_type

from depot.work import (
    Parcel,
    Scale,
    label,
    load,
    pack,
    pack_all,
    plugged_in,
    split,
    split_all,
    weigh,
    weigh_all,
)
from procession import Pipeline, Stage
from procession.pipeline_stats import PipelineStats
from procession.pipeline_stream import AsyncPipelineStream, PipelineStream


def stages() -> None:
    assert_type(Stage(label, workers=2, key=lambda n: n % 2), Stage[int, str])
    assert_type(Stage(weigh, setup=load), Stage[Parcel, float])
    assert_type(Stage(weigh, setup=plugged_in, timeout=3), Stage[Parcel, float])
    assert_type(Stage(pack_all, batch=3, max_wait=1), Stage[int, Parcel])
    assert_type(Stage(weigh_all, setup=Scale, batch=3), Stage[Parcel, float])
    assert_type(Stage(split, many=True), Stage[Parcel, Parcel])
    assert_type(Stage(split_all, many=True, batch=3), Stage[Parcel, Parcel])


def chains(anything: list[Stage[Any, Any]]) -> None:
    assert_type(Pipeline(label), Pipeline[int, str])
    assert_type(Pipeline(pack, Stage(weigh, setup=load)), Pipeline[int, float])
    assert_type(Pipeline(pack, Stage(split, many=True), repr, len, window=3), Pipeline[int, int])
    shouted: Pipeline[int, str] = Pipeline(Stage(label), lambda text: text.upper())
    shouted.run([1])
    Pipeline(lambda x: x * 2, str).run([1])
    Pipeline(lambda x: x * 2).run([1])
    assert_type(Pipeline(Stage(pack), Stage(object_of)), Pipeline[int, str])
    assert_type(Pipeline(label, len, str, len, str, len, widths="auto"), Pipeline[Any, Any])
    assert_type(Pipeline(*anything).run([1]), PipelineStream[Any])


def object_of(thing: object) -> str:
    return repr(thing)


def runs() -> None:
    pipe = Pipeline(pack, Stage(split, many=True), ordered=False)
    assert_type(pipe.run([1, 2], live=True), PipelineStream[Parcel])
    assert_type(list(pipe.run(range(3), on_error="skip", seed=3)), list[Parcel])
    assert_type(pipe.run([1], on_error="return"), PipelineStream[Parcel | BaseException])
    assert_type(pipe.stats(), PipelineStats)
    with pipe as same:
        assert_type(same, Pipeline[int, Parcel])


async def coroutines(source: AsyncIterator[int]) -> None:
    pipe = Pipeline(label)
    assert_type(pipe.arun(source), AsyncPipelineStream[str])
    assert_type([each async for each in pipe.arun([1], on_error="return")], list[str | BaseException])
