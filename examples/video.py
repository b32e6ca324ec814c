"""A film through a pipeline, then a camera that is too fast for it: frames in order, and of the camera the newest.

    python examples/video.py        (needs NumPy: pip install numpy)

The film: each frame is unpacked, looked at by a model that takes a batch of them, and packed again with its scores
drawn in; each stage has processes of its own, and the model is loaded once in each that needs it. The frames come out
in the order of the film, however their workers overtake each other.

The camera does not wait. What it takes goes to a spin-off that holds a few frames at most; when they are more, the
oldest that nobody has begun is dropped. So what comes out is late by a few frames, never by more and more.
"""

import argparse
import sys
import time
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from procession import Pipeline, SpinOff, Stage

try:
    import numpy as np
except ModuleNotFoundError:
    sys.exit("this example needs NumPy: pip install numpy")

HEIGHT, WIDTH, CLASSES = 240, 320, 16
Packed = tuple[int, bytes]  # the number of a frame, and its pixels


class Frame(NamedTuple):
    number: int
    pixels: np.ndarray
    scores: np.ndarray | None = None


def shoot(number: int) -> bytes:
    """What a camera gives, packed: stripes that move, a disc, and the noise of a dark room."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = (y - HEIGHT // 2) ** 2 + (x - number * 5 % WIDTH) ** 2 < 40**2
    stripes = np.stack([(x + y * channel + number * 4) // 8 * (1 - disc) for channel in range(3)], axis=-1)
    noise = np.random.default_rng(number).integers(0, 4, stripes.shape)
    return zlib.compress((stripes + noise).astype(np.uint8), level=1)


# ----------------------------------------------------------------------------------------------------------- the stages


def decode(packed: Packed) -> Frame:
    number, data = packed
    return Frame(number, np.frombuffer(zlib.decompress(data), np.uint8).reshape(HEIGHT, WIDTH, 3))


def load_model() -> np.ndarray:
    """Runs once in each worker. Whole numbers: a batch of any size then gives the same scores, to the last bit."""
    return np.random.default_rng(0).integers(-8, 8, (HEIGHT // 8 * WIDTH // 8 * 3, CLASSES)).astype(float)


def features(model: np.ndarray, frames: list[Frame]) -> list[Frame]:
    scores = np.stack([frame.pixels[::8, ::8].ravel() for frame in frames]) @ model
    return [frame._replace(scores=row) for frame, row in zip(frames, scores, strict=True)]


def encode(frame: Frame) -> Packed:
    """With a white bar for each score at the left edge."""
    pixels = frame.pixels.copy()
    for row, score in enumerate(frame.scores):
        pixels[row * 4 : row * 4 + 3, : int(abs(score)) % WIDTH] = 255
    return frame.number, zlib.compress(pixels)


def whole(model: np.ndarray, packed: Packed) -> Packed:
    """All of it for one frame: what the plain loop does, and the spin-off of the camera."""
    return encode(features(model, [decode(packed)])[0])


# ------------------------------------------------------------------------------------------------- the film, the camera


def play_film(film: list[Packed]) -> float:
    """Returns the seconds that a plain loop takes for one frame."""
    start = time.perf_counter()
    model = load_model()
    expected = [whole(model, packed) for packed in film]
    plain = time.perf_counter() - start

    start = time.perf_counter()
    pipe = Pipeline(
        Stage(decode),
        Stage(features, setup=load_model, batch=8, max_wait=0.02),
        Stage(encode, workers=2),
    )
    frames = pipe.run(film)
    out = [next(frames)]
    first = time.perf_counter() - start
    out += frames
    seconds = time.perf_counter() - start

    print(f"film: {len(out)} frames; in order, and what a plain loop makes: {out == expected}")
    print(f"  pipeline {seconds:.2f} s, plain loop {plain:.2f} s: {plain / seconds:.2f} times as fast")
    print(f"  the first frame came after {first:.2f} s: each worker had to start, and to import NumPy")
    stats = pipe.stats()
    busy = ", ".join(f"{stage.name} {stage.busy:.0%}" for stage in stats.stages)
    print(f"  workers were busy: {busy}; the bottleneck: {stats.bottleneck}")
    return plain / len(film)


def camera(clip: list[bytes], count: int, fps: float) -> Iterator[Packed]:
    """Each frame when its time has come, whether or not anybody is ready for it."""
    start = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, start + number / fps - time.perf_counter()))
        yield number, clip[number % len(clip)]


def watch_camera(clip: list[bytes], count: int, fps: float) -> None:
    shown = []
    with SpinOff(whole, workers=2, setup=load_model, maxsize=8, overflow="drop_oldest") as spin:
        for packed in camera(clip, count, fps):
            spin.put(packed)  # never waits
            shown += spin.ready()  # nor does this
    shown += spin  # what was on its way when the camera ended
    numbers = [number for number, _ in shown]
    print(f"camera: {count} frames, {fps:.0f} a second: {spin.stats().dropped} dropped, {len(shown)} encoded")
    print(f"  in order: {numbers == sorted(set(numbers))}; the last is the newest: {numbers[-1] == count - 1}")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument(
        "--frames", type=int, default=500, help="of the film; the camera takes 4 times as many (default: %(default)s)"
    )
    words.add_argument("--fps", type=float, help="of the camera (default: four times what a plain loop can do)")
    args = words.parse_args()
    clip = [shoot(number) for number in range(min(64, args.frames))]
    film = [(number, clip[number % len(clip)]) for number in range(args.frames)]
    seconds_each = play_film(film)
    watch_camera(clip, args.frames * 4, args.fps or 4 / seconds_each)


if __name__ == "__main__":
    main()
