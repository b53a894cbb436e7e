"""Learning of hidden Markov models (chapter *Why model sequences*).

Baum-Welch (Baum et al. 1970; Rabiner 1989, eqs. 40a-40c), the EM algorithm of `companion.hmm`; scaled by c^t,

    xi^t(p, q) = alpha^t(p) A(p, q) E(q, x^(t+1)) beta^(t+1)(q) / c^(t+1)    expected transitions from t to t + 1
    gamma^t(q) = alpha^t(q) beta^t(q)                                         expected visits

each round sets pi = gamma^1, A(p, q) = sum_t xi^t(p, q) / sum_t,q xi^t(p, q), and E from gamma (`companion.emissions`), summed
over sequences. No round lowers the likelihood.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Mask, require_mask
from companion.emissions import Categorical, GaussianSums, Sums, emission_sums, maximise_emission, normalised
from companion.forward_backward import both_passes
from companion.hmm import HMM, accepted, over_time, require_hmm, require_possible
from companion.tree import Array, Indices
from companion.validate import (
    require_gradient,
    require_indices,
    require_instance,
    require_kind,
    require_range,
    require_shape,
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

    A state that was never left keeps its old row of A, one that was never visited its old emission.
    """
    require_hmm("maximise", hmm)
    require_kind("maximise", "counts", counts, Counts)
    require_range("maximise", "pseudo_count", pseudo_count, 0, np.inf)
    sums, pseudo_count = counts.emission, float(pseudo_count)
    kind = Categorical if isinstance(hmm.emission, Categorical) else GaussianSums
    require_kind("maximise", "counts.emission", sums, kind)
    require_gradient("maximise", "counts.start", counts.start, hmm.start, why="as hmm.start")
    require_gradient("maximise", "counts.transition", counts.transition, hmm.transition, why="as hmm.transition")
    for name, array in sums._asdict().items():
        like = hmm.start if name == "weights" else hmm.emission[0]
        require_gradient("maximise", f"counts.emission.{name}", array, like, why="as hmm.emission")
    return HMM(
        normalised(counts.start + pseudo_count, hmm.start),
        normalised(counts.transition + pseudo_count, hmm.transition),
        maximise_emission(hmm.emission, sums, pseudo_count),
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

    Stops when a round gains less than `tolerance` nats a symbol.
    """
    require_whole("baum_welch", "steps", steps, 1)
    require_range("baum_welch", "tolerance", tolerance, 0, np.inf)
    require_range("baum_welch", "pseudo_count", pseudo_count, 0, np.inf)
    counts = expected_counts(hmm, xs, mask)
    totals, n = [float(counts.log_likelihood.sum())], xs.shape[0] * xs.shape[1] if mask is None else int(mask.sum())
    for _ in range(steps):
        hmm = maximise(hmm, counts, pseudo_count)
        counts = expected_counts(hmm, xs, mask)
        totals.append(float(counts.log_likelihood.sum()))
        if totals[-1] - totals[-2] < tolerance * n:
            break
    return hmm, totals


def restarts(
    rng: np.random.Generator,
    init: Callable[[np.random.Generator], HMM],
    xs: Array | Indices,
    mask: Mask | None = None,
    n: int = 5,
    **settings: Any,
) -> tuple[HMM, list[float]]:
    """The best of n models, each from init(rng) by `baum_welch` with these settings, and the n final log-likelihoods."""
    require_instance("restarts", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    require_whole("restarts", "n", n, 1)
    runs = [baum_welch(init(rng), xs, mask, **settings) for _ in range(n)]
    finals = [totals[-1] for _, totals in runs]
    return runs[int(np.argmax(finals))][0], finals


def from_labels(
    states: Indices,
    xs: Indices,
    n_states: int,
    n_symbols: int,
    mask: Mask | None = None,
    pseudo_count: float = 0.0,
) -> HMM:
    """The model by counting, when states (T, B) are known beside the symbols xs (T, B). A row without counts is uniform."""
    require_whole("from_labels", "n_states", n_states, 1)
    require_whole("from_labels", "n_symbols", n_symbols, 1)
    require_range("from_labels", "pseudo_count", pseudo_count, 0, np.inf)
    for name, array in (("states", states), ("xs", xs)):
        require_instance("from_labels", name, array, np.ndarray, "of integers (T, B)")
    require_shape("from_labels", "states", states, "T", "B")
    require_shape("from_labels", "xs", xs, *states.shape, why="as states")
    if mask is None:
        mask = np.ones(states.shape, bool)
    require_mask("from_labels", mask, *states.shape)
    require_indices("from_labels", "states", np.where(mask, states, np.zeros_like(states)), n_states)
    require_indices("from_labels", "xs", np.where(mask, xs, np.zeros_like(xs)), n_symbols)
    start, transition, emission = (
        np.full(shape, float(pseudo_count)) for shape in (n_states, (n_states,) * 2, (n_states, n_symbols))
    )
    np.add.at(start, states[0], 1)
    np.add.at(transition, (states[:-1][mask[1:]], states[1:][mask[1:]]), 1)
    np.add.at(emission, (states[mask], xs[mask]), 1)
    start, transition, emission = (
        normalised(n, np.full_like(n, 1 / n.shape[-1])) for n in (start, transition, emission)
    )
    return HMM(start, transition, Categorical(emission))
