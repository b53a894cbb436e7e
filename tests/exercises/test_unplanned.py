"""Answers that nobody planned: each is told what is wrong with it in words on which its author can act."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion.exercises import EXERCISES, Verdict, judge

E = {e.function: e for e in EXERCISES.values()}
softmax, cross_entropy, softmax_backward = (E[f].solution for f in ("softmax", "cross_entropy", "softmax_backward"))
adam, momentum, difference = (E[f].solution for f in ("adam_step", "momentum_step", "central_difference"))
hidden_layer, Tensor = E["hidden_layer_gradients"].solution, E["Tensor"].solution


class Empty:
    pass


def told(function: str, answer: Any, *words: str, status: str = "wrong", mistake: str | None = None) -> Verdict:
    """The verdict on an answer, after asserting that its message has all these words."""
    verdict = judge(E[function].name, answer)
    assert (verdict.status, verdict.mistake) == (status, mistake), str(verdict)
    for word in words:
        assert word in verdict.message, f"{word!r} is missing in: {verdict}"
    return verdict


# --- right numbers in the wrong dress: never taken for a mistake that happens to be right in this case


DRESSES: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "transposed": (
        lambda y: y.T,
        ("has shape (5, 3), expected an array of shape (3, 5)", "the transpose of the right"),
    ),
    "float32": (lambda y: y.astype(np.float32), ("dtype float32, expected float64", "keep the dtype of the arguments")),
    "list": (lambda y: y.tolist(), ("is a list, expected a NumPy array", "np.array(")),
    "trailing comma": (lambda y: (y,), ("is a tuple of 1", "stray comma")),
    "with a cache": (lambda y: (y, 3), ("is a tuple of 2, expected an array of shape (3, 5), without anything else",)),
    "dict": (lambda y: {"y": y}, ("is a dict", "expected an array of shape (3, 5)")),
    "generator": (lambda y: (row for row in y), ("is a generator", "expected an array of shape (3, 5)")),
    "flattened": (lambda y: y.ravel(), ("has shape (15,)", "only their shape is not")),
    "extra axis": (lambda y: y[:, :, None], ("has shape (3, 5, 1)", "only their shape is not")),
    "object": (lambda y: y.astype(object), ("dtype object, expected float64", "real numbers")),
    "complex": (lambda y: y + 0j, ("dtype complex128, expected float64", "real numbers")),
    "bool": (lambda y: y > 0.5, ("dtype bool, expected float64", "real numbers")),
    "integers": (lambda y: y.astype(int), ("dtype int64, expected float64", "lose their fraction")),
    "text": (lambda y: y.astype(str), ("expected float64", "real numbers")),
    "one column": (lambda y: y[:, :1], ("has shape (3, 1), expected an array of shape (3, 5)",)),
    "one number": (lambda y: 0.3, ("is the single number 0.3, expected an array of shape (3, 5)",)),
    "zero axes": (lambda y: np.array(0.3), ("is the single number 0.3, expected an array of shape (3, 5)",)),
    "a string": (lambda y: "0.3", ("is a str ('0.3'), expected an array of shape (3, 5)",)),
    "rows of different lengths": (lambda y: [[1, 2], [1]], ("is a list, expected a NumPy array",)),
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("function", ["softmax", "softmax_backward"])
def test_right_numbers_in_the_wrong_dress_are_told_so(function: str, dress: str) -> None:
    wrap, words = DRESSES[dress]
    message = told(function, lambda *case: wrap(E[function].solution(*case)), *words).message
    assert "Case 1 of 3, called with" in message
    assert "of shape (3, 5)" in message
    assert "That is" not in message


@pytest.mark.parametrize("answer", [lambda z: np.ma.array(softmax(z)), lambda z: np.asfortranarray(softmax(z))])
def test_subclass_or_memory_order_of_an_array_does_not_matter(answer: Any) -> None:
    assert judge("nn.softmax", answer).status == "correct"


# --- wrong numbers of no known kind


NUMBERS: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "NaN": (lambda z: z * np.nan, ("15 of 15 entries", "yours nan", "15 of your entries are not finite", "0 / 0")),
    "infinity": (lambda z: np.full_like(z, np.inf), ("yours inf, expected 0.1", "look for an overflow")),
    "a factor": (lambda z: 3 * softmax(z), ("Every entry of yours is 3 times the right one",)),
    "the input": (lambda z: z, ("That is the argument z, unchanged",)),
    "one entry": (lambda z: softmax(z) + np.eye(*z.shape) * [0, 1, 0, 0, 0], ("1 of 15 entries", "first at [1, 1]")),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_unknown_wrong_numbers_are_told_with_both_numbers(kind: str) -> None:
    wrong, words = NUMBERS[kind]
    assert re.search(r"yours \S+, expected \d", told("softmax", wrong, *words).message)


def test_numbers_that_hardly_differ_are_shown_with_enough_digits() -> None:
    def stabilised(z: Any) -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / (e.sum(axis=1, keepdims=True) + 1e-6)

    numbers = re.search(r"yours (\S+), expected (\S+)\.(?:\s|$)", told("softmax", stabilised).message)
    assert numbers is not None
    assert numbers[1] != numbers[2]
    loss = told("cross_entropy", lambda *case: (cross_entropy(*case)[0] * (1 + 1e-6), cross_entropy(*case)[1]))
    numbers = re.search(r"is (\S+), expected (\S+)\.(?:\s|$)", loss.message)
    assert numbers is not None
    assert numbers[1] != numbers[2]


def test_transpose_of_a_square_gradient_is_recognised() -> None:
    hunt = E["skip_layer_backward"].solution

    def answer(cache: Any, dy: Any) -> Any:
        dx, dW, db = hunt(cache, dy)
        return dx, dW.T, db

    told("skip_layer_backward", answer, "dW", "Yours is the transpose of the right answer", "central differences")


def test_wrong_gradient_is_told_what_the_gradient_check_says() -> None:
    told("softmax_backward", lambda y, dy: y + dy, "The gradient check disagrees most at [", "central differences of")


def test_answer_that_fails_only_in_a_later_case_is_told_in_which() -> None:
    told("softmax", lambda z: softmax(np.clip(z, -500, 500)), "Case 3 of 3", "of shape (2, 4) with entries up to 10000")
    told("softmax", lambda z: softmax(z) if len(z) == 3 else softmax(z)[:, ::-1], "Case 2 of 3", "z of shape (4, 6)")
    first_step = lambda *c: adam(*c) if c[4] > 1 else (c[0] - c[1], *adam(*c)[1:])  # noqa: E731
    told("adam_step", first_step, "adam_step: p differs", "Case 2 of 3", "t = 1, learning_rate = 0.5")
    told("softmax", lambda z: softmax(z) if len(z) == 3 else None, "missing `return`", "Case 2 of 3", status="not done")


def test_second_output_alone_can_be_wrong() -> None:
    words = ("hidden_layer_gradients: db_1 differs", "Every entry of yours is 7 times the right one")
    told(
        "hidden_layer_gradients",
        lambda *c: (hidden_layer(*c)[0], 7 * hidden_layer(*c)[1], *hidden_layer(*c)[2:]),
        *words,
    )
    told("momentum_step", lambda p, g, *c: (momentum(p, g, *c)[0], g), "v differs", "That is the argument g, unchanged")
    told(
        "cross_entropy", lambda *c: (np.full(3, cross_entropy(*c)[0]), 0), "the loss has shape (3,)", "a single number"
    )


# --- several results


def test_results_in_another_order_are_recognised() -> None:
    told("adam_step", lambda *c: np.roll(adam(*c), -1, axis=0).tolist(), "is a list", "That is m: the order is p, m, v")
    words = ("dW_1 has shape (6, 5)", "That is dW_2: the order is dW_1, db_1, dW_2, db_2")
    told("hidden_layer_gradients", lambda *c: hidden_layer(*c)[2:] + hidden_layer(*c)[:2], *words)
    exchanged = told("adam_step", lambda *c: adam(*c)[::-1], "That is v: the order is p, m, v")
    assert "More than one" not in exchanged.message
    and_a_third = told("adam_step", lambda *c: [2 * adam(*c)[0], *adam(*c)[:0:-1]], "Also wrong: m, v. More than one")
    assert "the order" not in and_a_third.message


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda y: y[:2], "returned a tuple of 2, expected 3 results: return p, m, v"),
        (lambda y: [*y, 0], "returned a list of 4, expected 3 results"),
        (lambda y: y[0], "returned an array of shape (3, 4), expected 3 results"),
        (lambda y: np.stack(y), "expected 3 results: return p, m, v"),
        (lambda y: dict(zip("pmv", y)), "returned a dict with the keys p, m, v, expected 3"),
        (lambda y: 1.5, "returned a float (1.5), expected 3 results"),
    ],
)
def test_wrong_number_of_results_is_told_which_are_wanted(wrap: Any, words: str) -> None:
    told("adam_step", lambda *case: wrap(adam(*case)), words)


def test_column_in_place_of_a_bias_gradient_is_not_broadcast() -> None:
    def with_bias(change: Callable[[Any], Any]) -> Callable[..., Any]:
        return lambda *c: (lambda d: (d[0], change(d[1]), *d[2:]))(hidden_layer(*c))

    words = ("expected an array of shape (5,)", "The numbers are right, only their shape is not")
    told("hidden_layer_gradients", with_bias(lambda b: b[:, None]), "db_1 has shape (5, 1)", *words)
    told("hidden_layer_gradients", with_bias(lambda b: b[None]), "db_1 has shape (1, 5)", *words)
    told("hidden_layer_gradients", with_bias(lambda b: b.mean()), "db_1 is the single number")
    told("hidden_layer_gradients", with_bias(lambda b: None), "db_1 is still None", status="not done")


def test_wrong_shape_of_a_gradient_over_all_entries_is_told() -> None:
    told("central_difference", lambda *c: difference(*c).ravel(), "shape (12,)", "only their shape is not")
    told("central_difference", lambda *c: difference(*c).sum(), "is the single number", "an array of shape (3, 4)")


# --- values


VALUES: list[tuple[Any, str]] = [
    ("2.30", "is a str ('2.30'), expected a single number"),
    ((2, 30), "is a tuple of 2, expected a single number"),
    ([2.3], "is a list ([2.3]), expected a single number"),
    (np.array([2.3]), "has shape (1,), expected a single number. The numbers are right, only their shape is not"),
    (True, "is a bool (True), expected a single number"),
    (np.True_, "is a bool (np.True_), expected a single number"),
    (2.3 + 0j, "is a complex ((2.3+0j)), expected a single number"),
    (np.complex128(2.3), "has dtype complex128, expected float64"),
    (np.nan, "is nan, expected a finite number"),
    (-np.inf, "is -inf, expected a finite number"),
    (10**400, "has dtype object, expected float64"),
    (2, "is 2, which is too small"),
    (Empty, "is an Empty (<"),
    (lambda p: 2.3, "raised TypeError"),
    (print, "returned None"),
]


@pytest.mark.parametrize(("answer", "words"), VALUES, ids=[words for _, words in VALUES])
def test_value_of_the_wrong_kind_is_told_so(answer: Any, words: str) -> None:
    told("initial_loss", answer, words, status="not done" if answer is print else "wrong")


# --- arguments changed in place


def test_right_numbers_do_not_excuse_a_changed_argument() -> None:
    def emptied(z: Any) -> Any:
        y = softmax(z)
        z[:] = 0
        return y

    def updated(p: Any, *rest: Any) -> Any:
        new = adam(p, *rest)
        p[:] = new[0]
        return p, *new[1:]

    for function, answer, argument in (("softmax", emptied, "z"), ("adam_step", updated, "p")):
        words = f"The numbers are right, but {function} changed its argument {argument} in place", "work on a copy"
        told(function, answer, *words)


def test_changed_argument_is_told_beside_the_wrong_numbers() -> None:
    def wrong(z: Any) -> Any:
        z -= z.mean()
        return 2 * z

    def never_restored(f: Any, x: Any, eps: float) -> Any:
        gradient = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            x[index] += eps
            above = f(x)
            x[index] -= 2 * eps
            gradient[index] = (above - f(x)) / (2 * eps)
        return gradient

    told("softmax", wrong, "yours", "It changed its argument z in place: work on a copy")
    words = ("Reread equation (central difference)", "It changed its argument x in place")
    told("central_difference", never_restored, *words, mistake="never put an entry back")


def test_tape_may_not_change_the_data_it_was_given() -> None:
    class Doubling(Tensor):  # type: ignore[misc, valid-type]
        def backward(self) -> None:
            super().backward()
            for tensor in self._in_order([], set()):
                tensor.data *= 1.0 if tensor.data.ndim == 0 else 2.0

    told("Tensor", Doubling, "changed its argument inputs in place")
