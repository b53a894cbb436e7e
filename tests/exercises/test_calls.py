"""The functions that a page calls: what they print, what they refuse, what they load."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from companion import exercises
from companion.exercises import EXERCISES

softmax = EXERCISES["nn.softmax"].solution


def test_check_prints_the_verdict_and_returns_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    check: Any = exercises.check
    assert check("nn.initial_loss", 2.3) is None
    assert check("nn.initial_loss", 1.0) is None
    correct, wrong = capsys.readouterr().out.splitlines()
    assert correct == "nn.initial_loss: correct."
    assert wrong.startswith("nn.initial_loss: not right yet. It looks as if you took the logarithm to base 10.")


def test_hints_and_solution_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        exercises.hint("nn.softmax", number)
        out = capsys.readouterr().out
        assert out == f"nn.softmax, hint {number} of 3: {EXERCISES['nn.softmax'].hints[number - 1].strip()}\n"
    exercises.solution("nn.softmax")
    assert capsys.readouterr().out == exercises.source(EXERCISES["nn.softmax"].solution)


@pytest.mark.parametrize("number", [0, 4, -1])
def test_hint_that_is_not_there_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=rf"number is {number}, expected 1\.\.3"):
        exercises.hint("nn.softmax", number)


@pytest.mark.parametrize("call", ["check", "judge", "hint", "solution", "show"])
def test_unknown_exercise_is_refused_with_the_names_there_are(call: str) -> None:
    arguments = ("softmax", softmax) if call in ("check", "judge") else ("softmax",)
    with pytest.raises(ValueError, match="'softmax', expected one of: ") as caught:
        getattr(exercises, call)(*arguments)
    assert all(name in str(caught.value) for name in EXERCISES)


def test_exercises_and_every_check_need_numpy_only() -> None:
    code = """
import sys
before = set(sys.modules)
from companion.exercises import EXERCISES, judge, show
for e in EXERCISES.values():
    assert judge(e.name, e.solution).status == "correct"
    assert judge(e.name, e.mistakes[0].answer).mistake
    show(e.name)._repr_markdown_()
loaded = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(*sorted(name for name in loaded if not name.startswith(("_cython_", "cython_runtime"))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["companion", "numpy"]
