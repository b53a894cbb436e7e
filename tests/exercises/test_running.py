"""Answers that raise, never end, or are no answers at all."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from companion import exercises
from companion.exercises import EXERCISES, judge
from tests.exercises.test_unplanned import Empty, softmax, told

FUNCTIONS = ["softmax", "hidden_layer_gradients", "adam_step", "central_difference"]


@pytest.fixture(autouse=True)
def _tracing_is_left_as_it_was() -> Iterator[None]:
    before = sys.gettrace()
    yield
    assert sys.gettrace() is before


# --- no answer, or something else in its place


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", [None, ...])
def test_nothing_is_not_done_yet(name: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check(name, answer)
    assert capsys.readouterr().out.startswith(f"{name}: not done yet. Replace the `...` of {EXERCISES[name].function}")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_other_things_than_a_function_are_named(function: str) -> None:
    told(function, "softmax", "The answer is a str ('softmax'), expected a function", f"pass {function} itself")
    told(function, np.ones((2, 2)), "The answer is an array of shape (2, 2), expected a function", "not called")
    told(function, Empty, f"The answer is the class Empty, expected the function {function}")


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("nothing", "shown"), [(None, "None"), (..., "`...`")])
def test_function_without_a_result_is_not_done_yet(function: str, nothing: Any, shown: str) -> None:
    verdict = told(function, lambda *case: nothing, f"{function} returned {shown}", "`return`", status="not done")
    assert "Case" not in verdict.message


@pytest.mark.parametrize("function", FUNCTIONS)
def test_wrong_number_of_parameters_is_told_with_the_call(function: str) -> None:
    words = ("raised TypeError", "positional argument", "Case 1 of 3, called with", "of shape")
    told(function, lambda: 1, *words)
    told(function, lambda a, b, c, d, e, f, g, h, i, j, k: 1, "missing", *words)


def test_other_things_than_the_class_are_named() -> None:
    tensor = EXERCISES["nn.tape"].solution
    told("Tensor", tensor(1.0), "The answer is a Tensor (<", "expected the class Tensor itself, not called")
    told("Tensor", lambda data: tensor(data), "The answer is a function", "expected the class Tensor")
    told("Tensor", Empty, "Empty() takes no arguments", "expression = 'a.sum()', inputs (a of shape (3, 3))")

    class Unprintable:
        def __repr__(self) -> str:
            return str(self.missing)  # type: ignore[attr-defined]

    told("Tensor", Unprintable(), "The answer is an Unprintable (<")


def test_unfinished_tape_is_told_where_it_stops() -> None:
    tensor = EXERCISES["nn.tape"].solution

    class NoGradient(tensor):  # type: ignore[misc, valid-type]
        def backward(self) -> None:
            for t in self._in_order([], set()):
                t.grad = None

    class NoSum(tensor):  # type: ignore[misc, valid-type]
        def sum(self) -> None: ...

    class NoAddition(tensor):  # type: ignore[misc, valid-type]
        def __add__(self, other: Any) -> None: ...

    told("Tensor", NoGradient, "the gradient of a in a.sum() is still None", status="not done")
    told("Tensor", NoSum, "a.sum() is still None", status="not done")
    told("Tensor", NoAddition, "a + b is still None", status="not done")


def test_tape_that_returns_tensors_as_gradients_is_told_so() -> None:
    tensor = EXERCISES["nn.tape"].solution

    class Nested(tensor):  # type: ignore[misc, valid-type]
        def backward(self) -> None:
            super().backward()
            for t in self._in_order([], set()):
                t.grad = tensor(t.grad)

    told("Tensor", Nested, "the gradient of a in a.sum() is a Tensor (", "expected an array of shape (3, 3)")


# --- exceptions


def test_exception_is_told_with_type_text_line_and_shapes() -> None:
    def divided(z: Any) -> Any:
        largest = z.max(axis=1)
        return np.exp(z) / largest  # the reader's line

    words = ("softmax raised ValueError: operands could not be broadcast together with shapes (3,5) (3,)", "at line ")
    told("softmax", divided, *words, "np.exp(z) / largest  # the reader's line", "called with z of shape (3, 5)")


def test_line_shown_is_the_readers_and_not_a_librarys() -> None:
    def deep(z: Any) -> Any:
        return np.stack([z, z[0]])  # raises inside NumPy

    def deeper(z: Any) -> Any:
        import statistics

        return statistics.mean([])  # raises inside Python's own library

    told("softmax", deep, "return np.stack([z, z[0]])")
    told("softmax", deeper, "return statistics.mean([])", "StatisticsError")
    told("central_difference", lambda f, x, eps: f(x.ravel()), "lambda f, x, eps: f(x.ravel())")  # raises inside f


@pytest.mark.parametrize("filename", ["/home/ada/companion-course/answers.py", "/data/numpy-notes/a.py", "<cell>"])
def test_reader_may_work_in_a_folder_of_any_name(filename: str) -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def softmax(z):\n    y = 1\n    return y + missing\n", filename, "exec"), namespace)
    told("softmax", namespace["softmax"], "NameError: name 'missing' is not defined", "at line 3")


def test_exception_without_text_and_unwritten_parts_are_told() -> None:
    def asserting(z: Any) -> Any:
        raise AssertionError

    def unwritten(z: Any) -> Any:
        raise NotImplementedError

    told("softmax", asserting, "AssertionError: no message")
    told("softmax", unwritten, "it still raises NotImplementedError", status="not done")
    told("softmax", lambda z: sys.exit(3), "softmax raised SystemExit: 3", "sys.exit(3)")


def test_recursion_without_end_is_told() -> None:
    def again(z: Any) -> Any:
        return again(z)

    told("softmax", again, "RecursionError: maximum recursion depth exceeded", "again(z")


def test_interrupt_by_the_reader_is_not_swallowed() -> None:
    def interrupted(z: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge("nn.softmax", interrupted)


# --- time


ENDLESS: dict[str, Any] = {}
exec("def one_line(z):\n    while True: pass\n", ENDLESS)  # as text: the formatter would make it two lines
one_line = ENDLESS["one_line"]


def several_lines(z: Any) -> Any:
    while z is not None:
        z = z + 0


def catching(z: Any) -> Any:
    while True:
        try:
            z = z / 0
        except Exception:
            continue


def generating(z: Any) -> Any:
    return sum(1 for _ in itertools.count())


@pytest.mark.parametrize("endless", [one_line, several_lines, catching, generating])
def test_loop_without_end_is_stopped_in_time(endless: Any) -> None:
    start = time.monotonic()
    verdict = judge("nn.softmax", endless, seconds=0.3)
    assert time.monotonic() - start < 3
    assert verdict.status == "wrong"
    for words in ("stopped after 0.3 seconds", "a loop that never ends", "Case 1 of 3, called with z of shape (3, 5)"):
        assert words in verdict.message


@pytest.mark.parametrize("name", ["nn.initial_loss", "nn.tape"])
def test_values_and_classes_are_stopped_too(name: str) -> None:
    class Endless(EXERCISES["nn.tape"].solution):  # type: ignore[misc]
        def backward(self) -> None:
            one_line(None)

    verdict = judge(name, Endless if name == "nn.tape" else lambda: one_line(None), seconds=0.3)
    assert "stopped after 0.3 seconds" in verdict.message


def test_slow_loops_with_right_numbers_are_correct() -> None:
    def slow(z: Any) -> Any:
        y = np.zeros_like(z)
        for row, column in np.ndindex(z.shape):
            for _ in range(300):
                y[row, column] = softmax(z[row : row + 1])[0, column]
        return y

    assert judge("nn.softmax", slow).status == "correct"


def test_answer_that_prints_much_is_judged_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    def talking(z: Any) -> Any:
        print("shape", z.shape, "\n" * 1000)
        return softmax(z)

    exercises.check("nn.softmax", talking)
    assert capsys.readouterr().out.endswith("nn.softmax: correct. All 3 cases agree.\n")


def test_checker_stands_aside_for_a_debugger() -> None:
    def debugger(frame: Any, event: str, argument: Any) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(debugger)
    try:
        verdicts = [judge("nn.softmax", softmax), judge("nn.softmax", lambda z: z / 0 + missing)]  # type: ignore[name-defined]  # noqa: F821
        during = sys.gettrace()
    finally:
        sys.settrace(before)
    assert during is debugger
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong"]


def test_checker_works_in_another_thread() -> None:
    verdicts = []
    answers = (softmax, several_lines)
    thread = threading.Thread(target=lambda: verdicts.extend(judge("nn.softmax", a, seconds=0.3) for a in answers))
    thread.start()
    thread.join(10)
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong"]
    assert "stopped" in verdicts[1].message


def test_settings_of_numpy_are_left_as_they_were() -> None:
    def careless(z: Any) -> Any:
        np.seterr(all="raise")
        return softmax(z)

    before = np.geterr()
    judge("nn.softmax", careless)
    assert np.geterr() == before
