"""Sequences that a hidden Markov model cannot produce, or only with the smallest of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.baum_welch import baum_welch, expected_counts, restarts
from companion.bptt import prefix_mask
from companion.emissions import Categorical, Gaussian
from companion.hmm import HMM, backward, forward, log_likelihood, posterior, viterbi
from companion.tree import tree_map
from tests.contract.cells import bytes_of
from tests.contract.hmms import MASK, D, Problem, T, check_everything, equal, exact, left_to_right, problem, random_xs
from tests.contract.refusals import Parts, require_message

OTHERS = (forward, backward, posterior, viterbi, expected_counts, baum_welch)
every_other = pytest.mark.parametrize("function", OTHERS, ids=lambda f: f.__name__)

# State 0 goes to 1, which goes to 0 or 2, where it ends; symbol 3 is emitted by no state.
CHAIN = HMM(
    np.array([1.0, 0.0, 0.0]),
    np.array([[0.0, 1.0, 0.0], [0.7, 0.0, 0.3], [0.0, 0.0, 1.0]]),
    Categorical(np.array([[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.7, 0.0, 0.3]])),
)
# What is wrong, at which step.
IMPOSSIBLE: dict[str, tuple[list[int], int]] = {
    "at the first step": ([1, 1, 0, 1, 0], 0),
    "at a transition": ([0, 1, 0, 2, 2], 3),
    "at the last step": ([0, 1, 0, 1, 1], 4),
    "by a symbol of no state": ([0, 1, 3, 1, 0], 2),
    "by a symbol of no state at first": ([3, 1, 0, 1, 0], 0),
    "twice": ([0, 0, 3, 1, 0], 1),
}
POSSIBLE = [[0, 1, 0, 1, 0], [0, 1, 0, 1, 2], [0, 1, 2, 2, 4]]
every_impossible = pytest.mark.parametrize("name", IMPOSSIBLE)


def batch(*sequences: list[int]) -> Any:
    return np.array(sequences).T


# --- impossible


@every_impossible
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_log_likelihood_of_an_impossible_sequence_is_minus_infinity(name: str, dtype: Any) -> None:
    hmm = tree_map(lambda a: a.astype(dtype), CHAIN)
    received = log_likelihood(hmm, batch(POSSIBLE[0], IMPOSSIBLE[name][0], *POSSIBLE[1:]))
    assert received[1] == -np.inf
    expected = [np.log(0.7 * 0.7), np.log(0.7 * 0.3 * 0.7), np.log(0.3 * 0.7 * 0.7 * 0.3)]
    equal(received[[0, 2, 3]], expected, rtol=1e-12 if dtype == np.float64 else 1e-6)
    assert received.dtype == dtype
    assert log_likelihood(hmm, batch(IMPOSSIBLE[name][0])) == -np.inf


@every_impossible
@every_other
def test_the_others_refuse_an_impossible_sequence_and_say_where_it_ends(function: Any, name: str) -> None:
    symbols, step = IMPOSSIBLE[name]
    parts: Parts = (
        "expected_counts|baum_welch" if function is baum_welch else function.__name__,
        f"xs[{step}, 2]",
        f"is {symbols[step]}",
        "expected a sequence that the model can produce",
    )
    require_message(lambda: function(CHAIN, batch(*POSSIBLE[:2], symbols, POSSIBLE[2])), parts)


def test_restarts_refuse_an_impossible_sequence_too() -> None:
    xs = batch(POSSIBLE[0], IMPOSSIBLE["at a transition"][0])
    parts: Parts = ("expected_counts|baum_welch|restarts", "xs[3, 1]", "is 2", "expected a sequence that the model can")
    require_message(lambda: restarts(np.random.default_rng(0), lambda rng: CHAIN, xs), parts)


def test_possible_sequences_are_not_refused() -> None:
    check_everything(Problem(CHAIN, batch(*POSSIBLE), None))
    for function in OTHERS:
        function(CHAIN, batch(*POSSIBLE))


@pytest.mark.parametrize("name", [name for name, (_, step) in IMPOSSIBLE.items() if step > 0])
def test_what_is_impossible_only_in_padding_is_possible(name: str) -> None:
    symbols, step = IMPOSSIBLE[name]
    mask = prefix_mask(np.array([step, T]), T)
    check_everything(Problem(CHAIN, batch(symbols, POSSIBLE[1]), mask))
    with pytest.raises(ValueError, match=rf"xs\[{step}, 0\]"):
        posterior(CHAIN, batch(symbols, POSSIBLE[1]), prefix_mask(np.array([step + 1, T]), T))


@every_impossible
def test_an_impossible_neighbour_changes_no_digit(name: str) -> None:
    """The first column is alone with it, then with a possible one."""
    p = problem("categorical")
    hmm = p.hmm._replace(emission=Categorical(np.array([[0.4, 0.6, 0], [0.5, 0.5, 0], [0.1, 0.9, 0]])))
    good = random_xs("categorical", np.random.default_rng(7), T, 3) % 2
    bad = good.copy()
    bad[IMPOSSIBLE[name][1], 1] = 2
    first, second = log_likelihood(hmm, good), log_likelihood(hmm, bad)
    assert second[1] == -np.inf
    assert (first[[0, 2]] == second[[0, 2]]).all()


# --- nearly impossible: each of these was once, or easily is, taken for impossible


def from_rows(start: Any, transition: Any, emission: Any) -> HMM:
    return HMM(np.array(start, float), np.array(transition, float), Categorical(np.array(emission, float)))


TINY = 1e-320  # below the smallest number of full precision: 2024 times the smallest there is
EVEN = [[0.5, 0.5], [0.5, 0.5]]
NEARLY_IMPOSSIBLE: dict[str, tuple[HMM, list[int]]] = {
    "a start": (from_rows([TINY, 1], EVEN, [[0.5, 0.5], [0, 1]]), [0, 1, 1, 0]),
    "a transition that must be taken": (from_rows([1, 0], [[1, TINY], [0, 1]], [[1, 0], [0, 1]]), [0, 0, 1, 1]),
    "a transition from a state of half": (
        from_rows([0.5, 0.5], [[1, TINY], [0.25, 0.75]], [[0.5, 0.5, 0], [0, 0.9, 0.1]]),
        [0, 0, 2, 1],
    ),
    "a symbol": (from_rows([0.3, 0.7], EVEN, [[1, TINY], [1, 2 * TINY]]), [1, 0, 1, 1, 1, 0]),
    "a symbol of one state": (from_rows([0.3, 0.7], [[0.2, 0.8], [0.6, 0.4]], [[0.3, 0.7], [1, TINY]]), [1, 1, 0, 1]),
    "a state in doubt until the last step": (
        from_rows([0.5, 0.5], np.eye(2), [[1, 1e-200, 0], [1e-200, 0.5, 0.5]]),
        [0, 0, 0, 2],
    ),
    "a state that was lost and comes back": (
        from_rows([0.5, 0.5], np.eye(2), [[0.5, 0.5, 1e-200], [1e-200, 1e-200, 1]]),
        [0, 1, 2, 2, 2],
    ),
    "two tiny transitions in a row": (
        from_rows([1, 0, 0], [[1, 1e-200, 0], [0, 1, 1e-200], [0, 0, 1]], [[1, 0], [1, 0], [0, 1]]),
        [0, 0, 0, 1],
    ),
}


@pytest.mark.parametrize("name", NEARLY_IMPOSSIBLE)
def test_the_smallest_probabilities_are_no_zeros(name: str) -> None:
    """The best path and its probability, the likelihood and the counts; one digit in 2024 is all that 1e-320 has."""
    hmm, symbols = NEARLY_IMPOSSIBLE[name]
    other = np.array(symbols)[::-1] if np.isfinite(log_likelihood(hmm, batch(symbols[::-1])))[0] else symbols
    check_everything(Problem(hmm, batch(symbols, list(other)), None), rtol=1e-3 if TINY in hmm_numbers(hmm) else 1e-9)


def test_a_sum_of_transitions_is_finite_even_if_the_largest_float_is_passed_on_the_way() -> None:
    """Of 200 sequences each is within the range of floats, and so are 57 or 43 transitions to a state: not so what is summed."""
    A, E = [[1, 3e-308], [1, 3e-308]], [[0.5, 1e-308, 0.5], [0.5, 0.25, 0.25]]
    p = Problem(from_rows([0.5, 0.5], A, E), np.tile([[0], [1]], 200), None)
    one = p._replace(xs=p.xs[:, :1])
    equal(expected_counts(*p).transition, 200 * expected_counts(*one).transition, rtol=1e-9)
    equal(expected_counts(*p).transition, 200 * exact(p.hmm, p.xs[:, 0]).transitions, rtol=1e-9)
    equal(posterior(*p), np.repeat(posterior(*one), 200, axis=1), rtol=1e-9)


def hmm_numbers(hmm: HMM) -> set[float]:
    return {float(a) for array in (hmm.start, hmm.transition, hmm.emission.probabilities) for a in array.flat}


# --- Gaussian outliers


@pytest.mark.parametrize("sigmas", [40.0, 1e3, 1e6, -1e6])
@pytest.mark.parametrize("model", ["all transitions", "left to right"])
def test_outliers_are_unlikely_but_not_impossible(sigmas: float, model: str) -> None:
    p = problem("Gaussian") if model == "all transitions" else left_to_right(problem("Gaussian"))
    xs = p.xs.copy()
    for t, b in ((0, 0), (4, 0), (1, 1), (0, 2), (3, 3)):
        xs[t, b] = sigmas * np.sqrt(p.hmm.emission.variances.max(axis=0)) * [1, 0.7]
    check_everything(p._replace(xs=xs), rtol=1e-9)


def test_an_outlier_changes_nothing_for_its_neighbours() -> None:
    p = problem("Gaussian")
    xs = p.xs.copy()
    xs[1, 1] = 1e6
    assert (log_likelihood(p.hmm, xs, MASK)[[0, 2, 3]] == log_likelihood(*p)[[0, 2, 3]]).all()
    assert bytes_of(posterior(p.hmm, xs, MASK)[:, [0, 2, 3]]) == bytes_of(posterior(*p)[:, [0, 2, 3]])


@pytest.mark.parametrize(("dtype", "far"), [(np.float64, 1e120), (np.float32, 1e12), (np.float64, 1e300)])
def test_what_is_too_far_for_a_square_is_finite(dtype: Any, far: float) -> None:
    p = problem("Gaussian")
    hmm, xs = tree_map(lambda a: a.astype(dtype), p.hmm), p.xs.astype(dtype)
    xs[2, 0], xs[0, 1] = far, -far
    for received in (log_likelihood(hmm, xs, MASK), posterior(hmm, xs, MASK), viterbi(hmm, xs, MASK)[1]):
        assert np.isfinite(received).all()
    equal(posterior(hmm, xs, MASK).sum(axis=2), MASK, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-9), (np.float32, 1e-4)])
@pytest.mark.parametrize("end", ["largest", "smallest"])
def test_variances_at_the_ends_of_the_range_of_floats_are_legal(dtype: Any, rtol: float, end: str) -> None:
    """2 pi v would leave it; p has sqrt(v) below, so that with means of 0 the log-likelihood is that of v = 1, shifted."""
    p, v = problem("Gaussian"), {"largest": np.finfo(dtype).max, "smallest": np.finfo(dtype).smallest_subnormal}[end]
    ones = Gaussian(np.zeros((3, D)), np.ones((3, D)))
    hmm, xs = p.hmm._replace(emission=ones._replace(variances=ones.variances * v)), np.zeros_like(p.xs)
    expected = log_likelihood(p.hmm._replace(emission=ones), xs, MASK) - D * MASK.sum(axis=0) * np.log(float(v)) / 2
    hmm, xs = tree_map(lambda a: a.astype(dtype), hmm), xs.astype(dtype)
    equal(log_likelihood(hmm, xs, MASK), expected, rtol)
    equal(posterior(hmm, xs, MASK).sum(axis=2), MASK, rtol)
    assert np.isfinite(expected_counts(hmm, xs, MASK).transition).all()


def test_a_scale_of_the_data_only_shifts_the_log_likelihood() -> None:
    """x -> a x with means a mu and variances a^2 v takes log a from every number."""
    p = problem("Gaussian")
    for a in (1e-60, 1e-5, 1e5, 1e60):
        emission = Gaussian(p.hmm.emission.means * a, p.hmm.emission.variances * a**2)
        received = log_likelihood(p.hmm._replace(emission=emission), p.xs * a, p.mask)
        equal(received, log_likelihood(*p) - D * np.log(a) * MASK.sum(axis=0), rtol=1e-9)


def test_a_column_that_never_changes_lowers_no_log_likelihood(rng: np.random.Generator) -> None:
    """Its variance is nothing but rounding."""
    p = problem("Gaussian")
    for constant in (0.0, 0.1, 1e3, -7e8):
        xs = p.xs.copy()
        xs[..., 1] = constant
        _, totals = baum_welch(p.hmm, xs, steps=20, tolerance=0.0)
        assert np.isfinite(totals).all()
        assert (np.diff(totals) >= -1e-9 * np.abs(totals[:-1])).all(), (constant, totals)
