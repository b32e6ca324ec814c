"""A signal handler that raises, at whatever instruction: the codec goes on as if nothing had been."""

import pickle
import sys
import threading

import pytest

from procession.transport.codec import Codec
from procession.worker.functions import FunctionTable
from tests.transport import samples


class Interrupt(BaseException):
    pass


def interrupted_at(step, fn, spared=()):
    """Run `fn`, and raise at its `step`th traced instruction; True when it came that far.

    spared: names of functions in which nothing is raised: those that do nothing but take a lock by `with`, which real
    signals, other than a tracer, do not interrupt before its end.
    """
    left = step

    def trace(frame, event, _arg):
        nonlocal left
        if "procession" not in frame.f_code.co_filename or frame.f_code.co_name in spared:
            return None
        frame.f_trace_opcodes = True
        if event in ("opcode", "line"):  # 3.12 has no events for opcodes when they are asked for this late
            left -= 1
            if left == 0:
                raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        fn()
    except Interrupt:
        return True
    finally:
        sys.settrace(None)
    return left <= 0


def work(codec, table):
    class Local:
        def get(self):
            return samples.model, threshold

    threshold = 3

    def uses(x):
        return Local, threshold, x

    def once():
        for fn in (uses, samples.double, Local):
            entry = codec.function(fn)
            codec.encode(entry, ([1], Local()), {})

    return once, uses, Local


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that hits a finalizer is swallowed
def test_interrupted_at_any_instruction():
    codec = Codec(profile_factory=object)
    table = FunctionTable()
    step = 1
    while True:
        once, uses, local = work(codec, table)
        if not interrupted_at(step, once):
            break
        once()
        entry = codec.function(uses)
        assert codec.function(uses) is entry
        table.define(entry.id, entry.payload)
        assert table.get(entry.id)(1)[1:] == (3, 1)
        args, _ = table.decode(codec.encode(entry, ([1], local()), {}))
        assert args[0] == [1]
        assert type(args[1]) is local
        assert pickle.loads(codec.encode(entry, ([1, 2],), {})) == (([1, 2],), {})
        step += 1 + step // 40
    assert step > 300
    assert threading.active_count() >= 1
