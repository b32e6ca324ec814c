"""What is said on the socket, cut into lines and checked, without a socket."""

import json
import random

import pytest

from procession.seeing.attending import wire

RIGHT = [
    {"do": "look"},
    {"do": "dump", "pool": 0},
    {"do": "resize", "pool": 3, "n": 4},
    {"do": "drain", "pool": 0, "worker": 2},
    {"do": "kill", "pool": 0, "worker": 2, "id": "7"},
]


@pytest.mark.parametrize("said", RIGHT)
def test_a_request_comes_as_it_was_made(said: dict[str, object]) -> None:
    made = wire.line(said)
    assert made.endswith(b"\n")
    assert made.count(b"\n") == 1
    assert wire.request(made[:-1]) == {"v": wire.VERSION, **said}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"GET / HTTP/1.1", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"7", "not a JSON object"),
        (b"{}", "version 1 of the protocol, not None"),
        (b'{"v": 2, "do": "look"}', "version 1 of the protocol, not 2"),
        (b'{"v": 1}', "do must be one of look, dump"),
        (b'{"v": 1, "do": "shout"}', "'shout'"),
        (b'{"v": 1, "do": ["look"]}', "do must be one of"),
        (b'{"v": 1, "do": "dump"}', "dump wants pool, a number; got None"),
        (b'{"v": 1, "do": "dump", "pool": "0"}', "got '0'"),
        (b'{"v": 1, "do": "dump", "pool": true}', "got True"),
        (b'{"v": 1, "do": "dump", "pool": -1}', "got -1"),
        (b'{"v": 1, "do": "dump", "pool": 1.0}', "got 1.0"),
        (b'{"v": 1, "do": "resize", "pool": 1, "n": 1e99}', "resize wants n"),
        (b'{"v": 1, "do": "kill", "pool": 1}', "kill wants worker"),
    ],
)
def test_what_is_no_request_is_told_why(words: bytes, why: str) -> None:
    with pytest.raises(wire.Nonsense) as caught:
        wire.request(words)
    assert why in str(caught.value)


def test_a_reply_of_another_version_is_told() -> None:
    assert wire.reply(wire.error("no"))["error"] == "no"
    with pytest.raises(wire.Nonsense, match="version 2"):
        wire.reply(b'{"v": 2}')


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_the_same_however_they_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    lines = [json.dumps({"n": "x" * chance.randrange(40)}).encode() for _ in range(30)]
    stream, cut, found = b"".join(line + b"\n" for line in lines) + b"rest", wire.Lines(100), []
    while stream:
        size = chance.randrange(1, 60)
        found += cut.feed(stream[:size])
        stream = stream[size:]
    assert found == lines


@pytest.mark.parametrize("more", [b"x" * 101, b"x" * 101 + b"\n", b"ok\n" + b"x" * 101, b"x" * 60 + b"\n" + b"y" * 101])
def test_a_line_that_is_too_long_is_not_kept(more: bytes) -> None:
    with pytest.raises(wire.Nonsense, match="longer than 100 bytes"):
        wire.Lines(100).feed(more)


def test_a_line_of_the_full_length_is_let_through() -> None:
    assert wire.Lines(100).feed(b"x" * 100 + b"\n") == [b"x" * 100]
