"""Hidden Markov models against sums over all paths; long, impossible and extreme sequences; Viterbi; sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion.bptt import prefix_mask
from companion.emissions import Categorical
from companion.hmm import (
    HMM,
    backward,
    forward,
    log_likelihood,
    posterior,
    viterbi,
)
from companion.tree import tree_map
from tests.contract.cells import bytes_of, dtypes_of
from tests.contract.hmms import (
    KINDS,
    Problem,
    S,
    V,
    check_everything,
    check_forward,
    check_log_likelihood,
    check_posterior,
    check_viterbi,
    equal,
    left_to_right,
    log_densities,
    log_probabilities,
    log_space,
    problem,
    random_hmm,
    random_xs,
)

every_kind = pytest.mark.parametrize("kind", KINDS)
with_and_without_mask = pytest.mark.parametrize("masked", [True, False])


# --- sums over all paths


@every_kind
@with_and_without_mask
def test_a_batch_equals_the_sums_over_all_paths_of_its_sequences_alone(kind: str, masked: bool) -> None:
    check_everything(problem(kind, masked))


@every_kind
@pytest.mark.parametrize(("steps", "batch", "n_states"), [(1, 4, 3), (4, 2, 1), (1, 1, 1), (7, 1, 2), (2, 3, 5)])
def test_one_step_one_state_and_one_sequence_are_no_special_cases(
    kind: str, steps: int, batch: int, n_states: int, rng: np.random.Generator
) -> None:
    check_everything(Problem(random_hmm(kind, rng, n_states=n_states), random_xs(kind, rng, steps, batch), None))


@every_kind
def test_zeros_in_start_and_transition_are_allowed(kind: str, rng: np.random.Generator) -> None:
    check_everything(left_to_right(problem(kind)))


def test_zeros_in_the_emission_are_allowed(rng: np.random.Generator) -> None:
    emission = np.array(
        [[0.0, 0.1, 0.2, 0.0, 0.3, 0.4], [0.5, 0.0, 0.1, 0.4, 0.0, 0.0], [0.1, 0.3, 0.0, 0.2, 0.4, 0.0]]
    )
    p = problem("categorical")
    check_everything(p._replace(hmm=p.hmm._replace(emission=Categorical(emission))))


@every_kind
def test_padding_says_nothing(kind: str) -> None:
    p = problem(kind)
    other = np.where(p.padding() if kind == "categorical" else p.padding()[..., None], p.xs[0, 0], p.xs)
    assert (other != p.xs).any()
    for f in (forward, backward, log_likelihood, posterior, viterbi):
        assert bytes_of(f(*p)) == bytes_of(f(*p._replace(xs=other))), f.__name__


def test_names_of_states_do_not_matter(rng: np.random.Generator) -> None:
    for kind in KINDS:
        p, order = problem(kind), np.array([2, 0, 1])
        renamed = HMM(
            p.hmm.start[order],
            p.hmm.transition[np.ix_(order, order)],
            tree_map(lambda a, order=order: a[order], p.hmm.emission),
        )
        equal(log_likelihood(renamed, p.xs, p.mask), log_likelihood(*p))
        equal(posterior(renamed, p.xs, p.mask), posterior(*p)[..., order])
        paths = viterbi(renamed, p.xs, p.mask)[0]
        assert (np.where(p.mask, order[paths], -1) == viterbi(*p)[0]).all()


def test_rows_of_posterior_and_alphas_sum_to_one() -> None:
    for kind in KINDS:
        p = problem(kind)
        equal(posterior(*p).sum(axis=2), p.mask)
        equal(forward(*p)[0].sum(axis=2)[p.mask], 1.0)


@every_kind
def test_alphas_times_betas_are_the_posterior(kind: str) -> None:
    for p in (problem(kind), problem(kind, masked=False), left_to_right(problem(kind))):
        product = forward(*p)[0] * backward(*p)
        equal(product[~p.padding()], posterior(*p)[~p.padding()])
        equal(forward(*p)[1].sum(axis=0), log_likelihood(*p))


# --- the checks find wrong answers


def predicted(p: Problem) -> Any:
    alphas, log_scales = forward(*p)
    return np.concatenate([np.broadcast_to(p.hmm.start, alphas[:1].shape), alphas[:-1] @ p.hmm.transition]), log_scales


def transposed(p: Problem) -> HMM:
    columns = p.hmm.transition.T
    return p.hmm._replace(transition=columns / columns.sum(axis=1, keepdims=True))


def greedy(p: Problem) -> Any:
    """The most probable state of every step: not the most probable path."""
    return np.where(p.mask, posterior(*p).argmax(axis=2), -1), viterbi(*p)[1]


WRONG: dict[str, tuple[Callable[..., None], Callable[[Problem], Any]]] = {
    "mask ignored by forward": (check_forward, lambda p: forward(p.hmm, p.xs)),
    "mask ignored by posterior": (check_posterior, lambda p: (posterior(p.hmm, p.xs),)),
    "mask ignored by posterior, but padding zero": (
        check_posterior,
        lambda p: (posterior(p.hmm, p.xs) * p.mask[..., None],),
    ),
    "mask ignored by the log-likelihood": (check_log_likelihood, lambda p: (log_likelihood(p.hmm, p.xs),)),
    "mask ignored by Viterbi": (check_viterbi, lambda p: viterbi(p.hmm, p.xs)),
    "mask ignored by Viterbi, but padding marked": (
        check_viterbi,
        lambda p: (np.where(p.mask, viterbi(p.hmm, p.xs)[0], -1), viterbi(*p)[1]),
    ),
    "joint for conditional probabilities": (
        check_forward,
        lambda p: (forward(*p)[0] * np.exp(forward(*p)[1].cumsum(axis=0))[..., None], forward(*p)[1]),
    ),
    "predicted for filtered states": (check_forward, predicted),
    "scales, not their logarithms": (check_forward, lambda p: (forward(*p)[0], np.exp(forward(*p)[1]) * p.mask)),
    "sums of log scales": (check_forward, lambda p: (forward(*p)[0], forward(*p)[1].cumsum(axis=0) * p.mask)),
    "sequences backwards": (check_posterior, lambda p: (posterior(p.hmm, p.xs[::-1], None)[::-1] * p.mask[..., None],)),
    "column to row, forward": (check_forward, lambda p: forward(transposed(p), *p[1:])),
    "column to row, log-likelihood": (check_log_likelihood, lambda p: (log_likelihood(transposed(p), *p[1:]),)),
    "filtered for smoothed states": (check_posterior, lambda p: (forward(*p)[0] * p.mask[..., None],)),
    "betas for the posterior": (check_posterior, lambda p: (backward(*p) * p.mask[..., None],)),
    "start forgotten": (
        check_log_likelihood,
        lambda p: (log_likelihood(p.hmm._replace(start=np.full(S, 1 / S)), *p[1:]),),
    ),
    "mean for every sequence": (check_log_likelihood, lambda p: (log_likelihood(*p) / p.mask.sum(axis=0),)),
    "bits for nats": (check_log_likelihood, lambda p: (log_likelihood(*p) / np.log(2),)),
    "most probable states for the path": (check_viterbi, greedy),
    "probability given the sequence": (
        check_viterbi,
        lambda p: (viterbi(*p)[0], viterbi(*p)[1] - log_likelihood(*p)),
    ),
    "padding in state 0": (check_viterbi, lambda p: (viterbi(*p)[0] * p.mask, viterbi(*p)[1])),
}


@every_kind
@pytest.mark.parametrize("name", WRONG)
def test_wrong_answer_is_found(kind: str, name: str) -> None:
    check, answer = WRONG[name]
    p = problem(kind)
    with pytest.raises(AssertionError):
        check(p, *answer(p))


# --- Viterbi


def test_of_equally_probable_paths_viterbi_takes_the_smallest_states(rng: np.random.Generator) -> None:
    """States 0 and 3, and 1 and 4, are the same but for their names; all arithmetic on them is the same too."""
    twin, weight = np.array([0, 1, 2, 0, 1]), np.array([0.5, 0.5, 1.0, 0.5, 0.5])
    visited: set[int] = set()
    for kind in KINDS:
        p = Problem(random_hmm(kind, rng), random_xs(kind, rng, steps=4, batch=3), None)
        transition = p.hmm.transition[np.ix_(twin, twin)] * weight
        clones = HMM(p.hmm.start[twin] * weight, transition, tree_map(lambda a: a[twin], p.hmm.emission))
        check_viterbi(p._replace(hmm=clones), *viterbi(clones, p.xs))
        visited |= set(viterbi(clones, p.xs)[0].ravel().tolist())
    assert visited == {0, 1, 2}


def test_where_all_is_equal_viterbi_stays_in_state_zero() -> None:
    p = problem("categorical")
    uniform = HMM(np.full(S, 1 / S), np.full((S, S), 1 / S), Categorical(np.full((S, V), 1 / V)))
    assert (viterbi(uniform, p.xs, p.mask)[0] == np.where(p.mask, 0, -1)).all()


def test_no_path_that_differs_in_one_step_beats_viterbis(rng: np.random.Generator) -> None:
    """For paths too many to sum over."""
    p = Problem(random_hmm("categorical", rng, n_states=9), random_xs("categorical", rng, 40, 3), None)
    paths, received = viterbi(*p)
    for path, xs, best in zip(paths.T, p.xs.T, received, strict=True):
        densities = log_densities(p.hmm.emission, xs)
        equal(best, log_probabilities(p.hmm, path[None], densities)[0])
        others = np.repeat(path[None], 40 * 9, axis=0)
        others[np.arange(40 * 9), np.repeat(np.arange(40), 9)] = np.tile(np.arange(9), 40)
        assert log_probabilities(p.hmm, others, densities).max() <= best + 1e-9


# --- 10,000 steps


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-10), (np.float32, 2e-5)])
def test_ten_thousand_steps_equal_sums_in_log_space(dtype: Any, rtol: float, rng: np.random.Generator) -> None:
    hmm = random_hmm("categorical", rng, dtype)
    xs, lengths = random_xs("categorical", rng, 10_000, 2), np.array([10_000, 7_001])
    mask = prefix_mask(lengths, 10_000)
    received, gammas = log_likelihood(hmm, xs, mask), posterior(hmm, xs, mask)
    paths, bests = viterbi(hmm, xs, mask)
    for array in (received, gammas, bests, *forward(hmm, xs, mask), backward(hmm, xs, mask)):
        assert array.dtype == dtype
        assert np.isfinite(array).all()
    equal(received, forward(hmm, xs, mask)[1].sum(axis=0, dtype=np.float64), rtol=1e-7)  # nothing lost in adding up
    wide = tree_map(np.float64, hmm)
    for b, length in enumerate(lengths):
        total, expected, best = log_space(wide, xs[:length, b])
        equal(received[b], total, rtol)
        equal(gammas[:length, b], expected, rtol=0, atol=10 * rtol)
        equal(bests[b], best, rtol)
        path = paths[:length, b]
        steps = np.log(wide.transition[path[:-1], path[1:]]).sum() + np.log(wide.start[path[0]])
        equal(steps + np.log(wide.emission.probabilities[path, xs[:length, b]]).sum(), best, rtol)


@every_kind
def test_float32_stays_float32_and_agrees(kind: str) -> None:
    p = problem(kind)
    xs = p.xs if kind == "categorical" else p.xs.astype(np.float32)
    small = (tree_map(np.float32, p.hmm), xs, p.mask)
    for f in (forward, backward, log_likelihood, posterior):
        received = f(*small)
        assert dtypes_of(received) == {np.dtype(np.float32)}, f.__name__
        tree_map(lambda a, b: equal(a, b, rtol=1e-4, atol=1e-5), received, f(*p))
    paths, log_probabilities = viterbi(*small)
    assert log_probabilities.dtype == np.float32
    assert (paths == viterbi(*p)[0]).all()
