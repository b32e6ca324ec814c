"""A file for each item: names made of the item, files whole or not at all, and nothing outside the folder."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.cli.mapping.inputs import Item
from procession.cli.mapping.outputs import NotWritable, OutputError, Outputs, Sink, open_sink
from procession.cli.mapping.outputs_names import Template


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sink(out_dir: str, **words: Any) -> Sink:
    return open_sink(Outputs(out_dir=out_dir, **words))


def of(value: Any, position: int = 0, path: bool = False) -> Item:
    return Item(value, "-", 1, value if path else None, position)


@pytest.mark.parametrize(
    ("template", "item", "path"),
    [
        ("out/{stem}.json", of("photos/a.b.jpg", path=True), "out/a.b.json"),
        ("out/{name}.txt", of("photos/a.b.jpg", path=True), "out/a.b.jpg.txt"),
        ("out/{dir}/{stem}.{ext}", of("/data/x/a.jpg", path=True), "out/data/x/a.jpg"),
        ("out/{dir}/{stem}", of("a.jpg", path=True), "out/./a"),
        ("out/{stem}", of("a line/of text.txt"), "out/of text"),
        ("out/{name}", of("http://host/x/page/"), "out/page"),
        ("out/{number:04}-{index}", of({"a": 1}, 9), "out/0010-9"),
        ("out/{number}", of(3, 9), "out/10"),
        ("out/{country}/{name}.txt", of({"country": "fr", "name": "a b"}), "out/fr/a b.txt"),
        ("out/{price:.2f}", of({"price": 1.5}), "out/1.50"),
        ("out/{{{a}}}", of({"a": 1}), "out/{1}"),
        ("{stem}", of(".bashrc", path=True), ".bashrc"),
    ],
)
def test_a_template_is_filled_from_the_item(template: str, item: Item, path: str) -> None:
    assert Template(template).path_of(item) == path


@pytest.mark.parametrize(
    ("template", "item", "said"),
    [
        ("out/{a}", of({"b": 1}), r"the item has no field 'a'"),
        ("out/{stem}", of(3), r"the item is no path, so there is no \{stem\}.*\{number\}"),
        ("out/{stem}", of({"a": 1}), r"the item is no path"),
        ("out/{a}", of({"a": "../../etc/passwd"}), r"would lead out of the folder"),
        ("out/{a}", of({"a": "/etc/passwd"}), r"would lead out of the folder"),
        ("out/{a}", of({"a": "x/../../y"}), r"would lead out of the folder"),
        ("out/{a}{b}/x", of({"a": ".", "b": "."}), r"would lead out of the folder"),
        ("out/{dir}/{stem}", of("../a/b.jpg", path=True), r"would lead out of the folder"),
        ("out/{name}", of(".."), r"would lead out of the folder"),
        ("out/{name}", of("/"), r"has no name for its file"),
        ("out/{a}", of({"a": "x\0y"}), r"is no name of a file"),
        ("out/{a}", of({"a": ""}), r"is no name of a file"),
        ("out/{a}", of({"a": [1]}), r"the item's 'a' is a list"),
        ("out/{a:04}", of({"a": None}), r"cannot be written as \{a:04\}"),
    ],
)
def test_a_name_that_cannot_be_made_is_refused(template: str, item: Item, said: str) -> None:
    with pytest.raises(NotWritable, match=said):
        Template(template).path_of(item)


@given(st.text(), st.text())
def test_no_field_leads_out_of_the_folder(first: str, second: str) -> None:
    item = of({"a": first, "b": second})
    for template in ("out/{a}{b}", "out/{a}/{b}.txt", "out/x{a}/{b}"):
        try:
            path = Template(template).path_of(item)
        except NotWritable:
            continue
        assert os.path.normpath(path).startswith("out/")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"out_dir": "out/{stem"}, r"is no template: "),
        ({"out_dir": "out/{number:zz}"}, r"is no template: \{number:zz\}: "),
        ({"out_dir": "out/{}"}, r"braces hold the name of a field"),
        ({"out_dir": "out/{a!r}"}, r"braces hold the name of a field"),
        ({"out_dir": "out", "name": "same.txt"}, r"has no field, so all items would have one file"),
        ({"out_dir": "out/{stem}", "name": "{stem}"}, r"is a template already"),
        ({"out_dir": "file"}, r"^file: is no folder"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_at_once(here: Path, words: dict[str, str], said: str) -> None:
    (here / "file").touch()
    with pytest.raises(OutputError, match=said):
        sink(**words)


def test_text_and_bytes_are_written_as_they_are_anything_else_as_json(here: Path) -> None:
    out = sink("out/deep/{number}")
    for position, value in enumerate(["täxt", b"\x00\xff", {"a": [1]}, None, "caf\udce9"]):
        out.write(of("x", position), value)
    out.close()
    assert [(here / f"out/deep/{number}").read_bytes() for number in range(1, 6)] == [
        "täxt".encode(),
        b"\x00\xff",
        b'{"a": [1]}\n',
        b"null\n",
        b"caf\xe9",
    ]
    assert len(os.listdir("out/deep")) == 5, "nothing is left beside them"


def test_a_folder_and_a_name_or_the_items_own_name(here: Path) -> None:
    one = sink("out", name="{stem}.json", with_item=True)
    one.write(of("x/a.jpg", path=True), 1)
    assert json.loads((here / "out/a.json").read_text()) == {"item": "x/a.jpg", "result": 1}
    sink("out").write(of("x/a.jpg", path=True), "text")
    assert (here / "out/a.jpg.out").read_text() == "text"
    assert sorted(os.listdir("out")) == ["a.jpg.out", "a.json"]


def test_two_items_of_one_name_are_refused_and_files_of_an_earlier_run_are_replaced(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out/a").write_text("earlier")
    out = sink("out/{stem}")
    out.write(of("x/a.jpg"), "first")
    with pytest.raises(NotWritable, match=r"^out/a was written already, for an item before this one; \{number\}"):
        out.write(of("y/a.jpg"), "second")
    assert (here / "out/a").read_text() == "first"


def test_what_the_disk_refuses_is_the_items_failure_or_the_end(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "out/folder").mkdir(parents=True)
    (here / "out/file").touch()
    out = sink("out/{a}")
    for name in ("folder", "file/x", "x" * 300):
        with pytest.raises(NotWritable, match=rf"^out/{name}: "):
            out.write(of({"a": name}), "text")
    with pytest.raises(NotWritable, match=r"^result is a set"):
        out.write(of({"a": "good"}), {1})
    out.write(of({"a": "good"}), "text")
    assert sorted(os.listdir("out")) == ["file", "folder", "good"]

    def full(one: str, other: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=r"^out/more: No space left on device$"):
        out.write(of({"a": "more"}), "text")
    assert sorted(os.listdir("out")) == ["file", "folder", "good"]
