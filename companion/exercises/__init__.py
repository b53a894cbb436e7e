"""Exercises that answer back: `check("nn.softmax", my_softmax)`.

`check` prints what is right or wrong with an answer, `judge` returns it, `show` displays an exercise, `hint` and `solution`
print theirs. One folder for every chapter, one file for every exercise. NumPy is all they need.
"""

from typing import Any

from companion.exercises.bi import EXERCISES as _BIDIRECTIONAL
from companion.exercises.exercise import Exercise, Statement, stub
from companion.exercises.judge import Verdict
from companion.exercises.judge import judge as _judge
from companion.exercises.lstm import EXERCISES as _LSTM
from companion.exercises.nn import EXERCISES as _NEURAL_NETWORKS
from companion.exercises.ntm import EXERCISES as _TURING
from companion.exercises.rnn import EXERCISES as _RECURRENT
from companion.exercises.seq import EXERCISES as _SEQUENCES
from companion.show import source
from companion.validate import require_known

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for exercise in (*_SEQUENCES, *_NEURAL_NETWORKS, *_RECURRENT, *_LSTM, *_BIDIRECTIONAL, *_TURING)
}


def find(name: str) -> Exercise:
    """The exercise of this name; raises ValueError, with the names there are, when there is none."""
    return require_known("companion.exercises", "name", name, EXERCISES)


def judge(name: str, answer: Any, seconds: float = 10.0) -> Verdict:
    """Judge an answer within `seconds` and return the verdict: status, message and the known mistake, if it is one."""
    return _judge(find(name), answer, seconds)


def check(name: str, answer: Any) -> None:
    """Judge an answer and print the verdict. An answer that is still `...` is "not done yet", never an error."""
    print(judge(name, answer))


def show(name: str) -> Statement:
    """The statement of an exercise with its folded hints and solution, for display in a notebook."""
    return Statement(find(name))


def hint(name: str, number: int = 1) -> None:
    """Print hint 1, 2 or 3 of an exercise."""
    hints = find(name).hints
    if not isinstance(number, int) or not 1 <= number <= len(hints):
        raise ValueError(f"hint: number is {number!r}, expected 1..{len(hints)}")
    print(f"{name}, hint {number} of {len(hints)}: {hints[number - 1].strip()}")


def solution(name: str) -> None:
    """Print the solution of an exercise: the very function that answers are compared with."""
    print(source(find(name).solution), end="")


__all__ = ["EXERCISES", "Verdict", "check", "find", "hint", "judge", "show", "solution", "source", "stub"]
