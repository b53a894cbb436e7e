"""Making, sampling and learning hidden Markov models: settings and labels that are refused, and what is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.baum_welch import baum_welch, expected_counts, maximise, restarts
from companion.emissions import Categorical
from companion.hmm import from_labels, gaussian_hmm_init, hmm_init, sample
from tests.contract.hmms import MASK, B, S, T, V, problem, put
from tests.contract.refusals import FINITE, Cases, require_message, with_nan

P, G = problem("categorical"), problem("Gaussian")
RNG = np.random.default_rng(6)
SIZE = "expected a whole number of at least 1"
AT_LEAST_0 = "expected a number in [0, inf)"
COUNT = "expected a number in [0, 1e+30)"
COUNTS, TABLE = expected_counts(*P), P.hmm.emission.probabilities
STATES = RNG.integers(0, S, (T, B))


def counted(states: Any = STATES, xs: Any = P.xs, n_states: Any = S, n_symbols: Any = V, **more: Any) -> Any:
    return from_labels(states, xs, n_states, n_symbols, **more)


def of_gaussian(**changed: Any) -> Any:
    counts = expected_counts(*G)
    return counts._replace(emission=counts.emission._replace(**changed))


def restart(rng: Any = RNG, init: Any = lambda rng: P.hmm, **more: Any) -> Any:
    return restarts(rng, init, P.xs, MASK, **more)


CASES: Cases = {
    "sample with a seed": (lambda: sample(0, P.hmm, T, B), ("sample", "rng", "is 0", "expected Generator")),
    "sample of no steps": (lambda: sample(RNG, P.hmm, 0, B), ("sample", "steps", "is 0", SIZE)),
    "sample of half a step": (lambda: sample(RNG, P.hmm, 0.5, B), ("sample", "steps", "is 0.5", SIZE)),
    "sample of no sequences": (lambda: sample(RNG, P.hmm, T, 0), ("sample", "batch", "is 0", SIZE)),
    "model of no states": (lambda: hmm_init(RNG, 0, V), ("hmm_init", "n_states", "is 0", SIZE)),
    "model of no symbols": (lambda: hmm_init(RNG, S, -1), ("hmm_init", "n_symbols", "is -1", SIZE)),
    "model of True states": (lambda: hmm_init(RNG, True, V), ("hmm_init", "n_states", "is True", SIZE)),
    "model from a seed": (lambda: hmm_init(1, S, V), ("hmm_init", "rng", "is 1", "expected Generator")),
    "model of integers": (lambda: hmm_init(RNG, S, V, int), ("hmm_init", "dtype", "int64", "floating-point type")),
    "model of an unknown dtype": (
        lambda: hmm_init(RNG, S, V, "float33"),
        ("hmm_init", "dtype", "is 'float33'", "floating-point type"),
    ),
    "Gaussian model of no states": (
        lambda: gaussian_hmm_init(RNG, 0, G.xs),
        ("gaussian_hmm_init", "n_states", "is 0", SIZE),
    ),
    "Gaussian model from a seed": (
        lambda: gaussian_hmm_init(None, S, G.xs),
        ("gaussian_hmm_init", "rng", "is None", "expected Generator"),
    ),
    "Gaussian model of symbols": (
        lambda: gaussian_hmm_init(RNG, S, P.xs),
        ("gaussian_hmm_init", "xs", "int64", "expected a NumPy array of floating"),
    ),
    "Gaussian model of one sequence": (
        lambda: gaussian_hmm_init(RNG, S, G.xs[:, 0]),
        ("gaussian_hmm_init", "xs", "(5, 2)", "expected (T, B, D)"),
    ),
    "Gaussian model of NaN": (
        lambda: gaussian_hmm_init(RNG, S, with_nan(G.xs, (0, 0, 0))),
        ("gaussian_hmm_init", "xs", "nan", FINITE),
    ),
    "Gaussian model of numbers too large for a square": (
        lambda: gaussian_hmm_init(RNG, S, put(G.xs, (0, 0, 1), 1e200)),
        ("gaussian_hmm_init", "variance of xs", "the first at [1] (inf)", FINITE),
    ),
    "Gaussian model of more states than points": (
        lambda: gaussian_hmm_init(RNG, 14, G.xs, MASK),
        ("gaussian_hmm_init", "n_states", "is 14", "at most"),
    ),
    "Gaussian model with a wrong mask": (
        lambda: gaussian_hmm_init(RNG, S, G.xs, MASK.T),
        ("gaussian_hmm_init", "mask", "(4, 5)", "expected (5, 4)"),
    ),
    "no rounds": (lambda: baum_welch(*P, steps=0), ("baum_welch", "steps", "is 0", SIZE)),
    "rounds in a float": (lambda: baum_welch(*P, steps=3.0), ("baum_welch", "steps", "is 3.0", SIZE)),
    "negative tolerance": (
        lambda: baum_welch(*P, tolerance=-1e-4),
        ("baum_welch", "tolerance", "is -0.0001", AT_LEAST_0),
    ),
    "Gaussian learning from numbers too large for a square": (
        lambda: baum_welch(G.hmm, put(G.xs, (0, 0, 1), 1e200), MASK),
        ("maximise", "counts.emission.squares", "not finite", FINITE),
    ),
    "tolerance of NaN": (lambda: baum_welch(*P, tolerance=np.nan), ("baum_welch", "tolerance", "is nan", AT_LEAST_0)),
    "negative pseudo-count": (
        lambda: baum_welch(*P, pseudo_count=-1.0),
        ("baum_welch", "pseudo_count", "is -1.0", COUNT),
    ),
    "infinite pseudo-count": (
        lambda: maximise(P.hmm, expected_counts(*P), np.inf),
        ("maximise", "pseudo_count", "is inf", COUNT),
    ),
    "pseudo-count that leaves nothing": (
        lambda: baum_welch(*P, pseudo_count=1e30),
        ("baum_welch", "pseudo_count", "is 1e+30", COUNT),
    ),
    "complex pseudo-count": (
        lambda: maximise(P.hmm, expected_counts(*P), np.complex64(1)),
        ("maximise", "pseudo_count", "(1+0j)", "expected a number"),
    ),
    "NaN in the starts": (
        lambda: maximise(P.hmm, COUNTS._replace(start=with_nan(COUNTS.start, (1,)))),
        ("maximise", "counts.start", "the first at [1] (nan)", FINITE),
    ),
    "negative transitions": (
        lambda: maximise(P.hmm, COUNTS._replace(transition=put(COUNTS.transition, (1, 2), -0.5))),
        ("maximise", "counts.transition[1, 2]", "is -0.5", "expected counts of at least 0"),
    ),
    "negative counts of symbols": (
        lambda: maximise(P.hmm, COUNTS._replace(emission=Categorical(-COUNTS.emission.probabilities))),
        ("maximise", "counts.emission.probabilities[0, 1]", "is -0.0794", "expected counts of at least 0"),
    ),
    "infinite counts of symbols": (
        lambda: maximise(P.hmm, COUNTS._replace(emission=Categorical(put(TABLE, (2, 1), np.inf)))),
        ("maximise", "counts.emission.probabilities", "the first at [2, 1] (inf)", FINITE),
    ),
    "NaN in the deviations": (
        lambda: maximise(G.hmm, of_gaussian(deviations=with_nan(G.hmm.emission.means, (2, 1)))),
        ("maximise", "counts.emission.deviations", "the first at [2, 1] (nan)", FINITE),
    ),
    "negative squares": (
        lambda: maximise(G.hmm, of_gaussian(squares=-G.hmm.emission.variances)),
        ("maximise", "counts.emission.squares[0, 0]", "is -", "expected counts of at least 0"),
    ),
    "weights of another size": (
        lambda: maximise(G.hmm, of_gaussian(weights=np.ones(2))),
        ("maximise", "counts.emission.weights", "(2,)", "expected (3,)"),
    ),
    "no counts": (lambda: maximise(P.hmm, None), ("maximise", "counts", "NoneType", "expected Counts")),
    "counts of another emission": (
        lambda: maximise(P.hmm, expected_counts(*G)),
        ("maximise", "counts.emission", "GaussianSums", "expected"),
    ),
    "counts of another size": (
        lambda: maximise(hmm_init(RNG, 2, V), expected_counts(*P)),
        ("maximise", "counts.", "(3,", "expected (2,"),
    ),
    "restarts with a seed": (lambda: restart(rng=5), ("restarts", "rng", "is 5", "expected Generator")),
    "no restarts": (lambda: restart(n=0), ("restarts", "n", "is 0", SIZE)),
    "restarts of no model": (
        lambda: restart(init=lambda rng: None),
        ("restarts|baum_welch|expected_counts", "hmm", "NoneType", "expected HMM"),
    ),
    "restarts without a model": (lambda: restart(init=None), ("restarts", "init", "is None", "expected a function")),
    "restarts of no rounds": (lambda: restart(steps=0), ("baum_welch|restarts", "steps", "is 0", SIZE)),
    "labels of no states": (lambda: counted(n_states=0), ("from_labels", "n_states", "is 0", SIZE)),
    "labels of no symbols": (lambda: counted(n_symbols=0), ("from_labels", "n_symbols", "is 0", SIZE)),
    "unknown label": (
        lambda: counted(put(STATES, (1, 2), S)),
        ("from_labels", "states[1, 2]", "is 3", "expected integers in 0..2"),
    ),
    "negative label": (
        lambda: counted(put(STATES, (1, 2), -1)),
        ("from_labels", "states[1, 2]", "is -1", "expected integers in 0..2"),
    ),
    "labels as floats": (lambda: counted(STATES * 1.0), ("from_labels", "states", "float64", "array of integers")),
    "labels in a list": (
        lambda: counted(STATES.tolist()),
        ("from_labels", "states", "is a list", "expected ndarray"),
    ),
    "labels beside a list of lists of two lengths": (
        lambda: counted(xs=[[0, 1], [2]]),
        ("from_labels", "xs", "is a list", "expected ndarray"),
    ),
    "labels of one sequence": (lambda: counted(STATES[:, 0]), ("from_labels", "states", "(5,)", "expected (T, B)")),
    "labels of fewer steps": (lambda: counted(STATES[:4]), ("from_labels", "xs", "(5, 4)", "expected (4, 4)")),
    "unknown symbol beside labels": (
        lambda: counted(xs=put(P.xs, (0, 2), V)),
        ("from_labels", "xs[0, 2]", "is 6", "expected integers in 0..5"),
    ),
    "labels with a wrong mask": (
        lambda: counted(mask=MASK.T),
        ("from_labels", "mask", "(4, 5)", "expected (5, 4)"),
    ),
    "labels with a pseudo-count that leaves nothing": (
        lambda: counted(pseudo_count=1e308),
        ("from_labels", "pseudo_count", "is 1e+308", COUNT),
    ),
    "labels with a negative pseudo-count": (
        lambda: counted(pseudo_count=-0.1),
        ("from_labels", "pseudo_count", "is -0.1", COUNT),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    maximise(P.hmm, expected_counts(*P), 0)
    baum_welch(*P, steps=np.int64(2), tolerance=0, pseudo_count=np.float64(0.5))
    restart(n=1, steps=1)
    counted(mask=MASK, pseudo_count=1)
    gaussian_hmm_init(RNG, 13, G.xs, MASK)
