"""The algorithmic tasks: answers recomputed from the inputs by loops, distributions as documented, text that reads back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest

from companion.data.algorithmic import (
    REPEATS_DEVIATION,
    REPEATS_MEAN,
    Episodes,
    associative_recall,
    copy,
    dynamic_ngrams,
    optimal_ngrams,
    priority_sort,
    repeat_copy,
)

B = 50

# a call with sizes that all differ; T, D, C; how many of the last steps are to be answered
TASKS: dict[str, tuple[Callable[..., Episodes], tuple[int, int, int], int]] = {
    "copy": (lambda rng, **k: copy(rng, 3, 7, 4, **k), (15, 5, 4), 7),
    "repeat_copy": (lambda rng, **k: repeat_copy(rng, 3, 2, 6, 4, **k), (16, 6, 5), 13),
    "associative_recall": (lambda rng, **k: associative_recall(rng, 3, 6, 2, 4, **k), (24, 6, 4), 2),
    "dynamic_ngrams": (lambda rng, **k: dynamic_ngrams(rng, 3, 21, 4, **k), (20, 1, 1), 17),
    "priority_sort": (lambda rng, **k: priority_sort(rng, 3, 9, 5, 4, **k), (15, 6, 4), 5),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TASKS)
def test_shapes_dtypes_and_the_steps_to_answer_are_as_documented(name: str, dtype: Any, rng: Any) -> None:
    draw, (steps, inputs, outputs), asked = TASKS[name]
    xs, targets, mask = draw(rng, dtype=dtype)
    assert (xs.shape, targets.shape, mask.shape) == ((steps, 3, inputs), (steps, 3, outputs), (steps, 3))
    assert (xs.dtype, targets.dtype, mask.dtype) == (dtype, dtype, bool)
    np.testing.assert_array_equal(mask, np.repeat(np.arange(steps) >= steps - asked, 3).reshape(steps, 3))
    assert not targets[~mask].any()
    assert {*np.unique(targets)} == {0, 1}
    if name != "dynamic_ngrams":
        assert not xs[mask].any()


@pytest.mark.parametrize("name", TASKS)
def test_one_seed_gives_one_batch_and_the_next_draw_another(name: str) -> None:
    draw, generator = TASKS[name][0], np.random.default_rng(5)
    first, again, other = draw(generator), draw(np.random.default_rng(5)), draw(generator)
    single = draw(np.random.default_rng(5), dtype=np.float32)
    for one, two, three in zip(first, again, single, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one.astype(np.float32), three)
    assert not np.array_equal(first.xs, other.xs)


def test_paper_sizes_are_the_defaults(rng: np.random.Generator) -> None:
    batches = [copy(rng, 1, 20), repeat_copy(rng, 1, 10, 10), associative_recall(rng, 1, 6), dynamic_ngrams(rng, 1)]
    shapes = [(e.xs.shape, e.targets.shape[2], e.mask.sum()) for e in (*batches, priority_sort(rng, 1))]
    assert shapes == [
        ((41, 1, 9), 8, 20),
        ((112, 1, 10), 9, 101),
        ((32, 1, 8), 6, 3),
        ((199, 1, 1), 1, 195),
        ((37, 1, 10), 8, 16),
    ]


@pytest.mark.parametrize("length", [1, 2, 20])
def test_copy_asks_for_what_was_shown_before_the_delimiter(length: int, rng: np.random.Generator) -> None:
    xs, targets, mask = copy(rng, B, length, 3)
    for b in range(B):
        assert [t for t in range(len(xs)) if xs[t, b, 3]] == [length]
        assert xs[length, b].tolist() == [0, 0, 0, 1]
        assert targets[mask[:, b], b].tolist() == xs[:length, b, :3].tolist()
    assert abs(xs[:length, :, :3].mean() - 0.5) < 0.1


@pytest.mark.parametrize(("length", "repeats"), [(1, 1), (3, 1), (1, 4), (3, 4), (2, 15)])
def test_repeat_copy_asks_so_many_times_and_then_for_the_end(length: int, repeats: int, rng: Any) -> None:
    xs, targets, mask = repeat_copy(rng, B, length, repeats, 3)
    for b in range(B):
        assert xs[:, b, 3].tolist() == [float(t == length) for t in range(len(xs))]
        assert [t for t in range(len(xs)) if xs[t, b, 4] != 0] == [length]
        assert round(xs[length, b, 4] * REPEATS_DEVIATION + REPEATS_MEAN, 9) == repeats
        assert not xs[length, b, :3].any()
        vectors = [[*vector, 0] for vector in xs[:length, b, :3].tolist()]
        assert targets[mask[:, b], b].tolist() == [*vectors * repeats, [0, 0, 0, 1]]


def test_the_number_of_repeats_has_mean_zero_and_variance_one_in_training(rng: np.random.Generator) -> None:
    numbers = [float(repeat_copy(rng, 1, 2, repeats).xs[2, 0, 9]) for repeats in range(1, 11)]
    assert abs(np.mean(numbers)) < 1e-12
    assert abs(np.var(numbers) - 1) < 1e-12


def read_items(xs: Any, bits: int) -> tuple[list[str], str]:
    """The items and the query of one sequence (T, D), found by their delimiters."""
    marks = {(1.0, 0.0): "|", (0.0, 1.0): "?", (0.0, 0.0): ""}
    words = [marks[tuple(x[bits:])] or "".join("01"[int(bit)] for bit in x[:bits]) + "," for x in xs]
    assert all(not x[:bits].any() for x in xs if x[bits:].any())
    shown, query, silence = "".join(words).split("?")
    assert set(silence) <= {"0", ","}
    first, *items = shown.split("|")
    assert first == ""
    return items, query


@pytest.mark.parametrize(("items", "item_length", "bits"), [(2, 3, 6), (6, 3, 6), (4, 1, 2), (16, 2, 2), (3, 2, 1)])
def test_recall_asks_for_the_item_after_the_one_shown_again(items: int, item_length: int, bits: int, rng: Any) -> None:
    xs, targets, mask = associative_recall(rng, B, items, item_length, bits)
    places = set()
    for b in range(B):
        shown, query = read_items(xs[:, b], bits)
        assert len(shown) == len(set(shown)) == items
        assert {word.count(",") for word in (*shown, query)} == {item_length}
        answer = "".join("".join("01"[int(bit)] for bit in vector) + "," for vector in targets[mask[:, b], b])
        places.add(shown.index(query))
        assert answer == shown[shown.index(query) + 1]
    assert places <= set(range(items - 1))
    assert len(places) > 0.8 * (items - 1), "every item but the last is asked for"


def test_every_item_but_the_last_is_equally_often_asked_for(rng: np.random.Generator) -> None:
    xs = associative_recall(rng, 4000, 5).xs
    same = [(xs[4 * i + 1 : 4 * i + 4] == xs[21:24]).all(axis=(0, 2)) for i in range(5)]
    np.testing.assert_allclose(np.mean(same, axis=1), [0.25, 0.25, 0.25, 0.25, 0], atol=0.03)


def test_every_order_of_different_items_is_equally_likely(rng: np.random.Generator) -> None:
    xs = associative_recall(rng, 24_000, 3, 1, 2).xs
    numbers = xs[1:6:2, :, :2] @ [2, 1]  # of the three items
    orders, counts = np.unique([16, 4, 1] @ numbers, return_counts=True)
    assert len(orders) == 4 * 3 * 2
    np.testing.assert_allclose(counts, 1000, atol=150)


def test_each_prediction_is_of_the_next_bit(rng: np.random.Generator) -> None:
    xs, targets, mask = dynamic_ngrams(rng, B, 60, 3)
    assert [t for t in range(59) if not mask[t, 0]] == [0, 1]
    for t, after in pairwise(range(2, 59)):
        np.testing.assert_array_equal(targets[t], xs[after])


def test_bits_follow_from_the_last_bits_of_the_context_and_no_earlier_one(rng: np.random.Generator) -> None:
    bits = dynamic_ngrams(rng, 1500, 2001, 2).xs[:, :, 0]
    np.testing.assert_allclose(bits[:2].mean(axis=1), 0.5, atol=0.06)
    code = 4 * bits[:-3] + 2 * bits[1:-2] + bits[2:-1]  # one bit more than the context
    rates = np.array([np.where(code == k, bits[3:], 0).sum(axis=0) for k in range(8)])
    seen = np.array([(code == k).sum(axis=0) for k in range(8)])
    often = (seen > 100).all(axis=0)
    rates = (rates / np.maximum(seen, 1))[:, often]
    error = rates[:4] - rates[4:]  # the earlier bit makes no difference
    assert abs(error.mean()) < 0.005
    assert np.abs(error).mean() < 0.04
    assert min(np.abs(rates[i] - rates[j]).mean() for i, j in combinations(range(4), 2)) > 0.1  # each has its own entry


def test_a_table_entry_is_spread_as_beta_half_half(rng: np.random.Generator) -> None:
    """The probability of n ones after a context seen n times is the n-th moment of the entry: 1/2, 3/8, 5/16."""
    bits = dynamic_ngrams(rng, 60_000, 5, 1).xs[:, :, 0]
    ones = bits[0] == 1  # bits[k] after an unbroken run of ones: the same entry every time
    for k, moment in ((1, 1 / 2), (2, 3 / 8), (3, 5 / 16)):
        ones = ones & (bits[k] == 1)
        assert abs(ones.mean() / 0.5 - moment) < 0.01


def counted(bits: list[int], context: int, pseudo: float) -> list[float]:
    """The estimator again, from a dictionary of what followed each context, one sequence and one step at a time."""
    followed, predictions = defaultdict(list), []
    for t in range(len(bits)):
        past = tuple(bits[t - context + 1 : t + 1]) if t >= context - 1 else None
        if t >= context:
            followed[tuple(bits[t - context : t])].append(bits[t])
        after = followed[past] if past else []
        predictions.append((sum(after) + pseudo) / (len(after) + 2 * pseudo))
    return predictions


@pytest.mark.parametrize(("length", "context"), [(120, 1), (120, 2), (200, 5), (7, 6), (3, 5)])
def test_the_optimal_prediction_counts_what_followed_the_same_context(length: int, context: int, rng: Any) -> None:
    xs = (rng.random((length, 4, 1)) < 0.4).astype(np.float32)
    before, predictions = xs.copy(), optimal_ngrams(xs, context)
    assert (predictions.dtype, predictions.shape) == (np.float32, xs.shape)
    expected = [counted(xs[:, b, 0].astype(int).tolist(), context, 0.5) for b in range(4)]
    np.testing.assert_allclose(predictions[:, :, 0].T, expected, rtol=1e-6)
    np.testing.assert_array_equal(xs, before)


@pytest.mark.parametrize(("ones", "zeros"), [(0, 0), (1, 0), (0, 3), (4, 2), (11, 30)])
def test_the_optimal_prediction_is_the_posterior_mean_by_integration(ones: int, zeros: int) -> None:
    # p = sin^2(angle) has the density Beta(1/2, 1/2) when the angle is uniform: no weight is infinite at the ends
    p = np.sin((np.arange(4000) + 0.5) / 4000 * np.pi / 2) ** 2
    likelihood = p**ones * (1 - p) ** zeros
    # After a 1 come the ones of the first run, and then all the zeros; the last 1 is a context whose next bit is unknown.
    bits = [1] * (ones + 1) + [0, 1] * zeros
    prediction = optimal_ngrams(np.array(bits, float)[:, None, None], 1)[-1, 0, 0]
    assert abs(prediction - (p * likelihood).mean() / likelihood.mean()) < 1e-9


def test_no_other_pseudo_count_predicts_better(rng: np.random.Generator) -> None:
    xs, targets, mask = dynamic_ngrams(rng, 600)
    bits, asked = targets[mask[:, 0], :, 0], mask[:, 0]

    def loss(p: Any) -> Any:  # bits a sequence
        return -np.log2(np.where(bits == 1, p, 1 - p)).sum(axis=0)

    best = loss(optimal_ngrams(xs)[asked, :, 0])
    # 5 coins cost 5 bits more, and the optimum that the paper draws (figure 13) is at about 133
    assert abs(best.mean() + 5 - 133) < 5
    for pseudo in (0.2, 0.3, 0.75, 1.0):
        others = np.array([counted(xs[:, b, 0].astype(int).tolist(), 5, pseudo) for b in range(xs.shape[1])]).T
        worse = loss(others[asked]) - best
        assert worse.mean() > 3 * worse.std() / np.sqrt(len(worse)), pseudo


@pytest.mark.parametrize(("length", "answers"), [(1, 1), (5, 5), (6, 2), (20, 16)])
def test_sort_asks_for_the_vectors_of_highest_priority_in_order(length: int, answers: int, rng: Any) -> None:
    xs, targets, mask = priority_sort(rng, B, length, answers, 3)
    for b in range(B):
        assert [t for t in range(len(xs)) if xs[t, b, 4]] == [length]
        assert xs[length, b].tolist() == [0, 0, 0, 0, 1]
        ranked = sorted(xs[:length, b].tolist(), key=lambda x: -x[3])
        assert targets[mask[:, b], b].tolist() == [x[:3] for x in ranked[:answers]]


def test_priorities_are_uniform_and_say_nothing_of_the_vectors(rng: np.random.Generator) -> None:
    xs = priority_sort(rng, 2000, 10, 1, 2).xs[:10]
    np.testing.assert_allclose(np.histogram(xs[:, :, 2], 8, (-1, 1))[0] / xs[:, :, 2].size, 1 / 8, atol=0.01)
    assert max(abs(np.corrcoef(xs[:, :, k].ravel(), xs[:, :, 2].ravel())[0, 1]) for k in (0, 1)) < 0.03


def test_equal_priorities_keep_their_order(rng: np.random.Generator) -> None:
    xs, targets, mask = priority_sort(rng, 1, 4000, 4000, 3, np.float16)
    shown = xs[:4000, 0].tolist()
    assert len({x[3] for x in shown}) < 4000
    assert targets[mask[:, 0], 0].tolist() == [x[:3] for x in sorted(shown, key=lambda x: -x[3])]
