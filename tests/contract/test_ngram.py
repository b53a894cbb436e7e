"""n-gram models: probabilities worked by hand, the start of a sequence, what was never seen, scores, samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.ngram import (
    AddK,
    KneserNey,
    NGram,
    Smoothing,
    WittenBell,
    bits_per_symbol,
    fit_ngram,
    log_probabilities,
    perplexity,
    probabilities,
    sample_ngram,
    table_size,
)

SMOOTHINGS = [AddK(0.3), WittenBell(), KneserNey(0.6), KneserNey(None)]
a, b, c, d = range(4)


def fit(text: str, order: int, smoothing: Smoothing) -> NGram:
    return fit_ngram(np.array(["abcd".index(letter) for letter in text]), order, 4, smoothing)


# --- by hand: V = 4, the letter d never occurs, s is a start mark


def test_add_k_by_hand() -> None:
    """Pairs of abacab: sa 1, ab 2, ba 1, ac 1, ca 1. After a: c(a) = 3, and k = 1/2 adds 1/2 to each of 4 and 2 to the sum."""
    model = fit("abacab", 2, AddK(0.5))
    np.testing.assert_allclose(probabilities(model, [a]), np.array([1, 5, 3, 1]) / 10, rtol=1e-14)
    np.testing.assert_allclose(probabilities(model), np.array([3, 1, 1, 1]) / 6, rtol=1e-14)
    np.testing.assert_allclose(probabilities(model, [d]), np.full(4, 1 / 4), rtol=1e-14)


def test_witten_bell_by_hand() -> None:
    """Letters of abacab: a 3, b 2, c 1, three different in six. Pairs after a: ab 2, ac 1, two different in three.

    p(a) = (3 + 3/4) / 9 = 15/36,   p(b) = (2 + 3/4) / 9 = 11/36,   p(c) = 7/36,   p(d) = (3/4) / 9 = 3/36
    p(b | a) = (2 + 2 p(b)) / 5 = 94/180,   p(c | a) = (1 + 2 p(c)) / 5 = 50/180,   p(a | a) = 2 p(a) / 5 = 30/180
    """
    np.testing.assert_allclose(probabilities(fit("abacab", 1, WittenBell())), np.array([15, 11, 7, 3]) / 36, rtol=1e-14)
    model = fit("abacab", 2, WittenBell())
    np.testing.assert_allclose(probabilities(model, [a]), np.array([30, 94, 50, 6]) / 180, rtol=1e-14)
    np.testing.assert_allclose(probabilities(model, [d]), np.array([15, 11, 7, 3]) / 36, rtol=1e-14)


def test_kneser_ney_of_order_two_by_hand() -> None:
    """Pairs of abacab: sa 1, ab 2, ba 1, ac 1, ca 1; D = 1/2.

    Before a stood s, b, c: 3 different. Before b stood a, before c stood a: 1 each. In sum 5, of three letters.
    p(a) = (3 - 1/2) / 5 + (1/2) (3/5) (1/4) = 20/40 + 3/40 = 23/40,   p(b) = p(c) = 4/40 + 3/40 = 7/40,   p(d) = 3/40
    After a: c(a) = 3, N(a) = 2, so that p(w | a) = max(c(a, w) - 1/2, 0) / 3 + (1/2) (2/3) p(w):
    p(a | a) = 23/120,   p(b | a) = 60/120 + 7/120 = 67/120,   p(c | a) = 20/120 + 7/120 = 27/120,   p(d | a) = 3/120
    At the start, s a once: p(a | s) = 1/2 + (1/2) 23/40 = 63/80.
    """
    model = fit("abacab", 2, KneserNey(0.5))
    np.testing.assert_allclose(probabilities(model, [d]), np.array([23, 7, 7, 3]) / 40, rtol=1e-14)
    np.testing.assert_allclose(probabilities(model, [a]), np.array([23, 67, 27, 3]) / 120, rtol=1e-14)
    np.testing.assert_allclose(probabilities(model), np.array([63, 7, 7, 3]) / 80, rtol=1e-14)


def test_kneser_ney_of_order_three_by_hand() -> None:
    """Triples of ababac: ssa 1, sab 1, aba 2, bab 1, bac 1; D = 1/2.

    Different letters before a pair: sa {s} 1, ab {s, b} 2, ba {a} 1 (though ba occurs twice), ac {b} 1.
    Different letters before a letter: a {s, b} 2, b {a} 1, c {a} 1; in sum 4, of three letters.
    p(a) = (2 - 1/2) / 4 + (1/2) (3/4) (1/4) = 15/32,   p(b) = p(c) = 4/32 + 3/32 = 7/32,   p(d) = 3/32
    After b, 1 and N(b) = 1: p(a | b) = 1/2 + (1/2) 15/32 = 47/64, and the others have half of p: 7/64, 7/64, 3/64.
    After ab, c(ab) = 2 and N(ab) = 1: p(a | ab) = (2 - 1/2) / 2 + (1/4) 47/64 = 192/256 + 47/256 = 239/256.
    """
    model = fit("ababac", 3, KneserNey(0.5))
    np.testing.assert_allclose(probabilities(model, [d, d]), np.array([15, 7, 7, 3]) / 32, rtol=1e-14)
    np.testing.assert_allclose(probabilities(model, [d, b]), np.array([47, 7, 7, 3]) / 64, rtol=1e-14)
    np.testing.assert_allclose(probabilities(model, [a, b]), np.array([239, 7, 7, 3]) / 256, rtol=1e-14)


def test_discounts_are_estimated_for_every_length_by_hand() -> None:
    """Pairs of abacab: four once, ab twice, so D = 4 / (4 + 2) = 2/3. Different letters before a, b, c: 3, 1, 1, so D = 1.

    p(a) = 2/5 + (3/5) (1/4) = 11/20,   p(b) = p(c) = p(d) = 3/20
    p(b | a) = (2 - 2/3) / 3 + (2/3) (2/3) (3/20) = 4/9 + 1/15 = 23/45,   p(a | a) = (4/9) (11/20) = 11/45
    """
    model = fit("abacab", 2, KneserNey(None))
    assert [level.discount for level in model.levels] == pytest.approx([1, 2 / 3], rel=1e-15)
    np.testing.assert_allclose(probabilities(model, [d]), np.array([11, 3, 3, 3]) / 20, rtol=1e-14)
    np.testing.assert_allclose(probabilities(model, [a])[:2], np.array([11, 23]) / 45, rtol=1e-14)


def test_without_a_count_of_one_the_discount_is_three_quarters() -> None:
    """Letters of aabb: each twice. p(c) = p(d) = (3/4) (2/4) (1/4) = 3/32, p(a) = (2 - 3/4) / 4 + 3/32 = 13/32."""
    np.testing.assert_allclose(
        probabilities(fit("aabb", 1, KneserNey(None))), np.array([13, 13, 3, 3]) / 32, rtol=1e-14
    )


def test_order_one_without_smoothing_is_how_often_each_symbol_occurs() -> None:
    for smoothing in (AddK(0), KneserNey(0)):
        model = fit("abacab", 1, smoothing)
        for context in ([], [d], [a, b, a]):
            np.testing.assert_allclose(probabilities(model, context), np.array([3, 2, 1, 0]) / 6, rtol=1e-15)


# --- what the smoothings are there for


def test_kneser_ney_gives_little_to_a_symbol_that_follows_one_symbol_only() -> None:
    """San Francisco six times; glasses five times, after five different words. After a word that is new, glasses win."""
    san, francisco, glasses, unseen, V = 0, 1, 2, 8, 9
    text = np.array([san, francisco] * 6 + [k for word in (3, 4, 5, 6, 7) for k in (word, glasses)])
    after = {s: probabilities(fit_ngram(text, 2, V, s), [unseen]) for s in (WittenBell(), KneserNey(0.75))}
    assert after[WittenBell()][francisco] > after[WittenBell()][glasses]
    assert after[KneserNey(0.75)][francisco] < after[KneserNey(0.75)][glasses] / 4
    assert probabilities(fit_ngram(text, 2, V, KneserNey(0.75)), [san])[francisco] > 0.8


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_smoothed_models_exclude_nothing(smoothing: Smoothing) -> None:
    model = fit("abacabbac", 3, smoothing)
    assert np.isfinite(log_probabilities(model, np.array([d, d, a, b, c, d]))).all()


def test_maximum_likelihood_excludes_what_it_has_not_seen_and_is_uniform_where_it_has_seen_nothing() -> None:
    model = fit("abacab", 2, AddK(0))
    logs = log_probabilities(model, np.array([a, b, b, d, a]))
    np.testing.assert_allclose(logs, [0, np.log(2 / 3), -np.inf, -np.inf, np.log(1 / 4)], rtol=1e-14)
    assert perplexity(model, np.array([b, a])) == np.inf
    assert bits_per_symbol(model, np.array([b, a])) == np.inf


# --- the start of a sequence


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 4])
def test_every_sequence_starts_anew(rng: Any, smoothing: Smoothing, order: int) -> None:
    train = [rng.integers(4, size=n) for n in (30, 1, 2, 12)]
    held_out = [rng.integers(4, size=n) for n in (5, 1, 9)]
    model = fit_ngram(train, order, 4, smoothing)
    logs = log_probabilities(model, held_out)
    np.testing.assert_array_equal(logs, np.concatenate([log_probabilities(model, ids) for ids in held_out]))
    joined = log_probabilities(model, np.concatenate(held_out))
    assert np.allclose(logs, joined) == (order == 1)


def test_nothing_is_learnt_across_a_boundary() -> None:
    parts, joined = [np.array([a, b]), np.array([c, b])], np.array([a, b, c, b])
    apart, together = (fit_ngram(ids, 2, 4, AddK(0)) for ids in (parts, joined))
    np.testing.assert_array_equal(probabilities(apart, [b]), np.full(4, 1 / 4))
    np.testing.assert_array_equal(probabilities(together, [b]), [0, 0, 1, 0])
    np.testing.assert_array_equal(probabilities(apart), [0.5, 0, 0.5, 0])


def test_a_short_context_stands_at_the_start_and_a_long_one_is_cut() -> None:
    model = fit_ngram([np.array([a, b, a]), np.array([b, b, c, a, b, d])], 3, 4, AddK(0))
    np.testing.assert_array_equal(probabilities(model, [a]), [0, 1, 0, 0])
    np.testing.assert_array_equal(probabilities(model, [b]), [0, 1, 0, 0])
    np.testing.assert_array_equal(probabilities(model, [c, c, c, a, b]), [0.5, 0, 0, 0.5])


# --- scores, sizes, samples


@pytest.mark.parametrize("V", [1, 2, 7])
def test_a_uniform_model_has_perplexity_V(rng: Any, V: int) -> None:
    """A huge k leaves nothing of the counts."""
    model = fit_ngram(np.arange(V), 1, V, AddK(1e12))
    ids = rng.integers(V, size=50)
    assert perplexity(model, ids) == pytest.approx(V, rel=1e-9)
    assert bits_per_symbol(model, ids) == pytest.approx(np.log2(V), abs=1e-9)


@pytest.mark.parametrize("k", [9e29, np.float32(9e29), np.int8(100), np.uint8(255)])
def test_no_number_type_of_k_overflows(k: Any) -> None:
    model, plain = (fit("abacab", 2, AddK(value)) for value in (k, float(k)))
    np.testing.assert_array_equal(probabilities(model, [a]), probabilities(plain, [a]))
    assert probabilities(model, [a]).sum() == pytest.approx(1, rel=1e-14)


def test_two_smoothings_with_the_same_number_are_not_equal() -> None:
    assert len({AddK(0.75), AddK(0.75), KneserNey(0.75), KneserNey(), WittenBell(), WittenBell()}) == 3
    assert AddK(0.75) != KneserNey(0.75)
    assert all([AddK(0), WittenBell(), KneserNey(None)])


def test_perplexity_and_bits_are_the_mean_of_what_the_symbols_cost() -> None:
    """p is 1/2, 1/4 and 1/4: 1, 2 and 2 bits."""
    model = fit("aabc", 1, AddK(0))
    ids = np.array([a, b, c])
    assert bits_per_symbol(model, ids) == pytest.approx(5 / 3, rel=1e-14)
    assert perplexity(model, ids) == pytest.approx(2 ** (5 / 3), rel=1e-14)
    assert perplexity(model, [ids, ids[:1]]) == pytest.approx(2 ** (6 / 4), rel=1e-14)


def test_the_table_holds_what_was_seen() -> None:
    """Contexts of two letters in abacab: ss, sa, ab, ba, ac, ca, and each has one letter after it."""
    assert [table_size(fit("abacab", order, WittenBell())) for order in (1, 2, 3)] == [(1, 3), (4, 5), (6, 6)]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_samples_follow_the_probabilities(rng: Any, smoothing: Smoothing) -> None:
    model = fit("abacabdabbac", 2, smoothing)
    ids = sample_ngram(rng, model, 3000)
    assert ids.shape == (3000,)
    assert ids.dtype == np.int64
    for q in range(4):
        following, p = ids[1:][ids[:-1] == q], probabilities(model, [q])
        found = np.bincount(following, minlength=4) / len(following)
        assert np.all(np.abs(found - p) < 4.5 * np.sqrt(p * (1 - p) / len(following)))


def test_a_sample_goes_on_from_its_context(rng: Any) -> None:
    model = fit("abcdabcdabcd", 3, AddK(0))
    np.testing.assert_array_equal(sample_ngram(rng, model, 5), [a, b, c, d, a])
    np.testing.assert_array_equal(sample_ngram(rng, model, 5, context=[b, c]), [d, a, b, c, d])
    np.testing.assert_array_equal(sample_ngram(rng, model, 2, context=np.array([d, a, b], np.uint8)), [c, d])
    first, second = (sample_ngram(np.random.default_rng(3), fit("abacab", 2, WittenBell()), 40) for _ in range(2))
    np.testing.assert_array_equal(first, second)


# --- numbers of symbols that a key of plain powers of V could not hold


@pytest.mark.parametrize("smoothing", [AddK(0), KneserNey(0)])
def test_names_of_symbols_do_not_matter_and_long_contexts_do_not_overflow(rng: Any, smoothing: Smoothing) -> None:
    ids, V = rng.integers(6, size=400), 20_000
    spread = rng.permutation(V)[:6][ids]
    few, many = fit_ngram(ids, 7, 6, smoothing), fit_ngram(spread, 7, V, smoothing)
    np.testing.assert_allclose(log_probabilities(many, spread), log_probabilities(few, ids), rtol=1e-12)
    assert table_size(many) == table_size(few)


def test_all_integer_types_count_alike_and_nothing_is_modified(rng: Any) -> None:
    ids = rng.integers(200, size=300)
    expected = log_probabilities(fit_ngram(ids, 3, 200, WittenBell()), ids)
    for dtype in (np.uint8, np.int16, np.uint64):
        other = ids.astype(dtype)
        received = log_probabilities(fit_ngram(other, 3, dtype(200), WittenBell()), other)
        np.testing.assert_array_equal(received, expected)
        np.testing.assert_array_equal(other, ids)
