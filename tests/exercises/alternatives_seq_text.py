"""Right answers of other designs to the exercises on text, parity and counters of *Why model sequences*."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

from companion import markov, ngram

# --- texts


def perplexity_by_powers_of_two(p: Any, lengths: Any) -> Any:
    bits = -np.log2(p)
    return [2 ** bits.mean(), np.average(bits / lengths, weights=lengths)]


def perplexity_word_by_word(p: Any, lengths: Any) -> Any:
    nats = characters = 0.0
    for probability, length in zip(p, lengths):
        nats -= math.log(probability)
        characters += length
    return math.exp(nats / len(p)), nats / (characters * math.log(2))


def perplexity_by_roots(p: Any, lengths: Any) -> Any:
    ppl = np.prod(p ** (-1 / len(p)))
    return ppl, np.log2(ppl) * len(p) / lengths.sum()


def add_k_pair_by_pair(ids: Any, V: int, k: float) -> Any:
    table = [[k] * V for _ in range(V)]
    for before, after in pairwise(ids):
        table[before][after] += 1
    return np.array([[count / sum(row) for count in row] for row in table])


def add_k_by_one_hot(ids: Any, V: int, k: float) -> Any:
    hot = np.eye(V)[ids]
    counts = hot[:-1].T @ hot[1:] + k
    return counts / (counts @ np.ones((V, V)))


def add_k_with_companion(ids: Any, V: int, k: float) -> Any:
    model = ngram.fit_ngram(ids, 2, V, ngram.AddK(k))
    return np.stack([ngram.probabilities(model, [v]) for v in range(V)])


def add_k_by_markov(ids: Any, V: int, k: float) -> Any:
    return markov.fit_chain(ids[:, None], V, pseudo_count=k).transition


def kneser_ney_with_companion(ids: Any, V: int, discount: float) -> Any:
    model = ngram.fit_ngram(ids, 2, V, ngram.KneserNey(discount))
    return np.stack([ngram.probabilities(model, [v]) for v in range(V)])


def kneser_ney_with_sets(ids: Any, V: int, discount: float) -> Any:
    text = [int(symbol) for symbol in ids]
    pairs = Counter(zip(["<start>", *text], text))
    neighbours = [len({before for before, after in pairs if after == w}) for w in range(V)]
    used = sum(n > 0 for n in neighbours)
    lower = [(max(n - discount, 0) + discount * used / V) / sum(neighbours) for n in neighbours]
    p = np.empty((V, V))
    for v in range(V):
        row = {w: count for (before, w), count in pairs.items() if before == v}
        for w in range(V):
            share = discount * len(row) * lower[w]
            p[v, w] = (max(row.get(w, 0) - discount, 0) + share) / sum(row.values()) if row else lower[w]
    return p


def repaired_by_what_is_missing(ids: Any, V: int, discount: float) -> Any:
    counts = np.zeros((V, V))
    for before, after in pairwise(ids):
        counts[before, after] += 1
    unigram = (np.bincount(ids, minlength=V) + 1) / (len(ids) + V)
    kept = np.where(counts > 0, counts - discount, 0) / np.maximum(counts.sum(axis=1), 1)[:, None]
    return kept + (1 - kept.sum(axis=1))[:, None] * unigram


def repaired_row_by_row(ids: Any, V: int, discount: float) -> Any:
    unigram = np.array([1 + (ids == w).sum() for w in range(V)]) / (len(ids) + V)
    rows = []
    for v in range(V):
        after = np.bincount(ids[1:][ids[:-1] == v], minlength=V)
        kinds, total = np.count_nonzero(after), after.sum()
        rows.append((np.clip(after - discount, 0, None) + discount * kinds * unigram) / total if total else unigram)
    return np.stack(rows)


# --- models by hand


def parity_with_states_in_another_order() -> Any:
    pairs = [(1, 1), (0, 1), (1, 0), (0, 0)]
    start = [0.5, 0, 0, 0.5]
    transition = [[0.5 * (y_next == (x_next + y) % 2) for x_next, y_next in pairs] for _, y in pairs]
    emission = np.zeros((4, 4))
    for state, (x, y) in enumerate(pairs):
        emission[state, 2 * x + y] = 1
    return start, transition, emission


PARITY_LISTED = (
    np.array([0.5, 0, 0, 0.5]),
    np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]]) / 2,
    np.eye(4, dtype=int),
)


def brackets_with_the_error_first() -> Any:
    W_h = np.array([[4, -3, -3], [0, 0.5, 0.5], [0, 2, 2]])
    return W_h, np.array([[0, 1], [1, 0], [0, 1]]), np.array([0, -0.5, -2]), np.array([-9, -3, -3]), 0.4


def brackets_by_quarters() -> Any:
    """An a takes the counter to c/4 + 3/4; one unit more, which says that something was read, is of no use."""
    W_h = [[0.25, 0.25, 0, 0], [4, 4, 0, 0], [-2, -2, 3, 0], [0, 0, 0, 1]]
    W_x = [[1, 0], [0, 1], [0, 1], [1, 1]]
    return W_h, W_x, [-0.25, -4, 0, 0], [-2, -2, -2, 0], 1


ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "seq.window": (0.82, np.float64(0.82), lambda: (1 + 0.8**2) / 2, 1 - 2 * 0.9 * 0.1),
    "seq.latch": (
        (1, 1, -2, 0),
        [10, 3, -20.5, -1],
        np.array([2.0, 0.5, -3.0, -0.25]),
        lambda: (1.0, 1.0, -1.5, -0.5),
    ),
    "seq.perplexity": (perplexity_by_powers_of_two, perplexity_word_by_word, perplexity_by_roots),
    "seq.table_size": (27**3 - 1, np.int64(19682), lambda: 26 * sum(27**n for n in range(3)), 19682.0),
    "seq.add_k": (add_k_pair_by_pair, add_k_by_one_hot, add_k_with_companion, add_k_by_markov),
    "seq.kneser_ney": (kneser_ney_with_companion, kneser_ney_with_sets),
    "seq.hunt_smoothing": (repaired_by_what_is_missing, repaired_row_by_row),
    "seq.parity_hmm": (parity_with_states_in_another_order, PARITY_LISTED),
    "seq.counter": (brackets_with_the_error_first, brackets_by_quarters),
}
