"""Hidden Markov models, observations and settings that do not fit: what is refused, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion.baum_welch import baum_welch, expected_counts, maximise
from companion.emissions import Categorical
from companion.hmm import (
    HMM,
    backward,
    forward,
    log_likelihood,
    posterior,
    sample,
    viterbi,
)
from companion.tree import tree_map
from tests.contract.hmms import MASK, B, Problem, S, T, V, problem, put
from tests.contract.refusals import FINITE, Parts, float32, require_message, with_nan

P, G = problem("categorical"), problem("Gaussian")
RNG = np.random.default_rng(6)
SUM = "expected probabilities that sum to 1"
POSITIVE = "expected variances above 0"
OF_BATCHES = (forward, backward, log_likelihood, posterior, viterbi, expected_counts, baum_welch)


def with_hmm(p: Problem, **changed: Any) -> Problem:
    return p._replace(hmm=p.hmm._replace(**changed))


def with_emission(p: Problem, **changed: Any) -> Problem:
    return with_hmm(p, emission=p.hmm.emission._replace(**changed))


TABLE, A = P.hmm.emission.probabilities, P.hmm.transition
MEANS, VARIANCES = G.hmm.emission

# A problem in which one thing is wrong; argument, what was received, what was expected.
WRONG_MODELS: dict[str, tuple[Problem, tuple[str, str, str]]] = {
    "no model": (P._replace(hmm=None), ("hmm", "NoneType", "expected HMM")),
    "a tuple for a model": (P._replace(hmm=tuple(P.hmm)), ("hmm", "is a tuple", "expected HMM")),
    "start that sums to more": (with_hmm(P, start=P.hmm.start * 1.25), ("hmm.start", "sums to 1.25", SUM)),
    "row 1 of the transition sums to less": (
        with_hmm(P, transition=put(A, 1, A[1] * 0.75)),
        ("hmm.transition[1]", "sums to 0.75", SUM),
    ),
    "columns for rows": (with_hmm(P, transition=A.T), ("hmm.transition[0]", "sums to", SUM)),
    "row 2 of the emission sums to more": (
        with_emission(P, probabilities=put(TABLE, 2, TABLE[2] * 1.5)),
        ("hmm.emission.probabilities[2]", "sums to 1.5", SUM),
    ),
    "a row of zeros": (with_hmm(P, transition=put(A, 2, 0.0)), ("hmm.transition[2]", "sums to 0", SUM)),
    "negative probability in a row that sums to 1": (
        with_hmm(P, transition=put(A, 1, [-0.5, 1.0, 0.5])),
        ("hmm.transition[1, 0]", "is -0.5", "expected probabilities of at least 0"),
    ),
    "negative start": (
        with_hmm(P, start=np.array([1.5, -0.25, -0.25])),
        ("hmm.start[1]", "is -0.25", "expected probabilities of at least 0"),
    ),
    "NaN in the transition": (
        with_hmm(P, transition=with_nan(A)),
        ("hmm.transition", "the first at [0, 2] (nan)", FINITE),
    ),
    "NaN in the start": (with_hmm(P, start=with_nan(P.hmm.start, (1,))), ("hmm.start", "at [1] (nan)", FINITE)),
    "NaN in the emission": (
        with_emission(P, probabilities=with_nan(TABLE)),
        ("hmm.emission.probabilities", "the first at [0, 2] (nan)", FINITE),
    ),
    "infinity in the emission": (
        with_emission(P, probabilities=put(TABLE, (1, 2), np.inf)),
        ("hmm.emission.probabilities", "the first at [1, 2] (inf)", FINITE),
    ),
    "two starts for three states": (
        with_hmm(P, start=np.array([0.5, 0.5])),
        ("hmm.transition", "(3, 3)", "expected (2, 2) from hmm.start"),
    ),
    "start in a row": (with_hmm(P, start=P.hmm.start[None]), ("hmm.start", "(1, 3)", "expected (S,)")),
    "no states": (
        Problem(HMM(np.ones(0), np.ones((0, 0)), Categorical(np.ones((0, V)))), P.xs, None),
        ("hmm.start", "(0,)", "no empty axis"),
    ),
    "transition of two rows": (with_hmm(P, transition=A[:2]), ("hmm.transition", "(2, 3)", "expected (3, 3)")),
    "emission of two rows": (
        with_emission(P, probabilities=TABLE[:2]),
        ("hmm.emission.probabilities", "(2, 6)", "expected (3, V)"),
    ),
    "emission of one axis": (
        with_emission(P, probabilities=TABLE[0]),
        ("hmm.emission.probabilities", "(6,)", "expected (3, V)"),
    ),
    "start in a list": (with_hmm(P, start=P.hmm.start.tolist()), ("hmm.start", "is a list", "NumPy array of floating")),
    "counts for probabilities": (
        with_hmm(P, transition=np.eye(S, dtype=int)),
        ("hmm.transition", "int64", "expected float64"),
    ),
    "float32 transition": (with_hmm(P, transition=float32(A)), ("hmm.transition", "float32", "expected float64")),
    "float32 emission": (
        with_hmm(P, emission=float32(P.hmm.emission)),
        ("hmm.emission.probabilities", "float32", "expected float64"),
    ),
    "a table for an emission": (
        with_hmm(P, emission=TABLE),
        ("hmm.emission", "ndarray", "expected Categorical or Gaussian"),
    ),
    "variance of zero": (
        with_emission(G, variances=put(VARIANCES, (1, 0), 0.0)),
        ("hmm.emission.variances[1, 0]", "is 0.0", POSITIVE),
    ),
    "negative variance": (
        with_emission(G, variances=put(VARIANCES, (2, 1), -0.5)),
        ("hmm.emission.variances[2, 1]", "is -0.5", POSITIVE),
    ),
    "NaN in the variances": (
        with_emission(G, variances=with_nan(VARIANCES, (2, 1))),
        ("hmm.emission.variances", "the first at [2, 1] (nan)", FINITE),
    ),
    "infinite variance": (
        with_emission(G, variances=put(VARIANCES, (2, 1), np.inf)),
        ("hmm.emission.variances", "the first at [2, 1] (inf)", FINITE),
    ),
    "NaN in the means": (
        with_emission(G, means=with_nan(MEANS, (2, 1))),
        ("hmm.emission.means", "the first at [2, 1] (nan)", FINITE),
    ),
    "one variance a state": (
        with_emission(G, variances=VARIANCES[:, :1]),
        ("hmm.emission.variances", "(3, 1)", "expected (3, 2)"),
    ),
    "means of two states": (with_emission(G, means=MEANS[:2]), ("hmm.emission.means", "(2, 2)", "expected (3, D)")),
    "float32 variances": (
        with_emission(G, variances=float32(VARIANCES)),
        ("hmm.emission.variances", "float32", "expected float64"),
    ),
}
WRONG_BATCHES: dict[str, tuple[Problem, tuple[str, str, str]]] = {
    "unknown symbol": (P._replace(xs=put(P.xs, (2, 0), V)), ("xs[2, 0]", "is 6", "expected integers in 0..5")),
    "negative symbol": (P._replace(xs=put(P.xs, (1, 3), -1)), ("xs[1, 3]", "is -1", "expected integers in 0..5")),
    "symbols as floats": (P._replace(xs=P.xs.astype(float)), ("xs", "float64", "expected a NumPy array of integers")),
    "symbols as truths": (P._replace(xs=P.xs > 2), ("xs", "bool", "expected a NumPy array of integers")),
    "symbols in a list": (P._replace(xs=P.xs.tolist()), ("xs", "list", "expected")),
    "no xs": (P._replace(xs=None, mask=None), ("xs", "None", "expected")),
    "one sequence": (P._replace(xs=P.xs[:, 0], mask=None), ("xs", "(5,)", "expected (T, B)")),
    "no steps": (P._replace(xs=P.xs[:0], mask=None), ("xs", "(0, 4)", "no empty axis")),
    "no sequences": (P._replace(xs=P.xs[:, :0], mask=None), ("xs", "(5, 0)", "no empty axis")),
    "one-hot symbols": (P._replace(xs=np.eye(V, dtype=int)[P.xs]), ("xs", "(5, 4, 6)", "expected (T, B)")),
    "numbers for a table": (P._replace(xs=G.xs), ("xs", "", "expected")),
    "symbols for a Gaussian": (G._replace(xs=P.xs), ("xs", "", "expected")),
    "numbers of another width": (G._replace(xs=G.xs[..., :1]), ("xs", "(5, 4, 1)", "expected (T, B, 2)")),
    "numbers of no width": (G._replace(xs=G.xs[..., 0]), ("xs", "(5, 4)", "expected (T, B, 2)")),
    "NaN in xs": (G._replace(xs=with_nan(G.xs, (3, 0, 1))), ("xs", "the first at [3, 0, 1] (nan)", FINITE)),
    "infinity in xs": (G._replace(xs=put(G.xs, (0, 2, 1), -np.inf)), ("xs", "at [0, 2, 1] (-inf)", FINITE)),
    "float32 xs": (G._replace(xs=float32(G.xs)), ("xs", "float32", "expected float64")),
    "float32 model": (G._replace(hmm=tree_map(float32, G.hmm)), ("xs", "float64", "expected float32")),
    "mask of integers": (P._replace(mask=MASK.astype(int)), ("mask", "int64", "expected bool")),
    "mask in a list": (P._replace(mask=MASK.tolist()), ("mask", "list", "expected a NumPy array of bool")),
    "mask batch first": (P._replace(mask=MASK.T), ("mask", "(4, 5)", "expected (5, 4)")),
    "mask of fewer steps": (G._replace(mask=MASK[:4]), ("mask", "(4, 4)", "expected (5, 4)")),
    "mask with a hole": (P._replace(mask=put(MASK, (4, 1), True)), ("mask[4, 1]", "True after False", "a prefix")),
    "a sequence of padding": (
        P._replace(mask=put(MASK, np.s_[:, 2], False)),
        ("mask[:, 2]", "is empty", "expected True"),
    ),
}


def named(function: Callable[..., Any], parts: tuple[str, str, str]) -> Parts:
    """Of baum_welch, the E step may speak."""
    return ("baum_welch|expected_counts" if function is baum_welch else function.__name__, *parts)


@pytest.mark.parametrize("name", [*WRONG_MODELS, *WRONG_BATCHES])
@pytest.mark.parametrize("function", OF_BATCHES, ids=lambda f: f.__name__)
def test_what_does_not_fit_is_refused_by_every_function(function: Any, name: str) -> None:
    p, parts = (WRONG_MODELS | WRONG_BATCHES)[name]
    require_message(lambda: function(*p), named(function, parts))


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_a_wrong_model_is_refused_by_sample_and_maximise(name: str) -> None:
    (hmm, _, _), parts = WRONG_MODELS[name]
    counts = expected_counts(*(G if "varianc" in name or "means" in name else P))
    require_message(lambda: sample(RNG, hmm, T, B), ("sample", *parts))
    require_message(lambda: maximise(hmm, counts), ("maximise", *parts))


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The tables above would also be satisfied by functions that refuse everything."""
    for p in (P, G, P._replace(mask=None), P._replace(xs=put(P.xs, ~MASK, -1)), P._replace(xs=P.xs.astype(np.uint8))):
        for function in OF_BATCHES:
            function(*p)
    nearly = with_hmm(P, transition=A * (1 + 1e-10))
    log_likelihood(*nearly)
    log_likelihood(*with_hmm(P, start=np.array([0.333333333, 0.333333333, 0.333333334])))
