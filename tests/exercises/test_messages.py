"""What the messages promise: nothing false about the answer, nothing given away, and "not done yet" where nothing is done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.exercises import EXERCISES, judge, stub
from companion.exercises.judge import START_OVER
from companion.gradcheck import GradientError, check_gradients
from companion.ops import softmax
from companion.show import WIDTH, source
from tests.exercises.test_unplanned import Tensor, adam, cross_entropy, difference, hidden_layer, told

every_name = pytest.mark.parametrize("name", EXERCISES)
PREDICTIONS = {  # the number as a message would show it
    "nn.parameter_count": ("2410",),
    "nn.initial_loss": ("2.3",),
    "rnn.vanishing_lag": ("132",),
    "rnn.saturated_unit": ("0.166",),
    "lstm.parameter_count": ("23808",),
    "lstm.full_cell": ("60",),
    "lstm.forget_bias": ("4.97",),
    "bi.parameters": ("14720",),
    "seq.window": ("0.82",),
    "seq.table_size": ("19682",),
    "seq.state_count": ("243",),
}


# --- the tape, half written


class Queue(Tensor):  # type: ignore[misc, valid-type]
    """Walks from the result and marks what it has seen; `first` says from which end of the waiting line it takes the next."""

    first = 0

    def backward(self) -> None:
        self.grad = np.ones_like(self.data)
        waiting, seen = [self], {id(self)}
        while waiting:
            tensor = waiting.pop(self.first)
            for parent, share in tensor._parents:
                parent._receive(share(tensor.grad))
                if id(parent) not in seen:
                    seen.add(id(parent))
                    waiting.append(parent)


class Stack(Queue):
    first = -1


class Preorder(Tensor):  # type: ignore[misc, valid-type]
    def backward(self) -> None:
        self.grad = np.ones_like(self.data)
        self._visit(set())

    def _visit(self, seen: set[int]) -> None:
        if id(self) not in seen:
            seen.add(id(self))
            for parent, share in self._parents:
                parent._receive(share(self.grad))
                parent._visit(seen)


def test_walks_in_a_wrong_order_are_not_accepted() -> None:
    name = "visited a Tensor once, but before all of its shares had arrived"
    told("Tensor", Queue, "breadth-first", "Sort the tape depth first", mistake=name)
    told("Tensor", Preorder, mistake=name)
    told("Tensor", Stack, "(h.tanh().tanh() + h).sum() with h = a.tanh() differs")


def test_backward_without_a_body_is_not_done_yet() -> None:
    class Dots(Tensor):  # type: ignore[misc, valid-type]
        def backward(self) -> None: ...

    class Described(Tensor):  # type: ignore[misc, valid-type]
        def backward(self) -> None:
            """Still to be written."""

    class Begun(Tensor):  # type: ignore[misc, valid-type]
        def backward(self) -> None:
            self._in_order([], set())

    for answer in (Dots, Described):
        told("Tensor", answer, "Tensor: backward does nothing yet", status="not done")
    told("Tensor", Begun, mistake="never set the gradient of the result to 1")


@pytest.mark.parametrize(
    ("method", "text"),
    [("tanh", "a.tanh()"), ("__mul__", "a * b"), ("__matmul__", "a @ b"), ("__add__", "a + b"), ("sum", "a.sum()")],
)
@pytest.mark.parametrize("nothing", [None, ...])
def test_operation_without_a_body_is_not_done_yet(method: str, text: str, nothing: Any) -> None:
    answer = type("Tensor", (Tensor,), {method: lambda self, *other: nothing})
    told("Tensor", answer, f"Tensor: {text} is still {nothing}", status="not done")


def test_operation_that_drops_its_parents_is_not_blamed_on_the_walk() -> None:
    answer = type("Tensor", (Tensor,), {"__add__": lambda self, other: Tensor(self.data + other.data)})
    told("Tensor", answer, "the gradient of a in (a + b).sum() differs", "yours 0, expected 1")


def test_axes_of_length_one_are_told_by_themselves() -> None:
    answer = type(
        "Tensor", (Tensor,), {"_unbroadcast": lambda self, dy: dy.sum(tuple(range(dy.ndim - self.data.ndim)))}
    )
    name = "did not sum the gradient along axes of length 1"
    told("Tensor", answer, "also along axes of length 1", mistake=name)


# --- two outputs, of which one is right


def loss_and_gradient(loss: Any, dlogits: Any) -> Any:
    def answer(logits: Any, labels: Any) -> Any:
        right = cross_entropy(logits, labels)
        return loss(right[0], logits), dlogits(right[1], logits)

    return answer


def test_one_wrong_output_is_not_told_as_two() -> None:
    same = lambda right, logits: right  # noqa: E731
    summed = loss_and_gradient(lambda loss, logits: loss * len(logits), same)
    message = told(
        "cross_entropy", summed, "loss is B times", mistake="summed the loss over the batch instead of averaging it"
    ).message
    assert "Loss and gradient" not in message
    for loss, dlogits, where, name in (
        (lambda loss, logits: -loss, same, "the loss", "forgot the minus sign of the loss"),
        (same, lambda d, z: d / z.shape[1], "dlogits", "divided by the number of entries B K instead of B"),
    ):
        words = (f"In {where}, it looks as if you {name}; the rest is right.", "Reread equation (cross entropy).")
        message = told("cross_entropy", loss_and_gradient(loss, dlogits), *words, mistake=name).message
        assert START_OVER not in message


def test_effect_on_all_outputs_is_not_claimed_when_another_is_wrong_in_another_way() -> None:
    name = "forgot the slope of tanh"
    (mistake,) = [m for m in EXERCISES["nn.hidden_layer_gradients"].mistakes if m.name == name]
    answer = lambda *case: (*mistake.answer(*case)[:3], 2 * mistake.answer(*case)[3])  # noqa: E731
    message = told("hidden_layer_gradients", answer, f"In dW_1, it looks as if you {name}.", mistake=name).message
    assert mistake.effect not in message
    assert message.endswith(START_OVER)


@pytest.mark.parametrize("constant", [1e-7, 1e-8, 1e-12, 1e-15])
def test_constant_in_the_logarithm_is_named_whether_added_or_clipped(constant: float) -> None:
    def answer(logits: Any, labels: Any) -> Any:
        y = np.clip(softmax(logits), constant, None)
        return -np.log(y[np.arange(len(labels)), labels]).mean(), cross_entropy(logits, labels)[1]

    told("cross_entropy", answer, mistake=f"kept the probability from 0 with a constant of {constant:g}")


# --- the step of a numerical gradient


@pytest.mark.parametrize("constant", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_numerical_gradient_that_ignores_eps_is_wrong(constant: float) -> None:
    verdict = judge("nn.central_difference", lambda f, x, eps: difference(f, x, constant))
    assert verdict.status == "wrong"
    assert constant == 1e-2 or verdict.mistake == "moved x by another distance than eps"


def test_numerical_gradient_over_the_distance_eps_is_right_too() -> None:
    assert judge("nn.central_difference", lambda f, x, eps: difference(f, x, eps / 2)).status == "correct"


# --- numbers that no known mistake explains


def test_unknown_numbers_send_the_reader_to_the_first_hint_once() -> None:
    for function, answer in (
        ("softmax", lambda z: softmax(z) ** 2),
        ("softmax_backward", lambda y, dy: y + dy),
        ("hidden_layer_gradients", lambda *case: [np.cos(d) for d in hidden_layer(*case)]),
        ("Tensor", type("Tensor", (Tensor,), {"tanh": lambda self: Tensor(np.sin(self.data))})),
    ):
        head, _, where = told(function, answer).message.partition("\n")
        assert head.endswith(START_OVER)
        assert head.count(START_OVER) == 1
        assert where.startswith("  Case ")
    assert START_OVER not in told("softmax", lambda z: softmax(z).T).message  # the shape says enough


def test_random_numbers_and_unfilled_arrays_are_recognised_by_calling_again() -> None:
    rng = np.random.default_rng(1)
    fresh = lambda dy, keep, rate: np.where(rng.random(dy.shape) >= rate, dy / (1 - rate), 0)  # noqa: E731
    told("dropout_backward", fresh, "Called again with the same arguments", "random numbers")
    assert "Called again" not in told("dropout_backward", lambda dy, keep, rate: dy + keep).message


def test_lost_axis_is_asked_about_only_where_it_fits() -> None:
    question = "A sum or maximum over an axis drops that axis: did you mean keepdims=True?"
    told("softmax", lambda z: z / z.sum(axis=1), "shapes (3,5) (3,)", question)
    told("softmax", lambda z: z.max(axis=1) - z, "shapes (3,) (3,5)", question)
    for other in ((2, 7), (3, 4), (4,)):
        assert question not in told("softmax", lambda z, other=other: z + np.ones(other), "raised ValueError").message


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (np.stack, "returned an array of shape (3, 3, 4), expected 3 results"),
        (lambda y: list(y) * 2, "returned a list of 6, expected 3 results"),
        (lambda y: dict(zip("pmv", y)), "returned a dict with the keys p, m, v, expected 3 results"),
    ],
)
def test_long_results_are_told_by_their_size(wrap: Any, words: str) -> None:
    assert "[" not in told("adam_step", lambda *case: wrap(adam(*case)), words).message


# --- predictions


@pytest.mark.parametrize("name", PREDICTIONS)
def test_wrong_prediction_never_reveals_the_number(name: str) -> None:
    right = float(EXERCISES[name].solution())
    strange = [
        np.array(1.5),
        np.int64(2400),
        10**16,
        10**400,
        np.float32(3),
        np.array([1.5]),
        np.array(7),
        right * 1.01,
    ]
    strange += ["1", [1.5], (1, 5), True, np.nan, -np.inf, 1 + 0j, np.array("1"), np.array(True), [[1], [1, 2]], print]
    for answer in [*strange, *(mistake.answer for mistake in EXERCISES[name].mistakes)]:
        message = judge(name, answer).message
        shown = f"{answer:.12g}" if isinstance(answer, float) else "no number"
        assert not any(number in message.replace(shown, "") for number in PREDICTIONS[name]), message
    assert "2410.0001, which is too large" in judge("nn.parameter_count", 2410.0001).message


# --- what is shown


@every_name
def test_no_line_of_a_stub_or_of_given_code_is_too_wide_for_a_page(name: str) -> None:
    code = [stub(EXERCISES[name]), *map(source, EXERCISES[name].given)]
    assert [line for line in "\n".join(code).splitlines() if len(line) > WIDTH] == []


@pytest.mark.parametrize(("name", "named"), [("nn.hunt_relu", "W"), ("nn.hunt_skip", "x")])
def test_gradient_check_names_the_input_that_the_hunt_speaks_of(name: str, named: str) -> None:
    forward, backward = EXERCISES[name].given
    rng = np.random.default_rng(0)
    inputs = {"W": rng.normal(size=(4, 4)), "b": rng.normal(size=4), "x": rng.normal(size=(6, 4))}
    with pytest.raises(GradientError, match=f"gradient of {named} differs") as caught:
        check_gradients(
            forward,
            lambda cache, dy: {name: dict(zip("xWb", backward(cache, dy)))[name] for name in "Wbx"},
            inputs,
            rng,
        )
    assert str(caught.value).count("gradient of") == 1
    assert "W, b and x in this order" in " ".join(EXERCISES[name].statement.split())
