"""`procession report` makes a page of a recording, and says in words when it cannot."""

from pathlib import Path

import pytest

from procession.cli import main
from procession.seeing import chrome
from tests.seeing.made import made
from tests.seeing.test_page import check_same


@pytest.fixture
def run(tmp_path: Path) -> Path:
    chrome.write(made(60, 2, seed=1), tmp_path / "run.json")
    return tmp_path / "run.json"


def test_the_page_is_written_beside_the_recording_or_where_one_says(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr() == (f"{run.with_name('run.html')}\n", "")
    check_same(chrome.read(run), run.with_name("run.html").read_text("utf-8"))

    other = run.with_name("other.html")
    assert main(["report", str(run), "-o", str(other)]) == 0
    assert other.read_bytes() == run.with_name("run.html").read_bytes()

    packed = run.with_name("packed.json.gz")
    chrome.write(made(60, 2, seed=1), packed)
    assert main(["report", str(packed)]) == 0
    assert run.with_name("packed.html").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", ""),
        (b'{"traceEvents": []}', ""),
        (b"\x1f\x8bnot really", ""),
        (b"\x7fELF\x02\x01\x01\x00\xff\xfe", ""),
    ],
)
def test_what_is_no_recording_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    file = tmp_path / "some.json"
    if content is not None:
        file.write_bytes(content)
    assert main(["report", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("procession report: ")
    assert str(file) in err
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "some.html").exists()


def test_one_that_was_cut_off_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.write_bytes(run.read_bytes()[:-400])
    assert main(["report", str(run)]) == 1
    assert "ends too early" in capsys.readouterr().err


def test_a_folder_a_place_that_is_not_there_and_the_recording_itself(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run.read_bytes()
    for words, said in (
        ([str(run.parent)], "Is a directory"),
        ([str(run), "-o", str(run.parent / "nowhere" / "run.html")], "No such file"),
        ([str(run), "-o", str(run.parent)], "Is a directory"),
        ([str(run), "-o", str(run)], "the recording itself"),
    ):
        assert main(["report", *words]) == 1
        assert said in capsys.readouterr().err
    assert run.read_bytes() == before


def test_it_is_opened_in_the_browser(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import webbrowser

    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert main(["report", str(run), "--open"]) == 0
    assert opened == [run.with_name("run.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert main(["report", str(run), "--open"]) == 1
    assert "no browser was found" in capsys.readouterr().err
