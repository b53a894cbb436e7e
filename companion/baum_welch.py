"""Learning of hidden Markov models (chapter *Why model sequences*).

Baum-Welch (Baum et al. 1970; Rabiner 1989, eqs. 40a-40c) is the EM algorithm of `companion.hmm`. The E step counts with gamma
and xi of `companion.forward_backward`: expected visits, and expected transitions from t to t + 1. The M step normalises,

    pi = gamma^1          A(i, q) = sum_t xi^t(i, q) / sum_t,q xi^t(i, q)          E from gamma, see `companion.emissions`

summed over sequences. No round lowers the likelihood. With a pseudo-count k added to every count, no round lowers

    log p(x) + k sum log p                over all p in start, transition and a table of symbols (a Dirichlet prior)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Mask
from companion.emissions import Categorical, Sums, emission_sums, maximise_emission, require_sums
from companion.forward_backward import both_passes
from companion.hmm import HMM, accepted, over_time, require_hmm, require_possible
from companion.log_space import log
from companion.markov import normalised
from companion.tree import Array, Indices
from companion.validate import (
    PSEUDO_COUNT_LIMIT,
    require_counts,
    require_gradient,
    require_instance,
    require_kind,
    require_range,
    require_whole,
)


class Counts(NamedTuple):
    """Expected counts, summed over sequences: for a table the gradient of the log-likelihood by the log of its entries."""

    start: Array  # (S,)
    transition: Array  # (S, S)
    emission: Sums  # Categorical with counts (S, V), or GaussianSums
    log_likelihood: Array  # (B,)


def expected_counts(hmm: HMM, xs: Array | Indices, mask: Mask | None = None) -> Counts:
    """The E step. Raises ValueError for arguments that do not fit and for a sequence that the model cannot produce."""
    xs, mask = accepted("expected_counts", hmm, xs, mask)
    gammas, transitions, log_scales = both_passes(*hmm, xs, mask)
    require_possible("expected_counts", xs, log_scales)
    sums = emission_sums(hmm.emission, xs, gammas)
    return Counts(gammas[0].sum(axis=0), transitions, sums, over_time(log_scales))


def maximise(hmm: HMM, counts: Counts, pseudo_count: float = 0.0) -> HMM:
    """The M step: counts become rows. `pseudo_count` is added to start, transition and categorical counts.

    A state that was never left keeps its old row of A, one that was never visited its old emission. Raises ValueError unless
    the counts fit the model, are finite and not negative, and pseudo_count lies in [0, 1e30).
    """
    require_hmm("maximise", hmm)
    require_kind("maximise", "counts", counts, Counts)
    require_range("maximise", "pseudo_count", pseudo_count, 0, PSEUDO_COUNT_LIMIT)
    for name, array, like in (("start", counts.start, hmm.start), ("transition", counts.transition, hmm.transition)):
        require_gradient("maximise", f"counts.{name}", array, like, why=f"as hmm.{name}")
        require_counts("maximise", f"counts.{name}", array)
    require_sums("maximise", hmm.emission, counts.emission)
    pseudo_count = float(pseudo_count)
    return HMM(
        normalised(counts.start + pseudo_count, hmm.start),
        normalised(counts.transition + pseudo_count, hmm.transition),
        maximise_emission(hmm.emission, counts.emission, pseudo_count),
    )


def baum_welch(
    hmm: HMM,
    xs: Array | Indices,
    mask: Mask | None = None,
    steps: int = 100,
    tolerance: float = 1e-4,
    pseudo_count: float = 0.0,
) -> tuple[HMM, list[float]]:
    """Up to `steps` rounds of both steps, and the total log-likelihoods: first of the model given, last of the one returned.

    Stops when a round gains less than `tolerance` nats a symbol. With a pseudo_count, what is gained is the sum in the
    docstring above; the total log-likelihood, which is returned also then, may fall. Raises ValueError as `expected_counts`
    and `maximise` do.
    """
    require_whole("baum_welch", "steps", steps, 1)
    require_range("baum_welch", "tolerance", tolerance, 0, np.inf)
    require_range("baum_welch", "pseudo_count", pseudo_count, 0, PSEUDO_COUNT_LIMIT)
    counts = expected_counts(hmm, xs, mask)
    n = xs.shape[0] * xs.shape[1] if mask is None else int(mask.sum())
    totals = [float(counts.log_likelihood.sum())]
    climbed = totals[0] + _log_prior(hmm, pseudo_count)
    for _ in range(steps):
        hmm = maximise(hmm, counts, pseudo_count)
        counts = expected_counts(hmm, xs, mask)
        totals.append(float(counts.log_likelihood.sum()))
        before, climbed = climbed, totals[-1] + _log_prior(hmm, pseudo_count)
        if climbed - before < tolerance * n:  # not so if both are -inf, as when p is too small for a float
            break
    return hmm, totals


def _log_prior(hmm: HMM, pseudo_count: float) -> float:
    """Pseudo_count times the sum of the logs of all probabilities."""
    if not pseudo_count:
        return 0.0
    table = [hmm.emission.probabilities] if isinstance(hmm.emission, Categorical) else []
    return float(pseudo_count) * sum(float(log(p).sum(dtype=np.float64)) for p in (hmm.start, hmm.transition, *table))


def restarts(
    rng: np.random.Generator,
    init: Callable[[np.random.Generator], HMM],
    xs: Array | Indices,
    mask: Mask | None = None,
    n: int = 5,
    **settings: Any,
) -> tuple[HMM, list[float]]:
    """The best of n models, each from init(rng) by `baum_welch` with these settings, and the n final log-likelihoods.

    Raises ValueError unless init can be called and n is at least 1, and as `baum_welch` does.
    """
    require_instance("restarts", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    if not callable(init):
        raise ValueError(f"restarts: init is {init!r:.60}, expected a function that takes rng and returns an HMM")
    require_whole("restarts", "n", n, 1)
    runs = [baum_welch(init(rng), xs, mask, **settings) for _ in range(n)]
    finals = [totals[-1] for _, totals in runs]
    return runs[int(np.argmax(finals))][0], finals
