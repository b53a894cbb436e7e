"""Learning of hidden Markov models: expected counts against sums over all paths and as gradients, EM, restarts, counting."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from companion.baum_welch import baum_welch, expected_counts, maximise
from companion.emissions import Categorical, Gaussian
from companion.hmm import HMM, log_likelihood, posterior
from companion.tree import tree_items, tree_map
from tests.contract.hmms import (
    KINDS,
    LENGTHS,
    MASK,
    B,
    Problem,
    check_counts,
    check_maximised,
    equal,
    left_to_right,
    problem,
    random_hmm,
    random_xs,
)

# The same examples in every run, and none kept on disk.
few = settings(derandomize=True, database=None, deadline=None, max_examples=25)
every_kind = pytest.mark.parametrize("kind", KINDS)


# --- one step


@every_kind
@pytest.mark.parametrize("masked", [True, False])
def test_expected_counts_are_sums_over_all_paths(kind: str, masked: bool) -> None:
    p = problem(kind, masked)
    counts = expected_counts(*p)
    check_counts(p, counts)
    check_maximised(p, maximise(p.hmm, counts))


@every_kind
@pytest.mark.parametrize(("steps", "batch", "n_states"), [(4, 2, 1), (2, 1, 2), (7, 3, 2)])
def test_small_models_are_no_special_cases(kind: str, steps: int, batch: int, n_states: int) -> None:
    rng = np.random.default_rng(steps)
    p = Problem(random_hmm(kind, rng, n_states=n_states), random_xs(kind, rng, steps, batch), None)
    counts = expected_counts(*p)
    check_counts(p, counts)
    check_maximised(p, maximise(p.hmm, counts))


@every_kind
def test_what_is_impossible_stays_impossible(kind: str) -> None:
    p = left_to_right(problem(kind))
    check_counts(p, expected_counts(*p))
    new, totals = baum_welch(*p, steps=9)
    assert (new.start == p.hmm.start).all()
    assert (new.transition[p.hmm.transition == 0] == 0).all()
    assert totals[-1] > totals[0]


def test_counts_add_up() -> None:
    for kind in KINDS:
        p = problem(kind)
        counts = expected_counts(*p)
        equal(counts.start.sum(), B)
        equal(counts.transition.sum(), (LENGTHS - 1).sum())
        visits = posterior(*p)[:-1] * MASK[1:, :, None]
        equal(counts.transition.sum(axis=1), visits.sum(axis=(0, 1)))
    equal(expected_counts(*problem("categorical")).emission.probabilities.sum(), LENGTHS.sum())


def test_counts_of_one_step_have_no_transitions_and_leave_them_as_they_were() -> None:
    for kind in KINDS:
        p = problem(kind)._replace(xs=problem(kind).xs[:1], mask=None)
        counts = expected_counts(*p)
        check_counts(p, counts)
        assert not counts.transition.any()
        assert (maximise(p.hmm, counts).transition == p.hmm.transition).all()


def test_a_state_that_is_never_visited_keeps_its_rows() -> None:
    for kind in KINDS:
        p = problem(kind)
        away = HMM(
            np.array([0.4, 0.6, 0.0]), np.array([[0.3, 0.7, 0.0], [0.8, 0.2, 0.0], [0.1, 0.2, 0.7]]), p.hmm.emission
        )
        new = maximise(away, expected_counts(away, p.xs, p.mask))
        for (name, row), (_, old) in zip(tree_items(new), tree_items(away), strict=True):
            equal(row[2], old[2])
            assert (row[0] != old[0]).any(), name


def directions(rng: np.random.Generator, rows: Any) -> Any:
    """Small changes of rows that leave their sums alone."""
    change = rows * rng.normal(size=rows.shape)
    return change - rows * change.sum(axis=-1, keepdims=True)


@every_kind
@pytest.mark.parametrize("part", ["start", "transition", "emission"])
def test_expected_counts_are_the_gradient_of_the_log_likelihood(kind: str, part: str, rng: np.random.Generator) -> None:
    """By the logarithm of a probability it is the count; by a mean, the sum of gamma (x - mu) / v."""
    p = problem(kind)
    counts, here = expected_counts(*p), getattr(p.hmm, part)
    if isinstance(here, Gaussian):
        change: Any = tree_map(lambda a: rng.normal(size=a.shape), here)
        z, gammas = p.xs[:, :, None] - here.means, posterior(*p)[..., None]
        slope = (gammas * z / here.variances * change.means).sum()
        slope += (gammas * (z**2 / here.variances - 1) / (2 * here.variances) * change.variances).sum()
    elif isinstance(here, Categorical):
        change = tree_map(lambda a: directions(rng, a), here)
        slope = (counts.emission.probabilities * change.probabilities / here.probabilities).sum()
    else:
        change = directions(rng, here)
        slope = (getattr(counts, part) * change / here).sum()
    ends = []
    for sign in (1, -1):
        moved = tree_map(lambda a, d, sign=sign: a + sign * 1e-5 * d, here, change)
        ends.append(log_likelihood(p.hmm._replace(**{part: moved}), p.xs, p.mask).sum())
    assert abs(slope) > 1e-2
    equal((ends[0] - ends[1]) / 2e-5, slope, rtol=1e-6)


# --- the checks find wrong answers


def mixed(p: Problem, f: Callable[[Any], Any]) -> Any:
    counts = expected_counts(*p)
    return counts._replace(transition=f(counts.transition))


def by_posteriors(p: Problem) -> Any:
    """Neighbouring steps as if they were independent."""
    gammas = posterior(*p)
    pairs = np.einsum("tbp,tbq->pq", gammas[:-1], gammas[1:])
    return expected_counts(*p)._replace(transition=pairs)


WRONG: dict[str, Callable[[Problem], Any]] = {
    "transitions from column to row": lambda p: mixed(p, lambda a: a.T),
    "products of posteriors": by_posteriors,
    "probabilities for counts": lambda p: mixed(p, lambda a: a / a.sum(axis=1, keepdims=True)),
    "without the transition's own probability": lambda p: mixed(p, lambda a: a / p.hmm.transition),
    "mean over the batch": lambda p: tree_map(lambda a: a / B, expected_counts(*p)),
    "padding counted": lambda p: expected_counts(p.hmm, p.xs),
    "one log-likelihood for all": lambda p: expected_counts(*p)._replace(
        log_likelihood=expected_counts(*p).log_likelihood.sum()
    ),
    "starts at every step": lambda p: expected_counts(*p)._replace(start=posterior(*p).sum(axis=(0, 1))),
}


@every_kind
@pytest.mark.parametrize("name", WRONG)
def test_wrong_counts_are_found(kind: str, name: str) -> None:
    with pytest.raises(AssertionError):
        check_counts(problem(kind), WRONG[name](problem(kind)))


def rows_of_all(p: Problem) -> HMM:
    """Divided by the visits of all steps, of which the last have no transition."""
    new, gammas = maximise(p.hmm, expected_counts(*p)), posterior(*p)
    return new._replace(transition=expected_counts(*p).transition / gammas.sum(axis=(0, 1))[:, None])


def around_old_means(p: Problem) -> HMM:
    new = maximise(p.hmm, expected_counts(*p))
    squares = np.einsum("tbq,tbqd->qd", posterior(*p), (p.xs[:, :, None] - p.hmm.emission.means) ** 2)
    return new._replace(emission=new.emission._replace(variances=squares / posterior(*p).sum(axis=(0, 1))[:, None]))


def test_wrong_maximisation_is_found() -> None:
    p, q = problem("categorical"), problem("Gaussian")
    wrong = [
        (p, rows_of_all(p)),
        (q, rows_of_all(q)),
        (q, around_old_means(q)),
        (p, maximise(p.hmm, expected_counts(*p), pseudo_count=1e-3)),
        (p, maximise(p.hmm, expected_counts(p.hmm, p.xs))),
        (q, maximise(q.hmm, expected_counts(q.hmm, q.xs))),
        (p, p.hmm),
    ]
    for a_problem, new in wrong:
        with pytest.raises(AssertionError):
            check_maximised(a_problem, new)


# --- EM


@few
@given(st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 9), st.integers(1, 4))
@example(kind="Gaussian", seed=2, n_states=1, steps=1, batch=1)  # a single point: its variance is rounding
def test_no_round_lowers_the_log_likelihood(kind: str, seed: int, n_states: int, steps: int, batch: int) -> None:
    rng = np.random.default_rng(seed)
    hmm, xs = random_hmm(kind, rng, n_states=n_states), random_xs(kind, rng, steps, batch)
    mask = np.arange(steps)[:, None] < rng.integers(1, steps + 1, batch)
    _, totals = baum_welch(hmm, xs, mask, steps=12, tolerance=0.0)
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(totals)), totals


@every_kind
def test_totals_begin_with_the_model_given_and_end_with_the_one_returned(kind: str) -> None:
    p = problem(kind)
    new, totals = baum_welch(*p, steps=4, tolerance=0.0)
    assert len(totals) == 5
    equal(totals[0], log_likelihood(*p).sum())
    equal(totals[-1], log_likelihood(new, p.xs, p.mask).sum())
    by_hand = p.hmm
    for _ in range(4):
        by_hand = maximise(by_hand, expected_counts(by_hand, p.xs, p.mask))
    tree_map(equal, new, by_hand)


def test_it_stops_when_a_round_gains_less_than_the_tolerance_a_symbol() -> None:
    p = problem("categorical")
    _, totals = baum_welch(*p, steps=500, tolerance=0.01)
    gains = np.diff(totals) / LENGTHS.sum()
    assert 1 < len(gains) < 500
    assert gains[-1] < 0.01
    assert (gains[:-1] >= 0.01).all()


def climbed(p: Problem, hmm: HMM, k: float) -> float:
    """What a round with a pseudo-count k climbs: the log-likelihood and the log of the prior."""
    tables = [hmm.start, hmm.transition]
    if isinstance(hmm.emission, Categorical):
        tables.append(hmm.emission.probabilities)
    return float(log_likelihood(hmm, p.xs, p.mask).sum() + k * sum(np.log(table).sum() for table in tables))


@every_kind
@pytest.mark.parametrize("k", [0.05, 2.0])
def test_with_pseudo_counts_it_climbs_and_stops_by_likelihood_and_prior(kind: str, k: float) -> None:
    p = problem(kind)
    models = [p.hmm]
    for _ in range(60):
        models.append(maximise(models[-1], expected_counts(models[-1], p.xs, p.mask), k))
    heights = np.array([climbed(p, hmm, k) for hmm in models])
    assert (np.diff(heights) >= -1e-9 * np.abs(heights[:-1])).all()
    new, totals = baum_welch(*p, steps=60, tolerance=1e-3, pseudo_count=k)
    rounds = int(np.argmax(np.diff(heights) < 1e-3 * LENGTHS.sum())) + 1
    assert len(totals) == rounds + 1 < 61
    equal(totals, [log_likelihood(hmm, p.xs, p.mask).sum() for hmm in models[: rounds + 1]])
    tree_map(equal, new, models[rounds])
    if kind == "categorical" and k == 2:
        assert (np.diff(totals)[:-1] < 0).any(), "a problem in which the likelihood falls while it climbs"


def test_with_pseudo_counts_a_zero_is_no_reason_to_stop() -> None:
    """Its logarithm is -inf, and after one round it is zero no more, unless the pseudo-count itself is too small."""
    p = left_to_right(problem("categorical"))
    for k in (0.1, 5e-324):
        new, totals = baum_welch(*p, steps=40, tolerance=1e-6, pseudo_count=k)
        assert np.isfinite(totals).all()
        assert len(totals) > 9
        assert (new.transition > 0).all() == (k == 0.1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_largest_pseudo_count_gives_uniform_rows(dtype: type) -> None:
    p = problem("categorical")
    hmm = tree_map(lambda a: a.astype(dtype), p.hmm)
    for k in (9.9e29, np.float32(9e29), np.int8(100)):
        new = maximise(hmm, expected_counts(hmm, p.xs, p.mask), k)
        for _, rows in tree_items(new):
            assert rows.dtype == dtype
            equal(rows, np.full_like(rows, 1 / rows.shape[-1]), rtol=0.05 if k == 100 else 1e-6)
