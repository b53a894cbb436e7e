"""Wrong answers that once passed, or were told something untrue, in the exercises of *Neural Turing machines*."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion import addressing
from companion.exercises import EXERCISES, judge
from companion.exercises.ntm.copy_by_hand import head_by_hand
from companion.exercises.ntm.told_by_hand import Told
from companion.ops import softmax

NAMES = [name for name in EXERCISES if name.startswith("ntm.")]


def verdict(name: str, answer: Any) -> Any:
    found = judge(name, answer)
    assert found.status == "wrong", found
    return found


@pytest.mark.parametrize("name", NAMES)
def test_exercise_knows_five_to_twenty_four_mistakes(name: str) -> None:
    assert 5 <= len(EXERCISES[name].mistakes) <= 24


@pytest.mark.parametrize("name", NAMES)
def test_statement_says_which_equation_it_means(name: str) -> None:
    assert "the equation" not in EXERCISES[name].statement.lower()


# --- large strengths


def cosine(key: Any, memory: Any) -> Any:
    return key @ memory.T / (np.linalg.norm(key, axis=1)[:, None] * np.linalg.norm(memory, axis=1))


@pytest.mark.parametrize("c", [20, 37, 50, 65, 100, 300, 450, 700, 709])
def test_limit_of_z_in_the_softplus_is_found(c: int) -> None:
    beta = lambda z: np.log(1 + np.exp(np.minimum(z, c)))  # noqa: E731
    verdict("ntm.hunt_strength", lambda key, z, memory: softmax(beta(z)[:, None] * cosine(key, memory)))


def test_maximum_left_out_of_the_search_is_found() -> None:
    def answer(key: Any, z: Any, memory: Any) -> Any:
        e = np.exp(np.logaddexp(0, z)[:, None] * cosine(key, memory))
        return e / e.sum(axis=1, keepdims=True)

    assert verdict("ntm.hunt_strength", answer).mistake == "left out the maximum"


# --- sharpening


def sharpened(w: Any, sharpness: Any) -> Any:
    return softmax(sharpness[:, None] * np.log(w))


@pytest.mark.parametrize("limit", [50, 100, 300, 700, 999])
def test_limit_of_the_sharpness_is_found(limit: float) -> None:
    right = EXERCISES["ntm.sharpen"].solution
    verdict("ntm.sharpen", lambda w_s, sharpness: right(w_s, np.minimum(sharpness, limit)))


@pytest.mark.parametrize("floor", [1e-9, 1e-12, 1e-16, 1e-300])
def test_weight_of_zero_has_to_stay_zero(floor: float) -> None:
    name = "kept the logarithm from 0 by a small constant"
    assert verdict("ntm.sharpen", lambda w, sharpness: sharpened(w + floor, sharpness)).mistake == name
    assert verdict("ntm.sharpen", lambda w, sharpness: sharpened(np.maximum(w, floor), sharpness)).mistake == name


def test_sharpening_of_the_package_is_told_that_it_has_a_floor() -> None:
    found = verdict("ntm.sharpen", lambda w, sharpness: addressing.sharpen(w[None], sharpness[None])[0][0])
    assert "the package does the same" in found.message


@pytest.mark.parametrize("instead", ["one-hot", "alike", "nothing"])
def test_weights_that_underflow_may_not_be_replaced(instead: str) -> None:
    def answer(w: Any, sharpness: Any) -> Any:
        power = w ** sharpness[:, None]
        total = power.sum(axis=1, keepdims=True)
        N = w.shape[1]
        other = {"one-hot": np.eye(N)[w.argmax(axis=1)], "alike": np.full(w.shape, 1 / N), "nothing": 0 * w}[instead]
        return np.where(total > 0, power / total, other)

    found = verdict("ntm.sharpen", answer)
    assert instead != "one-hot" or found.mistake == "chose the row with the largest weight where all powers underflow"


def test_sharpened_weights_of_the_wrong_kind_are_told_so() -> None:
    right = EXERCISES["ntm.sharpen"].solution
    assert "is a list" in verdict("ntm.sharpen", lambda *case: right(*case).tolist()).message
    assert "has shape (5, 3)" in verdict("ntm.sharpen", lambda *case: right(*case).T).message
    assert judge("ntm.sharpen", lambda w_s, sharpness: None).status == "not done"


# --- two numbers


def test_prediction_of_the_blur_may_come_in_an_array_and_not_in_percent() -> None:
    right = EXERCISES["ntm.blur"].solution()
    for answer in (np.array(right), list(right), lambda: np.array(right)):
        assert judge("ntm.blur", answer).status == "correct"
    assert "without sharpening is 30.1, expected a share of 1, not percent" in verdict("ntm.blur", (30.1, 0.99)).message
    assert "with sharpening is 98, expected a share" in verdict("ntm.blur", (right[0], 98)).message
    for answer in (0.3, np.ones(3), "0.3", ("0.3", 0.9), np.ones((2, 2)), (np.inf, 1.0)):
        verdict("ntm.blur", answer)
    assert judge("ntm.blur", lambda: None).status == "not done"


def test_both_vectors_of_a_write_exchanged_are_told_as_that_alone() -> None:
    def answer(*case: Any) -> Any:
        dmemory, dw, derase, dadd = EXERCISES["ntm.erase_add_backward"].solution(*case)
        return dmemory, dw, dadd, derase

    found = verdict("ntm.erase_add_backward", answer)
    assert found.mistake == "returned derase and dadd in the other order"
    assert "More than one thing" not in found.message


def test_unchanged_function_is_not_told_why_no_loss_shows_the_bug() -> None:
    e = EXERCISES["ntm.hunt_shift"]
    found = verdict(e.name, e.given[0])
    assert "still do what the buggy function does" in found.message
    assert "mirror" not in found.message


# --- what a head is told by hand

COPY = EXERCISES["ntm.copy_by_hand"]
HARMLESS: list[dict[str, Any]] = [
    {},
    {"sharpness": 20},
    {"strength": 80},
    {"stay": True},
    {"sharpness": 20, "stay": True},
]


def told(mistake: Any, harmless: dict[str, Any]) -> Any:
    """An answer with a known mistake and other choices of what the mistake does not speak of."""

    def answer(L: int, M: int) -> Any:
        returned, right = Told(*mistake.answer(L, M)), Told(*head_by_hand(L, M))
        for name in ("sharpness", "strength"):
            if name in harmless and np.array_equal(getattr(returned, name), getattr(right, name)):
                returned = returned._replace(**{name: 0 * returned.gate + harmless[name]})
        if "stay" in harmless:
            returned.move[0] = 0
        return tuple(returned)

    return answer


@pytest.mark.parametrize("harmless", HARMLESS, ids=str)
@pytest.mark.parametrize("mistake", COPY.mistakes, ids=lambda mistake: mistake.name)
def test_mistake_in_what_a_head_is_told_is_named_whatever_else_was_chosen(mistake: Any, harmless: Any) -> None:
    found = verdict(COPY.name, told(mistake, harmless))
    assert found.mistake == mistake.name
    assert mistake.effect in found.message


@pytest.mark.parametrize("mistake", COPY.mistakes, ids=lambda mistake: mistake.name)
def test_mistake_of_a_head_that_writes_upwards_is_named(mistake: Any) -> None:
    def answer(L: int, M: int) -> Any:
        returned = Told(*mistake.answer(L, M))
        return tuple(returned._replace(move=-returned.move))

    assert verdict(COPY.name, answer).mistake == mistake.name


def test_what_is_right_for_one_length_only_is_told_with_the_length() -> None:
    def answer(L: int, M: int) -> Any:
        returned = Told(*head_by_hand(L, M))
        returned.gate[:] = np.arange(2 * L + 1) == 5  # the step after four vectors
        return tuple(returned)

    found = verdict(COPY.name, answer)
    assert found.mistake == "never went back"
    assert "Case 2 of 4, called with L = 1, M = 5, xs of shape (3, 5)" in found.message


def test_unknown_mistake_in_what_a_head_is_told_shows_both_numbers() -> None:
    def answer(L: int, M: int) -> Any:
        returned = Told(*head_by_hand(L, M))
        returned.erase[2:3] = 0
        return tuple(returned)

    found = verdict(COPY.name, answer)
    assert found.mistake is None
    assert "what it reads differs" in found.message


def test_statement_says_what_a_head_may_be_told() -> None:
    text = " ".join(COPY.statement.split())
    for words in (
        "-1 ... 1, not all of them 0",
        "above 0 and at most 1000",
        "a sharpness of 1 to 100",
        "0 ... 1 for gate and erase",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sharpness", 101, "expected a number in 1 ... 100"),
        ("strength", 0, "expected a number above 0 and at most 1000"),
        ("gate", 1.1, "expected a number in 0 ... 1"),
        ("move", 2, "expected -1, 0 or 1"),
        ("key", 0, "expected numbers in -1 ... 1, not all 0"),
    ],
)
def test_what_a_head_may_not_be_told_is_refused(name: str, value: float, words: str) -> None:
    def answer(L: int, M: int) -> Any:
        returned = Told(*head_by_hand(L, M))
        return tuple(returned._replace(**{name: 0 * getattr(returned, name) + value}))

    assert words in verdict(COPY.name, answer).message
