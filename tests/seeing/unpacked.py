"""A page read back in Python, as report/columns.js does it in the browser: what stands in it, as a recording."""

from __future__ import annotations

import base64
import json
import re
import zlib
from array import array
from typing import Any

from procession.seeing.packing import TIMES
from procession.seeing.recording import FailureText, Pool, Recording, Samples, Stream, Worker


def element(page: str, name: str) -> str:
    """The text of the script element of that id."""
    (found,) = re.findall(rf'<script type="[^"]*" id="{name}">(.*?)</script>', page, re.DOTALL)
    return found


def about_of(page: str) -> dict[str, Any]:
    return json.loads(element(page, "about"))


def unpacked(page: str) -> Recording:
    """The recording that the page holds; its rows are in the page's order."""
    about = about_of(page)
    made = Recording()
    made.since = int(about["since"])
    made.until = made.since + about["until"]
    _rows(made, about, zlib.decompress(base64.b64decode(element(page, "data"))))

    def absolute(time: int | None) -> int:
        return 0 if time is None else made.since + time

    made.cpus, made.lost, made.about = about["cpus"], about["lost"], about["about"]
    made.pools = [Pool(*each) for each in about["pools"]]
    for pool, wid, pid, started, ended, end in about["workers"]:
        made.workers.append(Worker(pool, wid, pid, absolute(started), absolute(ended), end))
    made.functions = about["functions"]
    for kind, name, window, began, ended, *rest in about["streams"]:
        made.streams.append(Stream(kind, name, window, absolute(began), absolute(ended), *rest))
    del made.streams[0]  # which a recording has from the beginning
    texts = about["texts"]
    made.failures = {row: FailureText(*(texts[part] for part in parts)) for row, *parts in about["failures"]}
    made.repeats = {function: (times, size) for function, times, size in about["repeats"]}
    return made


def _rows(made: Recording, about: dict[str, Any], raw: bytes) -> None:
    rows, at = about["rows"], 0

    def numbers(count: int, planes: int) -> list[int]:
        nonlocal at
        values = [0] * count
        for plane in range(planes):
            octets = raw[at : at + count]
            values = [value | octet << 8 * plane for value, octet in zip(values, octets, strict=True)]
            at += count
        return values

    known: dict[str, list[int | None]] = {}
    for name, coding, planes, unit in about["columns"]:
        codes = numbers(rows, planes)
        if coding == "time":
            known[name] = times = _times(codes, [known[other] for other in TIMES[name]])
            codes = [0 if time is None else made.since + time * unit for time in times]
        elif coding == "signed":
            codes = list(map(unfold, codes))
        elif coding == "step":
            codes = summed(codes)
        else:
            codes = [code * unit for code in codes]
        made.columns[name] = array(made.columns[name].typecode, codes)
    for pool, name, count, planes in about["series"]:
        times = array("q", (made.since + time for time in summed(numbers(count, planes))))
        octets = bytearray(8 * count)
        for byte in range(8):
            octets[byte::8] = raw[at : at + count]
            at += count
        made.counters[pool, name] = Samples(times, array("d", bytes(octets)))
    assert at == len(raw)


def unfold(code: int) -> int:
    return code >> 1 if code % 2 == 0 else ~(code >> 1)


def summed(codes: list[int]) -> list[int]:
    found, last = [], 0
    for code in codes:
        last += unfold(code)
        found.append(last)
    return found


def _times(codes: list[int], others: list[list[int | None]]) -> list[int | None]:
    """In units since the recording began; None where it is not known."""
    found: list[int | None] = []
    last = 0
    for row, code in enumerate(codes):
        if code == 0:
            found.append(None)
            continue
        near = last
        if others:
            near = next((time for other in others if (time := other[row]) is not None), 0)
        last = near + unfold(code - 1)
        found.append(last)
    return found
