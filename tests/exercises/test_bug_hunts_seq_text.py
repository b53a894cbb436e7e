"""What the exercises on text, parity and counters of *Why model sequences* say of the bug, and of other numbers, is so."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from companion import hmm, markov, ngram
from companion.baum_welch import baum_welch
from companion.data import bits
from companion.exercises import EXERCISES, judge
from companion.exercises.seq import counter, hunt_smoothing, kneser_ney, parity_hmm

STATEMENTS = {name: " ".join(e.statement.split()) for name, e in EXERCISES.items()}


def perplexity(p: Any, ids: Any) -> float:
    return float(np.exp(-np.log(p[ids[:-1], ids[1:]]).mean()))


# --- the bug hunt


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_buggy_table_beats_the_chain_that_drew_the_text(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chain = markov.MarkovChain(np.full(20, 1 / 20), rng.dirichlet(np.ones(20), size=20))
    train, test = (markov.sample_chain(rng, chain, 5000, 1)[:, 0] for _ in range(2))
    buggy = hunt_smoothing.buggy_bigrams(train, 20, 0.75)
    repaired = hunt_smoothing.repaired_bigrams(train, 20, 0.75)
    truth = perplexity(chain.transition, test)
    assert abs(truth - 14) < 1
    assert abs(perplexity(buggy, test) - 9) < 0.5
    assert truth < perplexity(repaired, test) < 1.06 * truth
    assert (buggy.sum(axis=1) > 1.6).all()
    np.testing.assert_allclose(repaired.sum(axis=1), 1)
    assert "about 9" in STATEMENTS["seq.hunt_smoothing"]
    assert "reaches 14" in STATEMENTS["seq.hunt_smoothing"]


def test_buggy_rows_sum_to_one_where_no_pair_occurs_twice() -> None:
    text = np.array([0, 1, 2, 0, 2, 1, 3, 3, 0, 3, 1, 0])
    assert len(set(zip(text[:-1].tolist(), text[1:].tolist()))) == len(text) - 1
    np.testing.assert_allclose(hunt_smoothing.buggy_bigrams(text, 5, 0.75).sum(axis=1), 1)


# --- predictions


def test_best_accuracy_of_the_short_window_is_what_a_table_of_all_windows_reaches() -> None:
    rng = np.random.default_rng(0)
    steps = 400_000
    x = np.bitwise_xor.accumulate((rng.random(steps) < 0.1).astype(int))
    y, window = x[3:] ^ x[:-3], 2 * x[3:] + x[2:-1]
    counts = np.zeros((4, 2))
    np.add.at(counts, (window, y), 1)
    assert abs(counts.max(axis=1).sum() / counts.sum() - EXERCISES["seq.window"].solution()) < 0.005


def test_free_numbers_of_three_tables_are_those_of_one_distribution_of_three_symbols() -> None:
    assert EXERCISES["seq.table_size"].solution() == 27**3 - 1


# --- texts


def test_kneser_ney_of_the_exercise_is_that_of_the_companion() -> None:
    ids = np.random.default_rng(0).choice([0, 1, 2, 4, 6], size=60)
    p = kneser_ney.kneser_ney_bigrams(ids, 7, 0.75)
    model = ngram.fit_ngram(ids, 2, 7, ngram.KneserNey(0.75))
    np.testing.assert_allclose(p, [ngram.probabilities(model, [v]) for v in range(7)], rtol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1)


# --- designs, judged by what they do


def works(w: float, u: float, v: float, b: float) -> bool:
    return all((w * h + u * x + v * r + b > 0) == (r == 0 and h + x > 0) for h, x, r in product((0, 1), repeat=3))


def test_every_latch_is_right_or_told_by_name_what_it_does() -> None:
    weights = np.random.default_rng(0).uniform(-3, 3, size=(300, 4)).round(1)
    right = np.random.default_rng(1).uniform((1, 1, -9, -0.9), (3, 3, -6, -0.1), size=(30, 4))
    verdicts = [judge("seq.latch", tuple(row)) for row in (*weights, *right)]
    for row, verdict in zip((*weights, *right), verdicts):
        assert (verdict.status == "correct") == works(*row), row
        assert verdict.status == "correct" or verdict.mistake, (row, str(verdict))
    assert sum(verdict.status == "correct" for verdict in verdicts) >= 30
    assert len({verdict.mistake for verdict in verdicts}) >= 8


def test_bracket_net_accepts_the_balanced_words_and_no_others() -> None:
    words = tuple("".join(letters) for length in range(11) for letters in product("ab", repeat=length))
    accepted = list(counter._run(counter.bracket_net, " ".join(words)).values())
    assert accepted == [counter.balanced(word) for word in words]
    assert sum(accepted) == 1 + 1 + 2 + 5 + 14 + 42  # the Catalan numbers
    assert [counter.balanced(word) for word in ("ab", "aabbab", "", "aab", "ba")] == [True, True, True, False, False]


def brackets_in_equal_steps(count: int) -> Any:
    """A net that counts in `count` equal steps, of which the last is full."""
    W_h = np.array([[1, 1, 0], [1, 1, 0], [-count, -count, count + 1]])
    W_x, b = np.array([[1 + 1 / count, 0], [0, 1 - 1 / count], [0, 1]]), np.array([-1, -1, 0])
    return W_h, W_x, b, np.array([-count, -count, -count]), 1.0


@pytest.mark.parametrize(("count", "right"), [(8, False), (16, False), (32, True), (2**20, True)])
def test_bracket_net_has_to_count_as_deep_as_the_statement_says_and_no_deeper(count: int, right: bool) -> None:
    assert f"no more than {counter.DEPTH} open brackets at once" in STATEMENTS["seq.counter"]
    assert (judge("seq.counter", brackets_in_equal_steps(count)).status == "correct") == right
    deep = " ".join("a" * depth + "b" * depth for depth in (counter.DEPTH, 52, 54))
    assert list(counter._run(counter.bracket_net, deep).values()) == [1, 1, 0]  # what the hint says of floating point


@pytest.mark.parametrize(
    ("rows", "v", "v_0", "mistake"),
    [
        ({}, (-2, -2, -2), 0, "have a net that refuses even ab"),
        ({}, (-2, 0, -2), 1, "accept aab"),
        ({1: [0.5, 0.5, 0]}, (-2, -2, -2), 1, None),
        ({0: [0.5, 0, 0]}, (-2, -2, -2), 1, "lose count at an a that follows a b"),
        ({1: [2, 0, 0]}, (-2, -2, -2), 1, "lose count at a b that follows another"),
        ({0: [0.5, 0.5, -2], 1: [0.5, 2, -2], 2: [0, 0, 3]}, (-2, -2, -2), 1, "have a net that refuses even ab"),
    ],
)
def test_slip_in_the_bracket_net_is_told_only_what_is_so(rows: Any, v: Any, v_0: float, mistake: str | None) -> None:
    W_h, W_x, b, *_ = counter.bracket_net()
    for row, weights in rows.items():
        W_h[row] = weights
    verdict = judge("seq.counter", (W_h, W_x, b, v, v_0))
    assert (verdict.status, verdict.mistake) == ("wrong", mistake), verdict


def test_message_on_brackets_lists_the_words_once() -> None:
    message = judge("seq.counter", (np.zeros((1, 1)), np.zeros((1, 2)), [np.nan], [0], 0)).message
    assert message.endswith("called with words = 'ab a b ba'."), message


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_parity_model_knows_every_answer_whatever_the_order_of_its_states(order: list[int]) -> None:
    start, transition, emission = parity_hmm.parity_hmm()
    tables = start[order], transition[order][:, order], emission[order]
    assert judge("seq.parity_hmm", tables).status == "correct"
    model = hmm.HMM(tables[0], tables[1], hmm.Categorical(tables[2]))
    xs, ys = bits.running_parity(np.random.default_rng(0), 50, 3)
    np.testing.assert_allclose(hmm.log_likelihood(model, 2 * xs + ys), -50 * np.log(2))
    assert (hmm.log_likelihood(model, 2 * xs + (1 - ys)) == -np.inf).all()


@pytest.mark.parametrize(("states", "least", "most"), [(1, 1.95, 2.05), (2, 1.7, 2), (3, 1.3, 1.6), (4, 0.98, 1)])
def test_parity_costs_one_bit_a_pair_from_four_states_on(states: int, least: float, most: float) -> None:
    """The best of ten fits, in bits for each pair."""
    xs, ys = bits.running_parity(np.random.default_rng(0), 20, 40)
    symbols = 2 * xs + ys

    def bits_after_fit(seed: int) -> float:
        model, _ = baum_welch(hmm.hmm_init(np.random.default_rng(seed), states, 4), symbols, steps=60)
        return float(-hmm.log_likelihood(model, symbols).sum() / symbols.size / np.log(2))

    assert least < min(map(bits_after_fit, range(10))) <= most


# --- answers of another kind


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("seq.latch", 3.0, "latch is a float (3.0), expected four numbers: w, u, v, b"),
        ("seq.latch", (1, 1, -1), "expected four numbers"),
        ("seq.latch", (1, 1, -np.inf, -0.5), "latch holds a number that is not finite"),
        ("seq.latch", (np.nan, 1, -2, -0.5), "latch holds a number that is not finite"),
        ("seq.latch", "wuvb", "expected four numbers"),
        ("seq.parity_hmm", (np.eye(4), np.eye(4)), "expected three arrays: start, transition, emission"),
        (
            "seq.parity_hmm",
            ([0.5, 0.5], np.eye(3), np.eye(4)),
            "transition has shape (3, 3), expected (2, 2) for 2 states",
        ),
        ("seq.parity_hmm", ([0.5, 0.4], np.eye(2), np.eye(4)[:2]), "start is not a distribution in every row"),
        ("seq.parity_hmm", ("a", "b", "c"), "something else than numbers"),
        ("seq.counter", np.eye(2), "expected W_h, W_x, b, v, v_0"),
        (
            "seq.counter",
            (np.eye(3), np.ones((2, 3)), np.ones(3), np.ones(3), 0),
            "W_x has shape (2, 3), expected (3, 2)",
        ),
        (
            "seq.counter",
            (np.full((1, 1), np.inf), np.ones((1, 2)), [1], [1], 0),
            "W_h holds a number that is not finite",
        ),
        ("seq.counter", ("a", "b", "c", "d", "e"), "something else than numbers"),
    ],
)
def test_design_of_the_wrong_kind_is_told_so(name: str, answer: Any, words: str) -> None:
    verdict = judge(name, answer)
    assert verdict.status == "wrong"
    assert words in verdict.message, verdict
