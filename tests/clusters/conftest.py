"""The real engines, for all tests here that have a backend."""

from collections.abc import Iterator

import pytest

from tests.clusters.engines import running


@pytest.fixture(scope="session", autouse=True)
def clusters(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running.wanted(request.session.items, tmp_path_factory):
        yield


@pytest.fixture(params=[pytest.param("ray", marks=pytest.mark.e2e), pytest.param("dask", marks=pytest.mark.e2e)])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
