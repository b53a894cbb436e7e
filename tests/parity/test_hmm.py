"""Hidden Markov models against hmmlearn: likelihoods, posteriors, best paths and rounds of Baum-Welch.

hmmlearn is plain EM for a categorical emission. For a Gaussian one it adds 0.01 to every sum of squares, a prior of the
variances: `covars_prior=0` takes it away, and the other priors have no weight by default.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from hmmlearn.hmm import CategoricalHMM, GaussianHMM

from companion.baum_welch import baum_welch, expected_counts, maximise
from companion.bptt import prefix_mask
from companion.emissions import Categorical
from companion.hmm import HMM, log_likelihood, posterior, viterbi
from tests.contract.hmms import KINDS, V, left_to_right, problem, random_hmm, random_xs

T, B, S = 60, 7, 4
LENGTHS = np.array([60, 41, 1, 17, 60, 2, 33])
MASK = prefix_mask(LENGTHS, T)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def given(kind: str, rng: np.random.Generator) -> tuple[HMM, Any]:
    return random_hmm(kind, rng, n_states=S), random_xs(kind, rng, T, B)


def flat(xs: Any, mask: Any = MASK) -> tuple[Any, list[int]]:
    """The sequences of a batch one after the other, as hmmlearn takes them, and their lengths."""
    rows = np.swapaxes(xs, 0, 1)[mask.T]
    return rows.reshape(len(rows), -1), mask.sum(axis=0).tolist()


def theirs(hmm: HMM, rounds: int = 1) -> Any:
    settings: Any = {"n_components": len(hmm.start), "n_iter": rounds, "tol": -np.inf, "init_params": ""}
    if isinstance(hmm.emission, Categorical):
        model = CategoricalHMM(n_features=V, params="ste", **settings)
        model.emissionprob_ = hmm.emission.probabilities
    else:
        model = GaussianHMM(covars_prior=0, min_covar=0, params="stmc", **settings)
        model.means_, model.covars_ = hmm.emission
    model.startprob_, model.transmat_ = hmm.start, hmm.transition
    model.n_features = V if isinstance(hmm.emission, Categorical) else hmm.emission.means.shape[1]
    return model


def require_close(received: Any, expected: Any, rtol: float = 1e-8) -> None:
    np.testing.assert_allclose(received, expected, rtol=rtol, atol=1e-10)


@every_kind
def test_log_likelihood_agrees(given: Any) -> None:
    hmm, xs = given
    received = log_likelihood(hmm, xs, MASK)
    require_close(received.sum(), theirs(hmm).score(*flat(xs)))
    for b, length in enumerate(LENGTHS):
        require_close(received[b], theirs(hmm).score(flat(xs[:length, b : b + 1], MASK[:length, b : b + 1])[0]))


@every_kind
def test_posterior_agrees(given: Any) -> None:
    hmm, xs = given
    require_close(flat(posterior(hmm, xs, MASK))[0], theirs(hmm).predict_proba(*flat(xs)))


@every_kind
def test_the_best_path_and_its_probability_agree(given: Any) -> None:
    hmm, xs = given
    paths, log_probabilities = viterbi(hmm, xs, MASK)
    total, states = theirs(hmm).decode(*flat(xs))
    assert (flat(paths)[0][:, 0] == states).all()
    require_close(log_probabilities.sum(), total)


@every_kind
@pytest.mark.parametrize("rounds", [1, 6])
def test_rounds_of_baum_welch_agree(given: Any, rounds: int) -> None:
    hmm, xs = given
    learnt, totals = baum_welch(hmm, xs, MASK, steps=rounds, tolerance=0.0)
    model = theirs(hmm, rounds).fit(*flat(xs))
    require_close(totals[:-1], list(model.monitor_.history))
    require_same(learnt, model)


def require_same(hmm: HMM, model: Any) -> None:
    require_close(hmm.start, model.startprob_)
    require_close(hmm.transition, model.transmat_)
    if isinstance(hmm.emission, Categorical):
        require_close(hmm.emission.probabilities, model.emissionprob_)
        return
    require_close(hmm.emission.means, model.means_)
    # hmmlearn subtracts squares of means from means of squares, which costs it digits.
    require_close(hmm.emission.variances, np.diagonal(model.covars_, axis1=1, axis2=2), rtol=1e-7)


@every_kind
def test_a_left_to_right_model_agrees(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    p = left_to_right(problem(kind))
    sequences = flat(p.xs, p.mask)
    require_close(log_likelihood(*p).sum(), theirs(p.hmm).score(*sequences))
    require_close(flat(posterior(*p), p.mask)[0], theirs(p.hmm).predict_proba(*sequences))
    assert (flat(viterbi(*p)[0], p.mask)[0][:, 0] == theirs(p.hmm).predict(*sequences)).all()
    with caplog.at_level(logging.CRITICAL):
        require_same(maximise(p.hmm, expected_counts(*p)), theirs(p.hmm).fit(*sequences))


# --- the comparison finds wrong answers


@every_kind
def test_other_answers_do_not_agree(given: Any) -> None:
    hmm, xs = given
    model = theirs(hmm).fit(*flat(xs))
    wrong = [
        hmm,
        baum_welch(hmm, xs, steps=1)[0],
        baum_welch(hmm, xs, MASK, steps=1, pseudo_count=0.01)[0]._replace(emission=hmm.emission),
        baum_welch(hmm, xs, MASK, steps=2, tolerance=0.0)[0],
    ]
    for answer in wrong:
        with pytest.raises(AssertionError):
            require_same(answer, model)
    with pytest.raises(AssertionError):
        require_close(log_likelihood(hmm, xs, MASK).sum(), theirs(hmm).score(flat(xs)[0]))


def test_the_prior_of_hmmlearn_makes_a_difference(rng: np.random.Generator) -> None:
    """Without this, nobody would know whether covars_prior=0 is needed."""
    hmm, xs = random_hmm("Gaussian", rng, n_states=S), random_xs("Gaussian", rng, T, B)
    model = theirs(hmm).set_params(covars_prior=0.01).fit(*flat(xs))
    with pytest.raises(AssertionError):
        require_same(baum_welch(hmm, xs, MASK, steps=1)[0], model)
