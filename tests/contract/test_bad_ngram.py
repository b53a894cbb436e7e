"""What n-gram models and Markov chains refuse, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.markov import MarkovChain, chain_log_likelihood, fit_chain, sample_chain, stationary
from companion.ngram import (
    AddK,
    KneserNey,
    WittenBell,
    bits_per_symbol,
    fit_ngram,
    log_probabilities,
    perplexity,
    probabilities,
    sample_ngram,
    table_size,
)
from tests.contract.refusals import Cases, require_message

IDS = np.array([0, 1, 2, 0, 1, 1])
MODEL = fit_ngram(IDS, 3, 3, WittenBell())
XS = np.array([[0, 1], [2, 1], [1, 0]])  # (T, B)
CHAIN = MarkovChain(np.array([0.5, 0.25, 0.25]), np.array([[0, 1, 0], [0.5, 0, 0.5], [0.25, 0.25, 0.5]]))
RNG = np.random.default_rng(0)
AT_LEAST_1 = "expected a whole number of at least 1"
SYMBOLS = "expected integers in 0..2"
INTEGERS = "expected a NumPy array of integers in 0..2"
SUM = "expected probabilities that sum to 1"


def fit(ids: Any = IDS, order: Any = 3, n_symbols: Any = 3, smoothing: Any = MODEL.smoothing) -> Any:
    return fit_ngram(ids, order, n_symbols, smoothing)


def row(k: int, *values: float) -> MarkovChain:
    """A chain with another row k."""
    transition = CHAIN.transition.copy()
    transition[k] = values
    return CHAIN._replace(transition=transition)


CASES: Cases = {
    "order 0": (lambda: fit(order=0), ("fit_ngram", "order", "is 0", AT_LEAST_1)),
    "fractional order": (lambda: fit(order=2.0), ("fit_ngram", "order", "is 2.0", AT_LEAST_1)),
    "order True": (lambda: fit(order=True), ("fit_ngram", "order", "is True", AT_LEAST_1)),
    "no symbols": (lambda: fit(n_symbols=0), ("fit_ngram", "n_symbols", "is 0", AT_LEAST_1)),
    "unseen symbol in training": (lambda: fit(n_symbols=2), ("fit_ngram", "sequences[2] is 2", "", "integers in 0..1")),
    "negative symbol": (lambda: fit(IDS - 1), ("fit_ngram", "sequences[0] is -1", "", SYMBOLS)),
    "symbol in a later sequence": (
        lambda: fit([IDS, IDS + 1]),
        ("fit_ngram", "sequences[1][2] is 3", "", SYMBOLS),
    ),
    "floats": (lambda: fit(IDS * 1.0), ("fit_ngram", "sequences", "dtype float64", INTEGERS)),
    "truth values": (lambda: fit(IDS > 0), ("fit_ngram", "sequences", "dtype bool", INTEGERS)),
    "a list of numbers": (lambda: fit([0, 1, 2]), ("fit_ngram", "sequences[0]", "is a int", INTEGERS)),
    "a text": (lambda: fit("abc"), ("fit_ngram", "sequences", "is a str", INTEGERS)),
    "a table": (lambda: fit(IDS.reshape(2, 3)), ("fit_ngram", "sequences", "(2, 3)", "expected (N,)")),
    "a number": (lambda: fit(np.array(1)), ("fit_ngram", "sequences", "()", "expected (N,)")),
    "no sequences": (lambda: fit([]), ("fit_ngram", "sequences", "is empty", "expected at least one sequence")),
    "an empty text": (lambda: fit(IDS[:0]), ("fit_ngram", "sequences", "(0,)", "expected at least one integer")),
    "an empty sequence": (lambda: fit([IDS, IDS[:0]]), ("fit_ngram", "sequences[1]", "(0,)", "expected at least one")),
    "negative k": (
        lambda: fit(smoothing=AddK(-0.1)),
        ("fit_ngram", "smoothing.k", "is -0.1", "expected a number in [0"),
    ),
    "k not a number": (
        lambda: fit(smoothing=AddK(np.nan)),
        ("fit_ngram", "smoothing.k", "is nan", "expected a number"),
    ),
    "infinite k": (lambda: fit(smoothing=AddK(np.inf)), ("fit_ngram", "smoothing.k", "is inf", "expected a number")),
    "k that leaves nothing": (
        lambda: fit(smoothing=AddK(1e30)),
        ("fit_ngram", "smoothing.k", "is 1e+30", "expected a number in [0, 1e+30)"),
    ),
    "k in words": (lambda: fit(smoothing=AddK("1")), ("fit_ngram", "smoothing.k", "'1'", "expected a number")),
    "discount above 1": (
        lambda: fit(smoothing=KneserNey(1.5)),
        ("fit_ngram", "smoothing.discount", "is 1.5", "expected a number in [0, 1]"),
    ),
    "negative discount": (
        lambda: fit(smoothing=KneserNey(-0.5)),
        ("fit_ngram", "smoothing.discount", "is -0.5", "expected a number in [0, 1]"),
    ),
    "smoothing by name": (
        lambda: fit(smoothing="kneser-ney"),
        ("fit_ngram", "smoothing", "'kneser-ney'", "expected AddK, WittenBell or KneserNey"),
    ),
    "smoothing without its brackets": (
        lambda: fit(smoothing=WittenBell),
        ("fit_ngram", "smoothing", "WittenBell", "expected AddK, WittenBell or KneserNey"),
    ),
    "unseen symbol": (lambda: log_probabilities(MODEL, IDS + 1), ("log_probabilities", "ids[2] is 3", "", SYMBOLS)),
    "unseen symbol in a list": (
        lambda: perplexity(MODEL, [IDS, IDS + 1]),
        ("log_probabilities", "ids[1][2] is 3", "", SYMBOLS),
    ),
    "nothing to score": (
        lambda: bits_per_symbol(MODEL, IDS[:0]),
        ("log_probabilities", "ids", "(0,)", "expected at least one integer"),
    ),
    "model and text changed places": (
        lambda: log_probabilities(IDS, MODEL),
        ("log_probabilities", "model", "is a ndarray", "expected NGram"),
    ),
    "context out of range": (lambda: probabilities(MODEL, [0, 3]), ("probabilities", "context[1] is 3", "", SYMBOLS)),
    "start mark in a context, even where it does not count": (
        lambda: probabilities(MODEL, [3, 1, 0, 0]),
        ("probabilities", "context[0] is 3", "", SYMBOLS),
    ),
    "context of floats": (lambda: probabilities(MODEL, [0.0]), ("probabilities", "context", "float64", INTEGERS)),
    "two contexts": (lambda: probabilities(MODEL, XS), ("probabilities", "context", "(3, 2)", "expected (N,)")),
    "contexts of two lengths": (
        lambda: probabilities(MODEL, [[0], [1, 2]]),
        ("probabilities", "context", "is [[0], [1, 2]]", "expected (N,) integers in 0..2"),
    ),
    "no model": (lambda: table_size(None), ("table_size", "model", "is a NoneType", "expected NGram")),
    "negative context": (
        lambda: sample_ngram(RNG, MODEL, 5, np.array([-1])),
        ("sample_ngram", "context[0] is -1", "", SYMBOLS),
    ),
    "sample of length 0": (lambda: sample_ngram(RNG, MODEL, 0), ("sample_ngram", "length", "is 0", AT_LEAST_1)),
    "seed for a generator": (
        lambda: sample_ngram(3, MODEL, 5),
        ("sample_ngram", "rng", "is 3", "expected Generator"),
    ),
    "chain: unseen symbol": (lambda: fit_chain(XS, 2), ("fit_chain", "xs[1, 0] is 2", "", "expected integers in 0..1")),
    "chain: one sequence without its axis": (lambda: fit_chain(IDS, 3), ("fit_chain", "xs", "(6,)", "expected (T, B)")),
    "chain: no sequence": (lambda: fit_chain(XS[:0], 3), ("fit_chain", "xs", "(0, 2)", "expected (T, B) and no empty")),
    "chain: floats": (lambda: fit_chain(XS * 1.0, 3), ("fit_chain", "xs", "dtype float64", INTEGERS)),
    "chain: truth values": (lambda: fit_chain(XS > 0, 3), ("fit_chain", "xs", "dtype bool", INTEGERS)),
    "chain: lists": (lambda: fit_chain(XS.tolist(), 3), ("fit_chain", "xs", "is a list", "expected ndarray")),
    "chain: lists of two lengths": (
        lambda: fit_chain([[0, 1], [2]], 3),
        ("fit_chain", "xs", "is a list", "expected ndarray"),
    ),
    "chain: no symbols": (lambda: fit_chain(XS, 0), ("fit_chain", "n_symbols", "is 0", AT_LEAST_1)),
    "chain: negative pseudo-count": (
        lambda: fit_chain(XS, 3, pseudo_count=-1),
        ("fit_chain", "pseudo_count", "is -1", "expected a number in [0, 1e+30)"),
    ),
    "chain: pseudo-count that leaves nothing": (
        lambda: fit_chain(XS, 3, pseudo_count=1e308),
        ("fit_chain", "pseudo_count", "is 1e+308", "expected a number in [0, 1e+30)"),
    ),
    "chain: complex pseudo-count": (
        lambda: fit_chain(XS, 3, pseudo_count=np.complex128(1)),
        ("fit_chain", "pseudo_count", "(1+0j)", "expected a number"),
    ),
    "chain: transposed mask": (
        lambda: fit_chain(XS, 3, np.ones((2, 3), bool)),
        ("fit_chain", "mask", "(2, 3)", "expected (3, 2) as xs"),
    ),
    "chain: mask with a gap": (
        lambda: chain_log_likelihood(CHAIN, XS, np.array([[1, 1], [0, 1], [1, 1]], bool)),
        ("chain_log_likelihood", "mask[2, 0]", "is True after False", "expected a prefix"),
    ),
    "chain: symbol it does not know": (
        lambda: chain_log_likelihood(CHAIN, XS + 1),
        ("chain_log_likelihood", "xs[1, 0] is 3", "", SYMBOLS),
    ),
    "chain: row with too little": (
        lambda: chain_log_likelihood(row(1, 0.5, 0, 0.25), XS),
        ("chain_log_likelihood", "chain.transition[1]", "sums to 0.75", SUM),
    ),
    "chain: row with too much": (
        lambda: sample_chain(RNG, row(2, 0.5, 0.5, 0.5), 5, 2),
        ("sample_chain", "chain.transition[2]", "sums to 1.5", SUM),
    ),
    "chain: columns that sum to one": (
        lambda: stationary(CHAIN._replace(transition=CHAIN.transition.T)),
        ("stationary", "chain.transition[0]", "sums to 0.75", SUM),
    ),
    "chain: negative probability": (
        lambda: stationary(row(0, -0.5, 1, 0.5)),
        ("stationary", "chain.transition[0, 0]", "is -0.5", "expected probabilities of at least 0"),
    ),
    "chain: NaN": (
        lambda: stationary(row(2, 0.5, np.nan, 0.5)),
        ("stationary", "chain.transition", "the first at [2, 1] (nan)", "expected finite numbers"),
    ),
    "chain: start that does not sum to one": (
        lambda: chain_log_likelihood(CHAIN._replace(start=np.array([0.5, 0.5, 0.5])), XS),
        ("chain_log_likelihood", "chain.start", "sums to 1.5", SUM),
    ),
    "chain: start of another size": (
        lambda: stationary(CHAIN._replace(start=np.array([0.5, 0.5]))),
        ("stationary", "chain.transition", "(3, 3)", "expected (2, 2)"),
    ),
    "chain: transitions of integers": (
        lambda: stationary(CHAIN._replace(transition=np.eye(3, dtype=int))),
        ("stationary", "chain.transition", "dtype int64", "expected float64 as chain.start"),
    ),
    "chain: a bare matrix": (
        lambda: stationary(CHAIN.transition),
        ("stationary", "chain", "is a ndarray", "expected MarkovChain"),
    ),
    "chain: no steps": (lambda: sample_chain(RNG, CHAIN, 0, 2), ("sample_chain", "steps", "is 0", AT_LEAST_1)),
    "chain: no batch": (lambda: sample_chain(RNG, CHAIN, 5, 0), ("sample_chain", "batch", "is 0", AT_LEAST_1)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    for smoothing in (
        AddK(0),
        AddK(np.float32(0.5)),
        AddK(2),
        WittenBell(),
        KneserNey(0),
        KneserNey(1),
        KneserNey(None),
    ):
        model = fit((IDS, IDS[:1]), np.int64(3), np.int64(4), smoothing)
        log_probabilities(model, IDS)
        probabilities(model, (0, 1))
        probabilities(model, np.array([]))
        sample_ngram(RNG, model, 1, [2])
    chain_log_likelihood(fit_chain(XS.astype(np.int8), 3), XS)
    sample_chain(RNG, CHAIN, 1, 1)
    stationary(CHAIN)
