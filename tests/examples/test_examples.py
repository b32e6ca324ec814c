"""The examples as a user runs them: in a process of their own, from another folder, with small sizes.

What they print about order and counts is what they promise; how fast they were is not looked at.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRUTHS = re.compile(r": (True|False)\b")


def run(name: str, *words: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=100, env={**os.environ, **more}, check=False
    )


def shown(name: str, *words: object, cwd: Path, truths: int) -> str:
    """What it prints, when all went well and that many things that it looked at were true."""
    done = run(name, *words, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert TRUTHS.findall(done.stdout) == ["True"] * truths, done.stdout
    return done.stdout


def numbers(pattern: str, text: str) -> list[int]:
    found = re.search(pattern, text)
    assert found is not None, text
    return [int(each) for each in found.groups()]


def test_video(tmp_path: Path) -> None:
    out = shown("video.py", "--frames", 40, "--fps", 2000, cwd=tmp_path, truths=3)
    assert numbers(r"film: (\d+) frames", out) == [40]
    assert re.search(r"the bottleneck: (decode|features|encode)\n", out), out
    taken, dropped, encoded = numbers(r"camera: (\d+) frames.* (\d+) dropped, (\d+) encoded", out)
    assert taken == dropped + encoded == 160
    assert dropped > 0  # 2000 a second are too many for any two workers


def test_log_tailer(tmp_path: Path) -> None:
    out = shown("log_tailer.py", "--lines", 300, cwd=tmp_path, truths=2)
    lines, sessions, hot = numbers(r"(\d+) lines of (\d+) sessions; the hot one has (\d+)", out)
    assert (lines, sessions) == (300, 13)
    assert hot > lines // 4


def test_thumbnails(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    out = shown("thumbnails.py", "--pictures", 40, "--folder", folder, cwd=tmp_path, truths=4)
    assert numbers(r"(\d+) pictures: (\d+) thumbnails, (\d+) failed \(in a plain loop (\d+)\)", out) == [40, 36, 4, 4]
    assert re.findall(r"(\S+): \w+Error\n", out) == ["0007.jpg", "0012.png", "0027.jpg", "0032.png"]
    assert len(list((folder / "originals").iterdir())) == 40
    small = sorted((folder / "thumbnails").iterdir())
    assert len(small) == 36
    for path in small:
        with Image.open(path) as image:
            image.load()
            assert image.size == (160, 160)


@pytest.mark.parametrize(
    ("name", "module", "package"), [("video.py", "numpy", "numpy"), ("thumbnails.py", "PIL", "pillow")]
)
def test_what_is_missing_is_named(name: str, module: str, package: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("raise ModuleNotFoundError(__name__)\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = run(name, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.endswith(f"pip install {package}\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_each_says_how_it_is_run(name: str, tmp_path: Path) -> None:
    assert f"\n    python examples/{name}" in (EXAMPLES / name).read_text(encoding="utf-8")
    done = run(name, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name}")
