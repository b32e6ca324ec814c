"""SciPy and adaptive take a pool as it is."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import adaptive
import numpy as np
import pytest
from scipy import integrate, optimize

from procession import Pool
from procession.errors import WorkerDied
from tests import warm

pytestmark = pytest.mark.e2e
kept_zygote = warm.keep("scipy.optimize")


@pytest.fixture(params=["processes", "threads"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(2, backend=request.param) as made:
        yield made


def _rosenbrock(x: Any) -> float:
    return float(optimize.rosen(x))


def test_differential_evolution_takes_the_map_of_a_pool(pool: Pool) -> None:
    words: dict[str, Any] = {"bounds": [(0, 2)] * 3, "updating": "deferred", "rng": 3, "maxiter": 15, "polish": False}
    wanted = optimize.differential_evolution(_rosenbrock, workers=map, **words)
    came = optimize.differential_evolution(_rosenbrock, workers=pool.map, **words)
    np.testing.assert_array_equal(came.x, wanted.x)
    assert came.nfev == wanted.nfev


def test_brute_and_quad_vec_as_well(pool: Pool) -> None:
    ranges = (slice(-1, 1, 0.25), slice(-1, 1, 0.25))
    wanted = optimize.brute(_rosenbrock, ranges, finish=None)
    np.testing.assert_array_equal(optimize.brute(_rosenbrock, ranges, finish=None, workers=pool.map), wanted)
    value, _ = integrate.quad_vec(lambda x: np.array([x, x**2]), 0, 1, workers=pool.map)
    np.testing.assert_allclose(value, [1 / 2, 1 / 3])


def test_an_error_of_the_function_and_a_dead_worker_come_out() -> None:
    def fail(x: Any) -> float:
        raise ValueError("no")

    with Pool(2) as pool:
        with pytest.raises(RuntimeError, match="must be of the form") as caught:  # SciPy's words for whatever is wrong
            optimize.differential_evolution(fail, [(0, 1)], workers=pool.map, updating="deferred")
        assert "no" in str(caught.value.__context__) or isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(WorkerDied):
            optimize.brute(
                lambda x: os.kill(os.getpid(), signal.SIGKILL), ((0, 1),), Ns=4, finish=None, workers=pool.map
            )
        assert pool.submit(pow, 2, 3).result(60) == 8


def _peak(x: float) -> float:
    return x + 0.01**2 / (0.01**2 + x**2)


def test_adaptive_runs_its_learner_on_a_pool(pool: Pool) -> None:
    learner = adaptive.Learner1D(_peak, bounds=(-1, 1))
    adaptive.BlockingRunner(learner, npoints_goal=40, executor=pool, ntasks=4)
    assert learner.npoints >= 40
    assert learner.data == {x: _peak(x) for x in learner.data}
    assert pool.submit(pow, 2, 3).result(60) == 8, "the pool is not its to end"


def test_an_asynchronous_runner_and_its_cancel() -> None:
    async def program(pool: Pool) -> None:
        enough = asyncio.Event()

        def told(learner: Any) -> bool:
            if learner.npoints >= 20:
                enough.set()
            return False

        runner = adaptive.AsyncRunner(adaptive.Learner1D(_peak, bounds=(-1, 1)), goal=told, executor=pool, ntasks=4)
        await enough.wait()
        runner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await runner.task

    with Pool(2) as pool:
        asyncio.run(program(pool))
        assert pool.submit(pow, 2, 3).result(60) == 8


def _fail(x: float) -> float:
    raise ValueError("no")


def test_adaptive_hears_of_a_function_that_raises() -> None:
    with Pool(2) as pool:
        learner = adaptive.Learner1D(_fail, bounds=(-1, 1))
        with pytest.raises(RuntimeError, match="while evaluating"):
            adaptive.BlockingRunner(learner, npoints_goal=10, executor=pool, ntasks=2, retries=0)
