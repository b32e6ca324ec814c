"""A journal for every stream that a test makes, whoever has written it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from procession import Journal
from procession.pool_streams import PoolStreams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Each stream that is made has one, which is there at the end."""
    words, numbers = PoolStreams._words, count()
    folder, made = tmp_path_factory.mktemp("journals"), list["Path"]()

    def with_journal(self: PoolStreams, fn: Any, progress: Any, **given: Any) -> Any:
        if given["journal"] is None:
            made.append(folder / f"{next(numbers)}.db")
            given["journal"] = Journal(made[-1], sync=False)
        return words(self, fn, progress, **given)

    monkeypatch.setattr(PoolStreams, "_words", with_journal)
    yield made
    assert all(each.exists() for each in made)
