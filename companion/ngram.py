"""n-gram language models: what comes next, by counting what came next (chapter *Why model sequences*; review, section 1).

Only the n-1 symbols before x^t count. h stands for them, h' for h without its oldest symbol, and w for what follows.
In training, w followed h c(h, w) times, c(h) is the sum of that over w, and N(h) different symbols followed h:

    add-k          p(w | h) = (c(h, w) + k) / (c(h) + k V)
    Witten-Bell    p(w | h) = (c(h, w) + N(h) p(w | h')) / (c(h) + N(h))
    Kneser-Ney     p(w | h) = (max(c(h, w) - D, 0) + D N(h) p(w | h')) / c(h)

The last two go down to the empty h, below which p is 1/V; where h was never seen, p(w | h) is p(w | h'). Kneser-Ney counts
anew for every h shorter than n-1 symbols: c(h, w) is then the number of different symbols seen before h w. The second half
of a name follows one word only, so it is unlikely after any other word, however often the name is used.

Every sequence begins with n-1 start marks. Such a mark is symbol V in a context, and is never predicted.

Sources: Chen and Goodman 1999 (all three, with this interpolated form of Kneser-Ney), Witten and Bell 1991 (their method C),
Kneser and Ney 1995, Ney et al. 1994 (the estimate of D).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from companion.tree import Array, Indices
from companion.validate import (
    PSEUDO_COUNT_LIMIT,
    require_indices,
    require_instance,
    require_kind,
    require_range,
    require_shape,
    require_whole,
)

DISCOUNT = 0.75  # the usual D; also where none can be estimated, since nothing was counted exactly once


@dataclass(frozen=True)  # as named tuples, AddK(0.75) and KneserNey(0.75) would be equal
class AddK:
    """Every symbol as if seen k times more; k = 0 is maximum likelihood, with 1/V in a context that was never seen."""

    k: float = 1.0


@dataclass(frozen=True)
class WittenBell:
    """A symbol that is new after h is as likely as it was so far: N(h) times in c(h) + N(h)."""


@dataclass(frozen=True)
class KneserNey:
    """Take D from every count and give it to the shorter context.

    None estimates D = n_1 / (n_1 + 2 n_2) anew for every length of context, n_r being how many counts are r.
    """

    discount: float | None = DISCOUNT


Smoothing: TypeAlias = AddK | WittenBell | KneserNey
Sequences: TypeAlias = Indices | Sequence[Indices]


class Level(NamedTuple):
    """The counts of all contexts h of one length; see `_tables` for the keys."""

    contexts: Indices  # (C,) sorted keys of h
    totals: Indices  # (C,) c(h)
    kinds: Indices  # (C,) N(h)
    grams: Indices  # (G,) sorted keys of h w
    counts: Indices  # (G,) c(h, w)
    discount: float  # D, which Kneser-Ney alone uses


class NGram(NamedTuple):
    """A model of order n = len(levels)."""

    n_symbols: int  # V
    smoothing: Smoothing
    levels: tuple[Level, ...]  # for contexts of 0 ... n-1 symbols


def fit_ngram(sequences: Sequences, order: int, n_symbols: int, smoothing: Smoothing) -> NGram:
    """Count what follows every context of 0 ... order-1 symbols in a sequence (N,) of integers, or in a list of them.

    Raises ValueError unless order >= 1, every sequence holds symbols 0 ... n_symbols-1, at least one, k lies in
    [0, 1e30) and the discount in [0, 1].
    """
    require_whole("fit_ngram", "order", order, 1)
    require_whole("fit_ngram", "n_symbols", n_symbols, 1)
    _require_smoothing("fit_ngram", smoothing)
    V = int(n_symbols)
    symbols, before = _read("fit_ngram", "sequences", sequences, order, V)
    tables = list(_tables(symbols, before, V))
    levels = []
    for m, (contexts, context_of, grams, counts) in enumerate(tables, start=1):
        if isinstance(smoothing, KneserNey) and m < order:
            longer = tables[m][2]
            counts = np.bincount(longer // (V + 1))  # of strings that differ in their oldest symbol
        totals, kinds = np.bincount(context_of, counts).astype(np.int64), np.bincount(context_of)
        levels.append(Level(contexts, totals, kinds, grams, counts, _discount(smoothing, counts)))
    return NGram(V, smoothing, tuple(levels))


def probabilities(model: NGram, context: Sequence[int] | Indices = ()) -> Array:
    """(V,) the probability of every symbol after these; the last n-1 count, and fewer than that begin a sequence.

    Raises ValueError unless the context (any length, also 0) holds integers in 0 ... V-1.
    """
    require_kind("probabilities", "model", model, NGram)
    V, n_before = model.n_symbols, len(model.levels) - 1
    before = _context("probabilities", context, V)[::-1][:n_before]
    before = np.concatenate([before, np.full(n_before - len(before), V)])
    return _probabilities(model, np.arange(V), before[:, None])


def log_probabilities(model: NGram, ids: Sequences) -> Array:
    """(N,) log p(x^t | the n-1 symbols before), in nats; of several sequences, one after the other.

    It is -inf where the model excludes a symbol, as k = 0 and discount = 0 do. Raises ValueError as `fit_ngram` does.
    """
    require_kind("log_probabilities", "model", model, NGram)
    symbols, before = _read("log_probabilities", "ids", ids, len(model.levels), model.n_symbols)
    with np.errstate(divide="ignore"):
        logs: Array = np.log(_probabilities(model, symbols, before))
    return logs


def perplexity(model: NGram, ids: Sequences) -> float:
    """exp(-mean log p): among how many equally likely symbols the model would be as uncertain; inf if one is excluded."""
    return float(np.exp(-log_probabilities(model, ids).mean()))


def bits_per_symbol(model: NGram, ids: Sequences) -> float:
    """-mean log2 p, the logarithm of the perplexity; inf if a symbol is excluded."""
    return float(-log_probabilities(model, ids).mean() / np.log(2))


def sample_ngram(rng: np.random.Generator, model: NGram, length: int, context: Sequence[int] | Indices = ()) -> Indices:
    """Draw `length` symbols (length,), the first after this context, or at the start of a sequence without one.

    Raises ValueError unless length >= 1 and the context holds integers in 0 ... V-1.
    """
    require_instance("sample_ngram", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    require_kind("sample_ngram", "model", model, NGram)
    require_whole("sample_ngram", "length", length, 1)
    start = _context("sample_ngram", context, model.n_symbols)
    ids = np.concatenate([start, np.zeros(length, np.int64)])
    for t in range(len(start), len(ids)):
        recent = ids[max(0, t - len(model.levels) + 1) : t]
        ids[t] = rng.choice(model.n_symbols, p=probabilities(model, recent))
    return ids[len(start) :]


def table_size(model: NGram) -> tuple[int, int]:
    """How many contexts of n-1 symbols training has seen, and how many n-grams: the counts above 0.

    What a model of order n stores for its shorter contexts are the tables of orders 1 ... n-1.
    """
    require_kind("table_size", "model", model, NGram)
    return len(model.levels[-1].contexts), len(model.levels[-1].grams)


def _probabilities(model: NGram, symbols: Indices, before: Indices) -> Array:
    """p(w | h), from the empty h upward; before (n-1, N) or (n-1, 1), row j-1 the symbol j places before."""
    uniform = np.full(len(symbols), 1 / model.n_symbols)
    p: Array = uniform
    gram: Indices = np.zeros(1, np.int64)
    context: Indices = np.zeros(1, np.int64)
    for level, newer, older in zip(model.levels, (symbols, *before), (np.zeros(1, np.int64), *before)):
        gram = _find(level.grams, gram * (model.n_symbols + 1) + newer)
        context = _find(level.contexts, context * (model.n_symbols + 1) + older)
        c_hw = np.where(gram >= 0, level.counts[gram], 0)
        c_h, n_h, D = level.totals[context], level.kinds[context], level.discount
        match model.smoothing:
            case AddK(k):
                seen, unseen = (c_hw + k) / (c_h + float(k) * model.n_symbols), uniform
            case WittenBell():
                seen, unseen = (c_hw + n_h * p) / (c_h + n_h), p
            case KneserNey():
                seen, unseen = (np.maximum(c_hw - D, 0) + D * n_h * p) / c_h, p
        p = np.where(context >= 0, seen, unseen)
    return p


def _tables(symbols: Indices, before: Indices, V: int) -> Iterator[tuple[Indices, ...]]:
    """For every length of h, from the empty one: sorted keys of all h, the h of each h w, sorted keys of all h w, c(h, w).

    A string is numbered from its newest symbol on: its key is the number of the string without its oldest symbol, times
    V+1, plus that symbol. Its own number is the place of the key. Numbers stay below N, so that no key can overflow,
    however long the string.
    """
    gram, context = np.zeros_like(symbols), np.zeros_like(symbols)
    for newer, older in zip((symbols, *before), (np.zeros_like(symbols), *before)):
        grams, gram, counts = np.unique(gram * (V + 1) + newer, return_inverse=True, return_counts=True)
        contexts, context = np.unique(context * (V + 1) + older, return_inverse=True)
        context_of = np.zeros_like(grams)
        context_of[gram] = context
        yield contexts, context_of, grams, counts


def _find(keys: Indices, wanted: Indices) -> Indices:
    """The place of each wanted key, or -1: a longer string that begins with a -1 has a negative key, and is not found."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _read(function: str, name: str, sequences: Sequences, order: int, V: int) -> tuple[Indices, Indices]:
    """All symbols (N,), and those before them (n-1, N): row j-1 the symbol j places before, or the start mark V."""
    many = isinstance(sequences, list | tuple)
    if many and not sequences:
        raise ValueError(f"{function}: {name} is empty, expected at least one sequence")
    marks, parts = np.full(order - 1, V), []
    for k, sequence in enumerate(sequences if many else [sequences]):
        label = f"{name}[{k}]" if many else name
        require_indices(function, label, sequence, V)
        require_shape(function, label, sequence, "N")
        parts += [marks, sequence.astype(np.int64)]
    joined = np.concatenate(parts)
    at = np.flatnonzero(joined < V)
    return joined[at], joined[at - np.arange(1, order)[:, None]]


def _context(function: str, context: Sequence[int] | Indices, V: int) -> Indices:
    try:
        ids = np.asarray(context)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{function}: context is {context!r:.60}, expected (N,) integers in 0..{V - 1}") from None
    if ids.shape == (0,):
        return np.zeros(0, np.int64)
    require_indices(function, "context", ids, V)
    require_shape(function, "context", ids, "N")
    return ids.astype(np.int64)


def _require_smoothing(function: str, smoothing: Smoothing) -> None:
    match smoothing:
        case AddK(k):
            require_range(function, "smoothing.k", k, 0, PSEUDO_COUNT_LIMIT)
        case KneserNey(discount):
            if discount is not None:
                require_range(function, "smoothing.discount", discount, 0, 1, "[]")
        case WittenBell():
            pass
        case _:
            raise ValueError(f"{function}: smoothing is {smoothing!r:.60}, expected AddK, WittenBell or KneserNey")


def _discount(smoothing: Smoothing, counts: Indices) -> float:
    """D of one level; 0 for another smoothing."""
    if not isinstance(smoothing, KneserNey):
        return 0.0
    if smoothing.discount is not None:
        return float(smoothing.discount)
    once, twice = int(np.sum(counts == 1)), int(np.sum(counts == 2))
    return once / (once + 2 * twice) if once else DISCOUNT
