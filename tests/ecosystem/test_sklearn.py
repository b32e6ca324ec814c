"""scikit-learn on our joblib backend: results equal to the calling thread's and to loky's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import joblib
import numpy
import pandas
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import make_classification
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from procession.adapters import joblib as ours
from tests import warm

pytestmark = pytest.mark.e2e
kept_zygote = warm.keep("joblib", "sklearn.ensemble", "sklearn.model_selection", "sklearn.inspection")

# 1.28 MB: more than joblib's max_nbytes, so X is shared
X, Y = make_classification(n_samples=10_000, n_features=16, n_informative=8, n_classes=3, random_state=0)
FEW = slice(300)
JOBS = 2


@pytest.fixture(autouse=True)
def workers() -> Iterator[None]:
    """And one thread for the numeric libraries of this process, as its workers have it."""
    ours.register()
    with threadpool_limits(1):
        yield
    ours.shutdown()


def grid_search() -> Any:
    search = GridSearchCV(LogisticRegression(max_iter=20), {"C": [0.01, 1]}, cv=3, n_jobs=JOBS)
    found = search.fit(X[FEW], Y[FEW])
    return found.cv_results_["mean_test_score"], found.best_params_, found.predict(X[FEW])


def scores() -> Any:
    return cross_val_score(DecisionTreeClassifier(random_state=0, max_depth=5), X, Y, cv=3, n_jobs=JOBS)


def scores_of_a_frame() -> Any:
    frame = pandas.DataFrame(X[FEW], columns=[f"x{i}" for i in range(X.shape[1])])
    return cross_val_score(DecisionTreeClassifier(random_state=0), frame, Y[FEW], cv=3, n_jobs=JOBS)


def forest() -> Any:
    found = RandomForestClassifier(6, random_state=0, max_depth=4, n_jobs=JOBS).fit(X, Y)
    found.set_params(n_jobs=1)  # else threads add up the trees' votes, in any order
    return found.predict_proba(X), found.feature_importances_


def bagging() -> Any:
    model = BaggingClassifier(DecisionTreeClassifier(max_depth=5), 8, random_state=0, n_jobs=JOBS)
    found = model.fit(X[FEW], Y[FEW]).set_params(n_jobs=1)  # votes are added up in as many parts as there are jobs
    return found.predict_proba(X[FEW])


def importance() -> Any:
    model = DecisionTreeClassifier(random_state=0, max_depth=5).fit(X, Y)
    return permutation_importance(model, X, Y, n_repeats=2, random_state=0, n_jobs=JOBS).importances


def nested_search() -> Any:
    model = RandomForestClassifier(5, random_state=0, n_jobs=-1)
    search = GridSearchCV(model, {"max_depth": [2, 4]}, cv=3, n_jobs=JOBS)
    return search.fit(X[FEW], Y[FEW]).cv_results_["mean_test_score"]


PROGRAMS = (grid_search, scores, scores_of_a_frame, forest, bagging, importance, nested_search)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other if isinstance(one, dict) else numpy.array_equal(one, other)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_equal_to_the_calling_thread(program: Callable[[], Any]) -> None:
    with joblib.parallel_config(backend="procession"):
        here = program()
    with joblib.parallel_config(backend="sequential"):
        assert same(here, program())


@pytest.mark.timeout(300)
@pytest.mark.leaks("loky's workers end when they have been idle, or with the program")
def test_equal_to_loky() -> None:
    with joblib.parallel_config(backend="procession"):
        here = [program() for program in PROGRAMS]
    try:
        with joblib.parallel_config(backend="loky"):
            there = [program() for program in PROGRAMS]
    finally:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
    assert [same(one, other) for one, other in zip(here, there, strict=True)] == [True] * len(PROGRAMS)


def test_a_model_that_fails_says_where() -> None:
    with joblib.parallel_config(backend="procession"), pytest.raises(ValueError, match="All the 3 fits failed"):
        cross_val_score(LogisticRegression(solver="no"), X[FEW], Y[FEW], cv=3, n_jobs=JOBS)
