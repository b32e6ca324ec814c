"""The measures by name, in the order of the report. A new one is a class with a docstring, and a line here."""

from benchmarks.measures.arrays import ArrayArena, ArrayLarge, ArraySmall
from benchmarks.measures.base import Measure
from benchmarks.measures.idle import Idle
from benchmarks.measures.latency import Roundtrip, RoundtripBusy
from benchmarks.measures.mapping import Map, MapMixed, MapSkewed
from benchmarks.measures.payload import Payload
from benchmarks.measures.reference import Reference
from benchmarks.measures.spinoff import SpinoffLarge, SpinoffSmall
from benchmarks.measures.startup import Imports, Startup
from benchmarks.measures.streaming import StreamKeyed, StreamMemory, StreamStragglers
from benchmarks.measures.throughput import SubmitResult, SubmitWait

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        SubmitResult(),
        SubmitWait(),
        Roundtrip(),
        RoundtripBusy(),
        Map(),
        MapSkewed(),
        MapMixed(),
        StreamStragglers(),
        StreamKeyed(),
        StreamMemory(),
        SpinoffSmall(),
        SpinoffLarge(),
        ArrayLarge(),
        ArraySmall(),
        ArrayArena(),
        Payload(),
        Startup(),
        Imports(),
        Idle(),
        Reference(),
    )
}
