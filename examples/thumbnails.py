"""A folder of pictures becomes a folder of thumbnails; some pictures are broken, and that stops nobody.

    python examples/thumbnails.py        (needs Pillow: pip install pillow)

Each picture is a task of its own. The results come in the order of the names, whichever worker is done first, and
what failed is told at its place: its name, and why. A real folder holds worse than files that cannot be read: one that
makes its worker crash fails as well, alone, with WorkerDied. The pictures themselves are only read.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path

from procession import Failure, Pool

try:
    from PIL import Image, ImageDraw, ImageOps
except ModuleNotFoundError:
    sys.exit("this example needs Pillow: pip install pillow")

SIZE = (1600, 1200)
SMALL = (160, 160)


# -------------------------------------------------------------------------------------------------------- the pictures


def paint(number: int) -> Image.Image:
    shades = Image.linear_gradient("L").resize(SIZE)
    image = Image.merge("RGB", (shades, shades.rotate(number * 7), shades.rotate(180)))
    draw = ImageDraw.Draw(image)
    for ring in range(20):
        x, y = (number * 97 + ring * 211) % SIZE[0], (number * 61 + ring * 89) % SIZE[1]
        draw.ellipse((x - 60, y - 60, x + 60, y + 60), fill=(ring * 12, number * 31 % 256, 200 - ring * 8))
    return image


def fill(folder: Path, count: int) -> list[str]:
    """JPEG and PNG; of each 20, one is cut off and one is no picture at all. Returns the names of these."""
    broken = []
    for number in range(count):
        path = folder / f"{number:04}.{'png' if number % 4 == 0 else 'jpg'}"
        paint(number).save(path)
        if number % 20 == 7:
            path.write_bytes(path.read_bytes()[:2000])
        elif number % 20 == 12:
            path.write_text("This is no picture.\n")
        else:
            continue
        broken.append(path.name)
    return broken


def thumbnail(path: Path, folder: Path) -> Path:
    """A square out of the middle, written under the name of the original; returns where."""
    small = folder / path.name
    with Image.open(path) as image:
        ImageOps.fit(image, SMALL).save(small)
    return small


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# --------------------------------------------------------------------------------------------------------- the program


def in_a_loop(paths: list[Path], folder: Path) -> int:
    """Returns how many failed."""
    failed = 0
    for path in paths:
        try:
            thumbnail(path, folder)
        except OSError:  # UnidentifiedImageError is one
            failed += 1
    return failed


def run(root: Path, count: int) -> None:
    originals, small, plain = root / "originals", root / "thumbnails", root / "thumbnails-of-a-plain-loop"
    for folder in (originals, small, plain):
        folder.mkdir()
    broken = fill(originals, count)
    before = digests(originals)
    paths = sorted(originals.iterdir())

    start = time.perf_counter()
    failed = in_a_loop(paths, plain)
    plain_seconds = time.perf_counter() - start

    failures: list[Failure] = []
    start = time.perf_counter()
    with Pool() as pool:
        made = list(pool.imap(lambda path: thumbnail(path, small), paths, on_error=failures.append))
    seconds = time.perf_counter() - start

    print(f"{len(paths)} pictures: {len(made)} thumbnails, {len(failures)} failed (in a plain loop {failed})")
    for failure in failures[:5]:
        print(f"  {paths[failure.index].name}: {type(failure.error).__name__}")
    if len(failures) > 5:
        print(f"  ... and {len(failures) - 5} more")
    expected = [path.name for path in paths if path.name not in broken]
    print(f"  in the order of the names: {[path.name for path in made] == expected}")
    print(f"  failures at their places: {[paths[failure.index].name for failure in failures] == broken}")
    print(f"  the same as a plain loop makes: {digests(small) == digests(plain)}")
    print(f"  originals untouched: {digests(originals) == before}")
    print(f"  pool {seconds:.2f} s, plain loop {plain_seconds:.2f} s: {plain_seconds / seconds:.2f} times as fast")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--pictures", type=int, default=200, help="that are made (default: %(default)s)")
    words.add_argument("--folder", type=Path, help="a new one to work in, and to keep (default: a temporary one)")
    args = words.parse_args()
    if args.folder is not None:
        args.folder.mkdir(parents=True)
        run(args.folder, args.pictures)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), args.pictures)


if __name__ == "__main__":
    main()
