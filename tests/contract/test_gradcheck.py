"""The gradient check itself: it passes what is right, and catches and locates every planted mistake."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion import ops
from companion.gradcheck import GradientError, check_gradients, numerical_gradient
from companion.tree import tree_items

B, D, H, K = 3, 4, 5, 6

NUMBER = r"(-?[\d.]+(?:e[-+]\d+)?|nan|-?inf)"
MESSAGE = re.compile(
    rf"gradient of (\S+) differs .*\(relative error \S+ along a random direction\)\n"
    rf"  most at \S+?\[([\d, ]*)\]: backward pass {NUMBER}, central differences {NUMBER}\n"
    r"  (\d+) of (\d+) entries differ"
)

Backward = Callable[[Any, Any], Any]


class Subject:
    """A function with a right backward pass, and its inputs."""

    def __init__(self, forward: Callable[..., tuple[Any, Any]], backward: Backward, **shapes: tuple[int, ...]) -> None:
        self.forward, self.backward, self.shapes = forward, backward, shapes

    def inputs(self, rng: np.random.Generator) -> dict[str, Any]:
        return {name: rng.normal(size=shape) for name, shape in self.shapes.items()}


def keep_inputs(f: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    return lambda **inputs: (f(**inputs), inputs)


LINEAR = Subject(
    keep_inputs(lambda W, b, x: x @ W.T + b),
    lambda c, dy: {"W": dy.T @ c["x"], "b": dy.sum(axis=0), "x": dy @ c["W"]},
    W=(H, D), b=(H,), x=(B, D),
)  # fmt: skip
SQUARE = Subject(
    keep_inputs(lambda W, x: x @ W.T), lambda c, dy: {"W": dy.T @ c["x"], "x": dy @ c["W"]}, W=(D, D), x=(B, D)
)
SIGMOID = Subject(lambda z: (ops.sigmoid(z),) * 2, lambda y, dy: {"z": dy * y * (1 - y)}, z=(B, K))
TANH = Subject(keep_inputs(lambda z: np.tanh(z)), lambda c, dy: {"z": dy * (1 - np.tanh(c["z"]) ** 2)}, z=(B, K))
PRODUCT = Subject(
    keep_inputs(lambda z: z * np.sin(z)),
    lambda c, dy: {"z": dy * (np.sin(c["z"]) + c["z"] * np.cos(c["z"]))},
    z=(B, K),
)
SOFTMAX = Subject(lambda z: (ops.softmax(z),) * 2, lambda y, dy: {"z": ops.softmax_backward(y, dy)}, z=(B, K))
TWICE = Subject(
    keep_inputs(lambda x: np.tanh(x) @ x.T),
    lambda c, dy: {"x": (dy @ c["x"]) * (1 - np.tanh(c["x"]) ** 2) + dy.T @ np.tanh(c["x"])},
    x=(B, D),
)
MEAN = Subject(
    keep_inputs(lambda x: float((x**2).mean())), lambda c, dy: {"x": dy * 2 * c["x"] / c["x"].size}, x=(B, D)
)
MASK = np.array([[1.0, 0, 1, 1, 0, 1], [0, 1, 1, 0, 1, 1], [1, 1, 0, 1, 0, 0]])
MASKED = Subject(keep_inputs(lambda z: np.exp(z) * MASK), lambda c, dy: {"z": dy * MASK * np.exp(c["z"])}, z=(B, K))
LARGE = Subject(keep_inputs(lambda x: x**3), lambda c, dy: {"x": dy * 3 * c["x"] ** 2}, x=(20, 30))
SUBJECTS = {
    "linear": LINEAR, "square linear": SQUARE, "sigmoid": SIGMOID, "tanh": TANH, "product": PRODUCT,
    "softmax": SOFTMAX, "twice": TWICE, "mean": MEAN, "masked": MASKED, "large": LARGE,
}  # fmt: skip


def one_entry(gradient: Any, index: tuple[int, ...], change: Callable[[Any], Any]) -> Any:
    gradient = gradient.copy()
    gradient[index] = change(gradient[index])
    return gradient


def altered(subject: Subject, name: str, change: Callable[[Any, Any, Any], Any]) -> Backward:
    """The right backward pass with one gradient replaced by change(right gradient, cache, dy)."""

    def backward(cache: Any, dy: Any) -> Any:
        right = subject.backward(cache, dy)
        return right | {name: change(right[name], cache, dy)}

    return backward


# name: (subject, input whose gradient is wrong, wrong gradient from the right one, the cache and dy)
MISTAKES: dict[str, tuple[Subject, str, Callable[[Any, Any, Any], Any]]] = {
    "wrong sign": (LINEAR, "W", lambda g, c, dy: -g),
    "factor 2 missing": (MEAN, "x", lambda g, c, dy: g / 2),
    "sum where the mean was asked": (MEAN, "x", lambda g, c, dy: g * c["x"].size),
    "bias averaged over the batch": (LINEAR, "b", lambda g, c, dy: dy.mean(axis=0)),
    "bias from one example": (LINEAR, "b", lambda g, c, dy: dy[0]),
    "bias summed over units": (LINEAR, "b", lambda g, c, dy: np.full(H, dy.sum())),
    "square weight transposed": (SQUARE, "W", lambda g, c, dy: g.T),
    "x through the transposed square weight": (SQUARE, "x", lambda g, c, dy: dy @ c["W"].T),
    "1 - y for y (1 - y)": (SIGMOID, "z", lambda g, y, dy: dy * (1 - y)),
    "1 - y^2 for y (1 - y)": (SIGMOID, "z", lambda g, y, dy: dy * (1 - y**2)),
    "tanh' at the pre-activation": (TANH, "z", lambda g, c, dy: dy * (1 - c["z"] ** 2)),
    "one term of a product forgotten": (PRODUCT, "z", lambda g, c, dy: dy * np.sin(c["z"])),
    "only the diagonal of the softmax Jacobian": (SOFTMAX, "z", lambda g, y, dy: dy * y * (1 - y)),
    "softmax sum over the batch": (SOFTMAX, "z", lambda g, y, dy: y * (dy - (dy * y).sum(axis=0))),
    "overwritten where it should be summed": (TWICE, "x", lambda g, c, dy: dy.T @ np.tanh(c["x"])),
    "path detached": (TWICE, "x", lambda g, c, dy: (dy @ c["x"]) * (1 - np.tanh(c["x"]) ** 2)),
    "mask ignored": (MASKED, "z", lambda g, c, dy: dy * np.exp(c["z"])),
    "mask inverted": (MASKED, "z", lambda g, c, dy: dy * (1 - MASK) * np.exp(c["z"])),
    "upstream gradient ignored": (LARGE, "x", lambda g, c, dy: 3 * c["x"] ** 2),
    "one part in ten thousand": (LARGE, "x", lambda g, c, dy: g * 1.0001),
    "a single entry of a large array": (LARGE, "x", lambda g, c, dy: one_entry(g, (17, 4), lambda value: value + 0.01)),
    "all zero": (LARGE, "x", lambda g, c, dy: 0 * g),
    "NaN in one entry": (LARGE, "x", lambda g, c, dy: one_entry(g, (3, 28), lambda _: np.nan)),
    "infinity in one entry": (LARGE, "x", lambda g, c, dy: one_entry(g, (0, 1), lambda _: np.inf)),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_right_gradient_passes(name: str, rng: np.random.Generator) -> None:
    subject = SUBJECTS[name]
    report = check_gradients(subject.forward, subject.backward, subject.inputs(rng), rng)
    assert [c.name for c in report.comparisons] == list(subject.shapes)
    assert all(c.numeric == pytest.approx(c.analytic, rel=1e-5) and c.numeric != 0 for c in report.comparisons)
    assert report.worst == max(c.error for c in report.comparisons) < 1e-7


@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_caught_and_its_worst_entry_named(name: str, rng: np.random.Generator) -> None:
    subject, wrong_input, change = MISTAKES[name]
    inputs, seen = subject.inputs(rng), {}

    def backward(cache: Any, dy: Any) -> Any:
        seen["right"] = subject.backward(cache, dy)[wrong_input]
        seen["wrong"] = change(seen["right"], cache, dy)
        return altered(subject, wrong_input, change)(cache, dy)

    with pytest.raises(GradientError) as raised:
        check_gradients(subject.forward, backward, inputs, rng)
    match = MESSAGE.fullmatch(str(raised.value))
    assert match, str(raised.value)
    named, at, analytic, numeric, n_wrong, n = match.groups()
    index = tuple(int(k) for k in at.split(","))
    difference = np.abs(seen["wrong"] - seen["right"])
    difference[np.isnan(difference)] = np.inf
    assert named == wrong_input
    # A gradient and its transpose differ most at two entries alike; every other mistake has one worst entry.
    worst = np.argwhere((difference == np.inf) | (difference > (1 - 1e-6) * difference.max()))
    assert len(worst) == (2 if name == "square weight transposed" else 1)
    assert index in {tuple(entry) for entry in worst.tolist()}
    assert float(analytic) == pytest.approx(seen["wrong"][index], rel=1e-4, nan_ok=True)
    assert float(numeric) == pytest.approx(seen["right"][index], rel=1e-4, abs=1e-8)
    assert int(n) == difference.size
    assert 1 <= int(n_wrong) <= (difference > 0).sum()


def test_a_single_wrong_entry_is_counted_as_one(rng: np.random.Generator) -> None:
    subject, name, change = MISTAKES["a single entry of a large array"]
    with pytest.raises(GradientError, match=r"most at x\[17, 4\][^\n]*\n  1 of 600 entries differ"):
        check_gradients(subject.forward, altered(subject, name, change), subject.inputs(rng), rng)


def test_a_gradient_of_nan_is_caught_where_the_true_gradient_is_zero(rng: np.random.Generator) -> None:
    x = -rng.uniform(1, 2, (B, D))
    with pytest.raises(GradientError, match=r"most at x\[0, 0\]: backward pass nan, central differences 0"):
        check_gradients(keep_inputs(lambda x: ops.relu(x)), lambda c, dy: {"x": np.nan * dy}, {"x": x}, rng)


def test_a_true_gradient_of_zero_passes_although_differences_are_rounding(rng: np.random.Generator) -> None:
    """Softmax does not feel a shift of its row, so central differences along the shift are noise."""
    z = rng.normal(size=(B, K))

    def forward(shift: Any) -> tuple[Any, Any]:
        y = ops.softmax(z + shift)
        return y, y

    def backward(y: Any, dy: Any) -> Any:
        return {"shift": ops.softmax_backward(y, dy).sum(axis=1, keepdims=True)}

    shift = {"shift": rng.normal(size=(B, 1))}
    check_gradients(forward, backward, shift, rng)
    with pytest.raises(GradientError, match="gradient of shift differs"):
        check_gradients(forward, lambda y, dy: {"shift": backward(y, dy)["shift"] + 1e-7}, shift, rng)


def test_the_printed_report_shows_both_numbers_of_every_input(rng: np.random.Generator) -> None:
    report = check_gradients(LINEAR.forward, LINEAR.backward, LINEAR.inputs(rng), rng)
    header, *rows = str(report).splitlines()
    assert header.split() == ["input", "numeric", "analytic", "rel.", "error"]
    for row, comparison in zip(rows, report.comparisons, strict=True):
        name, numeric, analytic, error = row.split()
        assert name == comparison.name
        assert float(numeric) == pytest.approx(comparison.numeric, rel=1e-5)
        assert float(analytic) == pytest.approx(comparison.analytic, rel=1e-5)
        assert float(error) == pytest.approx(comparison.error, rel=0.5)


def test_the_two_numbers_come_from_two_computations(rng: np.random.Generator) -> None:
    inputs = LINEAR.inputs(rng)
    right = check_gradients(LINEAR.forward, LINEAR.backward, inputs, np.random.default_rng(4))
    doubled = altered(LINEAR, "W", lambda g, c, dy: 2 * g)
    wrong = check_gradients(LINEAR.forward, doubled, inputs, np.random.default_rng(4), rtol=1.0)
    assert wrong.comparisons[0].numeric == right.comparisons[0].numeric
    assert wrong.comparisons[0].analytic == 2 * right.comparisons[0].analytic
    assert 1e-3 < wrong.worst < 0.501


def test_inputs_and_outputs_may_be_trees_and_are_named_by_path(rng: np.random.Generator) -> None:
    inputs = {"params": ops.linear_init(rng, D, H), "xs": [rng.normal(size=(B, D)), rng.normal(size=(2, D))]}

    def forward(params: Any, xs: Any) -> tuple[Any, Any]:
        return {"low": ops.linear(params, xs[0])[0], "high": ops.linear(params, xs[1])[0]}, (params, xs)

    def backward(cache: Any, dy: Any) -> Any:
        params, xs = cache
        low, dlow = ops.linear_backward(params, xs[0], dy["low"])
        high, dhigh = ops.linear_backward(params, xs[1], dy["high"])
        return {"params": ops.LinearParams(low.W + high.W, low.b + high.b), "xs": [dlow, dhigh]}

    report = check_gradients(forward, backward, inputs, rng)
    assert [c.name for c in report.comparisons] == ["params.W", "params.b", "xs.0", "xs.1"]
    with pytest.raises(GradientError, match=r"gradient of xs\.1 differs[^\n]*\n  most at xs\.1\["):
        check_gradients(
            forward, lambda c, dy: (g := backward(c, dy)) | {"xs": [g["xs"][0], 1.01 * g["xs"][1]]}, inputs, rng
        )


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda g: {"W": g["W"], "b": g["b"]}, r"returned gradients \{'W': \(5, 4\), 'b': \(5,\)\}, expected .*'x'"),
        (lambda g: g | {"y": g["x"]}, r"'y': \(3, 4\)\}, expected"),
        (lambda g: g | {"b": g["b"][None]}, r"'b': \(1, 5\).*expected .*'b': \(5,\)"),
        (lambda g: g | {"W": None}, r"'W': \(\).*expected .*'W': \(5, 4\)"),
        (lambda g: g | {"W": g["W"].astype(np.float32)}, "gradient of W is float32, expected float64"),
    ],
    ids=["missing", "extra", "other shape", "None", "float32"],
)
def test_a_gradient_of_another_form_is_refused(change: Any, fragment: str, rng: np.random.Generator) -> None:
    with pytest.raises(GradientError, match=fragment):
        check_gradients(LINEAR.forward, lambda c, dy: change(LINEAR.backward(c, dy)), LINEAR.inputs(rng), rng)


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda x: x.astype(np.float32), r"check_gradients: x has dtype float32, expected float64"),
        (lambda x: x.astype(int), r"check_gradients: x holds integers, which have no gradient"),
        (lambda x: float(x[0, 0]), r"check_gradients: x is a float, expected a NumPy array of float64"),
        (lambda x: one_entry(x, (2, 1), lambda _: np.nan), r"check_gradients: x has 1 values.*\[2, 1\] \(nan\)"),
    ],
    ids=["float32", "int", "float", "NaN"],
)
def test_an_input_that_cannot_be_checked_is_a_value_error(change: Any, fragment: str, rng: np.random.Generator) -> None:
    inputs = LINEAR.inputs(rng)
    with pytest.raises(ValueError, match=fragment):
        check_gradients(LINEAR.forward, LINEAR.backward, inputs | {"x": change(inputs["x"])}, rng)


def test_checking_leaves_the_inputs_as_they_were(rng: np.random.Generator) -> None:
    inputs = LINEAR.inputs(rng)
    before = {name: array.copy() for name, array in inputs.items()}
    check_gradients(LINEAR.forward, LINEAR.backward, inputs, rng)
    for name, array in tree_items(inputs):
        np.testing.assert_array_equal(array, before[name])


def test_numerical_gradient_of_a_cubic_is_known_and_leaves_x_alone(rng: np.random.Generator) -> None:
    x, weights = rng.normal(size=(B, D)), rng.normal(size=(B, D))
    before = x.copy()
    gradient = numerical_gradient(lambda x: float((weights * x**3).sum()), x)
    np.testing.assert_allclose(gradient, 3 * weights * x**2, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(x, before)


def test_numerical_gradient_of_float32_is_refused() -> None:
    with pytest.raises(ValueError, match="numerical_gradient: x has dtype float32, expected float64"):
        numerical_gradient(lambda x: float(x.sum()), np.ones(D, np.float32))
