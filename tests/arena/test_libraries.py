"""Tables of the libraries that people send, where they are installed."""

from typing import Any

import numpy as np
import pytest

from procession import Pool
from tests.arena import work
from tests.arena.conftest import sent

ROWS = 200_000


def travels(pool: Pool, value: Any) -> Any:
    before = sent().used_at
    back = pool.submit(work.echo, value).result()
    assert sent().used_at > before, "it went through the pipe"
    return back


def test_pandas(pool: Pool) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.arange(ROWS), "b": np.linspace(0, 1, ROWS), "c": ["x"] * ROWS})
    back = travels(pool, frame)
    pandas.testing.assert_frame_equal(back, frame)
    back.loc[0, "a"] = 7
    assert back["a"][0] == 7
    assert frame["a"][0] == 0


def test_pyarrow(pool: Pool) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"a": np.arange(ROWS), "b": ["text"] * ROWS})
    back = travels(pool, table)
    assert back.equals(table)
    back.validate(full=True)


def test_polars(pool: Pool) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": np.arange(ROWS), "b": np.linspace(0, 1, ROWS)})
    assert travels(pool, frame).equals(frame)


def test_numpy_of_all_kinds(pool: Pool) -> None:
    for array in (
        np.arange(ROWS).astype("datetime64[s]"),
        np.zeros(ROWS, [("a", "i4"), ("b", "f8")]),
        np.asfortranarray(np.arange(ROWS).reshape(2, -1)),
        np.array(["text"] * ROWS),
        np.ma.masked_less(np.arange(ROWS), 5),
    ):
        back = travels(pool, array)
        assert back.dtype == array.dtype
        assert (back == array).all()
        assert back.flags.f_contiguous == array.flags.f_contiguous
