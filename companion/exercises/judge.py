"""Judging an answer: run it on every case, compare, and say in words what is wrong.

The order is: does it run, shape, dtype, values, output by output; then whether the arguments were left alone. Wrong numbers
are first looked up among the exercise's known mistakes; what is not known there is told with both numbers.
"""

import inspect
import time
import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal, NamedTuple

import numpy as np

from companion.exercises.compare import described, same, wrong_kind, wrong_values
from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.sandbox import TimeUp, call_before, called_with, explain
from companion.tree import tree_items

SEED = 1  # of the cases
START_OVER = " More than one thing may be wrong; start with hint 1."


class Verdict(NamedTuple):
    """What the checker found; print it to read it."""

    exercise: str
    status: Literal["correct", "wrong", "not done"]
    message: str
    mistake: str | None = None  # the name of the known mistake, if it is one

    def __str__(self) -> str:
        head = {"correct": "correct.", "wrong": "not right yet.", "not done": "not done yet."}[self.status]
        return f"{self.exercise}: {head} {self.message}".rstrip()


class Unanswered(Exception):
    """The answer is still the stub."""


class Problem(Exception):
    """The answer is wrong; the text says why, and `mistake` is the name if it is a known one."""

    def __init__(self, text: str, mistake: str | None = None) -> None:
        super().__init__(text)
        self.mistake = mistake


def judge(exercise: Exercise, answer: Any, seconds: float = 10.0) -> Verdict:
    """Run `answer` on every case of the exercise and return the verdict; `seconds` is for all cases together."""
    where, number = "", 0  # which call it was about
    changed: list[str] = []
    try:
        run = _callable(exercise, answer)
        deadline = time.monotonic() + seconds
        cases = list(exercise.cases(np.random.default_rng(SEED)))
        for number, case in enumerate(cases, start=1):
            if case:
                where = f"\n  Case {number} of {len(cases)}, called with {called_with(_arguments(exercise, case))}."
            changed += _judge_case(exercise, run, cases[:number], deadline)
    except Unanswered as unanswered:
        return Verdict(exercise.name, "not done", str(unanswered) + (where if number > 1 else ""))
    except Problem as problem:
        known_at_once = problem.mistake and number == 1
        return Verdict(exercise.name, "wrong", str(problem) + ("" if known_at_once else where), problem.mistake)
    except TimeUp:
        text = (
            f"{exercise.function} was stopped after {seconds:g} seconds; the solution takes milliseconds. "
            "Look for a loop that never ends, as a `while` whose condition stays true."
        )
        return Verdict(exercise.name, "wrong", text + where)
    if changed:
        text = (
            f"The numbers are right, but {exercise.function} changed its argument {changed[0]} in place, and its caller"
        )
        exact = "Adding a number and subtracting it again does not give the old value back to the last digit"
        return Verdict(exercise.name, "wrong", f"{text} still needs the old values: work on a copy. ({exact}.)")
    return Verdict(exercise.name, "correct", f"All {len(cases)} cases agree." if len(cases) > 1 else "")


def outputs(exercise: Exercise, answer: Any, case: tuple[Any, ...]) -> Mapping[str, Any]:
    """What `answer` returns on the case, by the names of the exercise's outputs; raises Unanswered or Problem."""
    function, names = exercise.function, exercise.outputs
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an overflow shows in the numbers, where the check explains it
        if exercise.run is not None:
            named = exercise.run(answer, *case)
        else:
            result = answer(*case)
            if result is None or result is ...:
                raise Unanswered(_nothing(function, result))
            if len(names) == 1:
                named = {names[0]: result}
            elif isinstance(result, tuple | list) and len(result) == len(names):
                named = dict(zip(names, result, strict=True))
            else:
                short = f"a {type(result).__name__} of {len(result)}" if isinstance(result, tuple | list) else ""
                raise Problem(
                    f"{function} returned {short or described(result)}, expected {len(names)} results: return {', '.join(names)}."
                )
    missing = [name for name, value in named.items() if value is None or value is ...]
    if missing and tuple(missing) == exercise.outputs[:1]:
        raise Unanswered(_nothing(function, named[missing[0]]))
    if missing:
        raise Unanswered(f"{function}: {missing[0]} is still {named[missing[0]]}.")
    return named


def _nothing(function: str, result: Any) -> str:
    return f"{function} returned {'None' if result is None else '`...`'}: write its body, or add the missing `return`."


def known_mistake(
    exercise: Exercise,
    cases: list[tuple[Any, ...]],
    received: Mapping[str, Any],
    wanted: Mapping[str, Any],
    first: str,
) -> tuple[Mistake | None, bool]:
    """The known mistake that gives the same wrong numbers in the last of the cases, and whether it does in every output.

    Otherwise it gives those of the first output that differs. A mistake that happens to be right in that output of this
    case explains nothing, nor does one that is wrong in an earlier case, where the answer was right.
    """
    *earlier, case = cases
    candidates = []
    for mistake in exercise.mistakes:
        try:
            wrong = outputs(exercise, mistake.answer, deepcopy(case))
        except Exception:  # not every mistake runs on every case
            continue
        if same(wrong[first], wanted[first], exercise.rtol) or not same(received[first], wrong[first], exercise.rtol):
            continue
        everywhere = all(same(received[name], wrong[name], exercise.rtol) for name in wanted)
        if all(_is_right(exercise, mistake.answer, before, None if everywhere else first) for before in earlier):
            if everywhere:
                return mistake, True
            candidates.append(mistake)
    return (candidates[0] if candidates else None), False


def _is_right(exercise: Exercise, answer: Any, case: tuple[Any, ...], name: str | None) -> bool:
    """Whether an answer is right on a case: in the output of this name if the case has it, otherwise in all."""
    wanted = outputs(exercise, exercise.solution, deepcopy(case))
    try:
        received = outputs(exercise, answer, deepcopy(case))
    except Exception:
        return False
    names = [name] if name is not None and name in wanted else list(wanted)
    return all(same(received[key], wanted[key], exercise.rtol) for key in names)


def _callable(exercise: Exercise, answer: Any) -> Any:
    """The answer as something to call; a number, for an exercise whose answer is a value, becomes a function of nothing."""
    function, solution = exercise.function, exercise.solution
    if answer is None or answer is ...:
        raise Unanswered(f"Replace the `...` of {function} by your answer.")
    if isinstance(solution, type):
        if not isinstance(answer, type):
            raise Problem(f"The answer is {described(answer)}, expected the class {function} itself, not called.")
        return answer
    if not inspect.signature(solution).parameters:
        return answer if callable(answer) else lambda: answer
    if isinstance(answer, type):
        raise Problem(f"The answer is the class {answer.__name__}, expected the function {function}.")
    if not callable(answer):
        raise Problem(f"The answer is {described(answer)}, expected a function: pass {function} itself, not called.")
    return answer


def _judge_case(exercise: Exercise, answer: Any, cases: list[tuple[Any, ...]], deadline: float) -> list[str]:
    """Raise Unanswered or Problem unless the answer is right on the last case; return the arguments that it changed."""
    case = cases[-1]
    wanted = outputs(exercise, exercise.solution, deepcopy(case))
    own = deepcopy(case)
    try:
        received = call_before(deadline, lambda: outputs(exercise, answer, own))
    except (Unanswered, Problem):
        raise
    except NotImplementedError as error:
        raise Unanswered(f"{exercise.function}: {str(error) or 'it still raises NotImplementedError'}.") from error
    except (Exception, SystemExit) as error:
        raise Problem(explain(error, exercise.function)) from error
    changed = [
        name for name, value in _arguments(exercise, case).items() if _differs(value, _arguments(exercise, own)[name])
    ]
    warning = f" It changed its argument {changed[0]} in place: work on a copy." if changed else ""
    wrong = [name for name in wanted if _difference(exercise, name, received, wanted)]
    if not wrong:
        return changed
    first = wrong[0]
    mistake, everywhere = known_mistake(exercise, cases, received, wanted, first)
    if mistake is not None:
        raise Problem(_told(mistake, "" if everywhere else first, len(wrong) == 1) + warning, mistake.name)
    if not case and _is_number(received[first]):
        what = exercise.function if len(wanted) == 1 else f"{exercise.function}: {first}"
        raise Problem(_too(what, float(received[first]), wanted[first]))
    text = _difference(exercise, first, received, wanted)
    text += _taken_for(exercise, case, first, received[first], wanted) or _numeric(
        exercise, case, first, received[first]
    )
    only_order = all(_other_output(exercise, name, received[name], wanted) for name in wrong)
    if only_order or wrong_kind(exercise.function, first, received[first], wanted[first], exercise.rtol):
        raise Problem(text + warning)
    text += call_before(deadline, lambda: _not_repeatable(exercise, answer, case, received))
    also = f" Also wrong: {', '.join(wrong[1:])}." if wrong[1:] else ""
    raise Problem(text + also + warning + START_OVER)


def _difference(exercise: Exercise, name: str, received: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What is wrong with one output, in a sentence; empty when nothing is."""
    arguments = (exercise.function, name, received[name], wanted[name], exercise.rtol)
    return wrong_kind(*arguments) or wrong_values(*arguments) or ""


def _told(mistake: Mistake, only: str, rest_is_right: bool) -> str:
    """What to say to a known mistake; its effect only if it explains every output, because it may speak of them all."""
    reread = f"Reread equation ({mistake.equation.replace('-', ' ')})."
    if not only:
        return f"It looks as if you {mistake.name}. {mistake.effect} {reread}"
    rest = "; the rest is right" if rest_is_right else ""
    return f"In {only}, it looks as if you {mistake.name}{rest}. {reread}{'' if rest_is_right else START_OVER}"


def _not_repeatable(exercise: Exercise, answer: Any, case: tuple[Any, ...], received: Mapping[str, Any]) -> str:
    """What to say when a second call with the same arguments gives other numbers."""
    try:
        again = outputs(exercise, answer, deepcopy(case))
    except Exception:
        return ""
    if all(same(again[name], received[name], 1e-12) for name in received):
        return ""
    return (
        f" Called again with the same arguments, {exercise.function} gives other numbers: look for random numbers, "
        "a global that it changes, or an np.empty that is not filled."
    )


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray | np.number | int | float)
        and np.asarray(value).dtype.kind in "iuf"
        and not np.ndim(value)
    )


def _too(function: str, value: float, wanted: float) -> str:
    """What to say to a wrong prediction: on which side it is, because the number itself would give the answer away."""
    if not np.isfinite(value):
        return f"{function} is {value}, expected a finite number."
    return f"{function} is {value:.12g}, which is too {'small' if value < wanted else 'large'}. The hints lead there."


def _taken_for(exercise: Exercise, case: tuple[Any, ...], name: str, received: Any, wanted: Mapping[str, Any]) -> str:
    """What else it is that stands in the place of an output, if it is something the reader has a name for."""
    for argument, value in _arguments(exercise, case).items():
        if isinstance(value, np.ndarray) and same(received, value, 0.0):
            return f" That is the argument {argument}, unchanged."
    other = _other_output(exercise, name, received, wanted)
    return other and f" That is {other}: the order is {', '.join(wanted)}."


def _other_output(exercise: Exercise, name: str, received: Any, wanted: Mapping[str, Any]) -> str:
    """The name of the output that stands in the place of another one; empty when none does."""
    others = (other for other, value in wanted.items() if other != name and np.ndim(value))
    return next((other for other in others if same(received, wanted[other], exercise.rtol)), "")


def _arguments(exercise: Exercise, case: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of a case by name."""
    target = exercise.arguments or tuple(inspect.signature(exercise.solution).parameters)
    return dict(zip(target, case, strict=True))


def _differs(before: Any, after: Any) -> bool:
    pairs = zip(tree_items(before), tree_items(after), strict=True)
    return any(isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=True) for (_, a), (_, b) in pairs)


def _numeric(exercise: Exercise, case: tuple[Any, ...], name: str, received: Any) -> str:
    """What central differences of the loss say of an output that is a gradient: a second witness."""
    if exercise.numeric is None or name not in (numeric := exercise.numeric(*deepcopy(case))):
        return ""
    if not isinstance(received, np.ndarray) or received.dtype != float or received.shape != np.shape(numeric[name]):
        return ""  # the numbers are not what is wrong, or not yet
    worst = np.unravel_index(int(np.argmax(np.abs(received - numeric[name]))), np.shape(received))
    at = ", ".join(str(int(k)) for k in worst)
    return (
        f" The gradient check disagrees most at [{at}]: yours {received[worst]:.6g}, "
        f"central differences of the loss {numeric[name][worst]:.6g}."
    )
