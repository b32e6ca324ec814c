"""A worker's ring writes down when it ran what, while the parent wants to know: laws of transport/timesheet.py."""

import struct
from time import perf_counter_ns
from typing import Any

import pytest

from procession._native import native

if native is None:
    pytest.skip("the fast lane is not in use", allow_module_level=True)

from tests.native.kit import Ends, Function, calls, chunk

HEAD, ENTRY = 4096, struct.Struct("<qqIIII")
SLOTS = 8


def sheet() -> bytearray:
    return bytearray(HEAD + SLOTS * ENTRY.size)


def entries(written: bytearray) -> list[tuple[int, ...]]:
    return [ENTRY.unpack_from(written, HEAD + i * ENTRY.size) for i in range(SLOTS)]


def count(written: bytearray) -> int:
    return int.from_bytes(written[:8], "little")


def test_nobody_asks_and_nothing_is_written() -> None:
    with Ends() as ends:
        ends.sheet = sheet()
        ends.send(calls(Function(), (1,), (2,)))
        ends.serve(abs)
        assert ends.asked == 0
        assert not any(ends.sheet)


def test_each_item_has_its_entry_and_its_number() -> None:
    with Ends() as ends:
        ends.sheet = written = sheet()
        ends.send(calls(Function(), (1,), (2,)))
        ends.serve(abs)
        ends.parent.time(True)
        began = perf_counter_ns()
        ends.send([chunk(Function(2), [-1, -2, -3])])
        ends.serve(abs)
        ended = perf_counter_ns()
        assert (ends.asked, count(written)) == (1, 5)
        found = entries(written)
        assert [each[6 - 1] for each in found[2:5]] == [2, 3, 4]
        assert [each[0] for each in found[:2] + found[5:]] == [0] * 5
        times = [time for each in found[2:5] for time in each[:2]]
        assert times == sorted(times)
        assert began <= times[0] <= times[-1] <= ended
        assert [each[4] for each in found[2:5]] == [8, 8, 8]
        ends.parent.time(False)
        ends.send(calls(Function(), (1,)))
        ends.serve(abs)
        assert entries(written) == found


def test_it_is_whole_when_its_outcome_can_be_seen_and_has_a_start_before() -> None:
    with Ends() as ends:
        ends.sheet = written = sheet()
        ends.parent.time(True)
        seen: list[tuple[int, Any]] = []

        def look(x: int) -> int:
            seen.append((count(written), entries(written)[x]))
            return x

        ends.send(calls(Function(), *((x,) for x in range(4))))
        ends.serve(look)
        assert [n for n, _ in seen] == [0, 1, 2, 3]
        for x, (_, entry) in enumerate(seen):
            assert entry[0] > 0
            assert (entry[1], entry[5]) == (0, x)
        assert all(entry[1] >= entry[0] > 0 for entry in entries(written)[:4])


def test_it_goes_around_and_forgets_the_oldest() -> None:
    with Ends() as ends:
        ends.sheet = written = sheet()
        ends.parent.time(True)
        ends.send([chunk(Function(), list(range(SLOTS + 3)))])
        ends.serve(abs)
        assert count(written) == SLOTS + 3
        assert [each[5] for each in entries(written)] == [8, 9, 10, 3, 4, 5, 6, 7]


def test_decoding_and_encoding_are_counted_and_bytes_told() -> None:
    with Ends() as ends:
        ends.sheet = written = sheet()
        ends.parent.time(True)

        def encoded(body: bytes) -> object:
            ends.worker.loaded = 77
            return object()

        def encode_result(_value: object) -> bytes:
            ends.worker.aside = 5000
            return bytes(100)

        ends.send(calls(Function(), b"a body", (1,)))
        ends.serve(abs, encoded, encode_result)
        first, second = entries(written)[:2]
        assert first[2] == 77
        assert first[3] > 0
        assert 5100 <= first[4] <= 5120
        assert (second[2], second[3], second[4]) == (0, 0, 8)


def fail(_x: int) -> None:
    raise ValueError


def test_what_is_raised_counts_too() -> None:
    with Ends() as ends:
        ends.sheet = written = sheet()
        ends.parent.time(True)
        ends.send(calls(Function(), (1,), (2,)))
        ends.serve(fail)
        assert count(written) == 2
        assert all(entry[1] >= entry[0] > 0 for entry in entries(written)[:2])


def test_without_a_sheet_items_run_all_the_same() -> None:
    with Ends() as ends:
        ends.parent.time(True)
        ends.send(calls(Function(), (-3,)))
        ends.serve(abs)
        assert ends.asked == 1
        assert ends.taken()[0] == (0, [3], False)


def test_a_sheet_that_is_too_small_is_refused() -> None:
    with Ends() as ends:
        with pytest.raises(ValueError, match="room for an entry"):
            ends.worker.times(bytearray(HEAD))
        with pytest.raises((TypeError, BufferError)):
            ends.worker.times(bytes(HEAD * 2))
