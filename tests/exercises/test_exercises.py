"""Every exercise keeps its promises: to the reader who is right, to the one who is wrong, and to the one who looks."""

from __future__ import annotations

import inspect
import itertools
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from companion.exercises import EXERCISES, Exercise, judge, show, source, stub
from companion.exercises.compare import same
from companion.exercises.exercise import Mistake
from companion.exercises.judge import SEED, outputs
from tests.exercises.chapters import ALTERNATIVES, CHAPTERS

BOOK = Path(__file__).resolve().parents[2] / "book"

every_exercise = pytest.mark.parametrize("e", EXERCISES.values(), ids=EXERCISES)
MISTAKES = [(e, mistake) for e in EXERCISES.values() for mistake in e.mistakes]
every_mistake = pytest.mark.parametrize(("e", "mistake"), MISTAKES, ids=[f"{e.name}-{m.name}" for e, m in MISTAKES])
several_outputs = pytest.mark.parametrize(
    "e", [e for e in EXERCISES.values() if len(e.outputs) > 1 and e.run is None], ids=lambda e: e.name
)


def cases(e: Exercise) -> list[tuple[Any, ...]]:
    return list(e.cases(np.random.default_rng(SEED)))


def results(e: Exercise, answer: Any) -> list[dict[str, Any] | None]:
    """What an answer returns on each case; None where it cannot run."""
    found: list[dict[str, Any] | None] = []
    for case in cases(e):
        try:
            found.append(dict(outputs(e, answer, deepcopy(case))))
        except Exception:
            found.append(None)
    return found


def agree(e: Exercise, a: Any, b: Any) -> bool:
    """Equal on every case, as far as the checker can tell."""
    return all(
        (x is None and y is None)
        or (x is not None and y is not None and all(same(x[name], y[name], e.rtol) for name in y))
        for x, y in zip(a, b, strict=True)
    )


def defined_by(code: str, name: str) -> Any:
    namespace: dict[str, Any] = {"np": np}
    exec(compile(code, "<shown to the reader>", "exec"), namespace)
    return namespace[name]


# --- the reader who is right


@every_exercise
def test_solution_is_judged_correct(e: Exercise) -> None:
    verdict = judge(e.name, e.solution)
    assert (verdict.status, verdict.mistake) == ("correct", None), verdict


@every_exercise
def test_shown_solution_needs_numpy_alone_and_is_judged_correct(e: Exercise) -> None:
    shown = defined_by(source(e.solution), e.function)
    assert judge(e.name, shown).status == "correct"
    assert inspect.getdoc(shown) == inspect.getdoc(e.solution)


@pytest.mark.parametrize(
    ("name", "answer"),
    [(name, answer) for name, answers in ALTERNATIVES.items() for answer in answers],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", repr(value)),
)
def test_right_answer_of_another_design_is_judged_correct(name: str, answer: Any) -> None:
    verdict = judge(name, answer)
    assert verdict.status == "correct", verdict


def test_every_exercise_has_two_alternative_right_answers() -> None:
    assert {name for name, answers in ALTERNATIVES.items() if len(answers) >= 2} == set(EXERCISES)


@every_exercise
def test_central_differences_agree_with_the_solution(e: Exercise) -> None:
    numeric = [({} if e.numeric is None else e.numeric(*deepcopy(case))) for case in cases(e)]
    for found, right in zip(numeric, results(e, e.solution), strict=True):
        assert right is not None
        assert set(found) <= set(right)
        for name, gradient in found.items():
            assert gradient.shape == right[name].shape
            assert np.abs(gradient - right[name]).max() <= 1e-6 * np.abs(right[name]).max(), name


@pytest.mark.parametrize("name", [name for name, e in EXERCISES.items() if any(o.startswith("d") for o in e.outputs)])
def test_every_backward_pass_has_central_differences_as_a_second_witness(name: str) -> None:
    e = EXERCISES[name]
    assert e.numeric is not None
    assert set(e.numeric(*cases(e)[0])) == {output for output in e.outputs if output.startswith("d")}


# --- the reader who is wrong


@every_mistake
def test_every_known_mistake_earns_its_own_message(e: Exercise, mistake: Mistake) -> None:
    verdict = judge(e.name, mistake.answer)
    assert (verdict.status, verdict.mistake) == ("wrong", mistake.name), verdict
    for part in (mistake.name, mistake.effect, f"Reread equation ({mistake.equation.replace('-', ' ')})"):
        assert part in verdict.message


@every_exercise
def test_known_mistakes_are_many_and_their_messages_differ(e: Exercise) -> None:
    assert len(e.mistakes) >= 4
    for field in ("name", "effect"):
        texts = [getattr(mistake, field) for mistake in e.mistakes]
        assert len(set(texts)) == len(texts)
    for mistake in e.mistakes:
        assert re.search(r"[.:]$", mistake.effect)  # the message goes on behind it
        assert not mistake.name.endswith(".")


@every_exercise
def test_mistakes_are_wrong_and_differ_from_one_another(e: Exercise) -> None:
    answers = {"the solution": e.solution} | {mistake.name: mistake.answer for mistake in e.mistakes}
    found = {name: results(e, answer) for name, answer in answers.items()}
    alike = [pair for pair in itertools.combinations(found, 2) if agree(e, found[pair[0]], found[pair[1]])]
    assert alike == []


@every_exercise
def test_mistakes_leave_their_arguments_alone(e: Exercise) -> None:
    for mistake in e.mistakes:
        assert "in place" not in judge(e.name, mistake.answer).message, mistake.name


def composed(e: Exercise, first: Any, rest: Any) -> Any:
    """An answer that takes its first output from one answer and the others from another."""

    def answer(*case: Any) -> Any:
        one, other = list(first(*deepcopy(case))), list(rest(*deepcopy(case)))
        return one[:1] + other[1:]

    return answer


def pairs(e: Exercise) -> Iterator[tuple[Mistake, Mistake, Any]]:
    for a, b in itertools.permutations(e.mistakes, 2):
        yield a, b, composed(e, a.answer, b.answer)


@several_outputs
def test_two_mistakes_at_once_are_answered_by_the_name_of_one(e: Exercise) -> None:
    right = results(e, e.solution)
    known = {m.name: results(e, m.answer) for m in e.mistakes}
    several = 0
    for a, b, answer in pairs(e):
        mixed = results(e, answer)
        if None in mixed or agree(e, mixed, right):
            continue  # the two halves cannot be put together, or each took what the other had right
        several += 1
        verdict = judge(e.name, answer)
        twins = {name for name, found in known.items() if agree(e, found, mixed)}  # both together are a third mistake
        shares = {name for name, found in known.items() if any(equal_wrong(e, found, mixed, right))}
        assert verdict.mistake in (twins or {a.name, b.name} | shares), (a.name, b.name, str(verdict))
    assert several >= 4


def equal_wrong(e: Exercise, one: Any, mixed: Any, right: Any) -> Iterator[bool]:
    """Whether one mistake explains the first wrong output of the first case that is wrong."""
    for x, y, z in zip(one, mixed, right, strict=True):
        wrong = [name for name in z if not same(y[name], z[name], e.rtol)]
        if wrong:
            yield x is not None and same(x[wrong[0]], y[wrong[0]], e.rtol)
            return


# --- the reader who looks


@every_exercise
def test_untouched_stub_is_not_done_yet(e: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = judge(e.name, defined_by(stub(e), e.function))
    assert verdict.status == "not done", verdict
    assert "not done yet" in str(verdict)
    assert e.function in verdict.message
    assert capsys.readouterr().out == ""


@every_exercise
def test_stub_has_the_signature_and_docstring_of_the_solution(e: Exercise) -> None:
    thing = defined_by(stub(e), e.function)
    if not inspect.isclass(e.solution) and not inspect.signature(e.solution).parameters:
        assert thing is ...
        assert (inspect.getdoc(e.solution) or "none") in stub(e)
        return
    assert inspect.getdoc(thing) == inspect.getdoc(e.solution)
    assert str(inspect.signature(thing)) == str(inspect.signature(defined_by(source(e.solution), e.function)))


def test_stub_of_a_class_has_its_public_methods() -> None:
    e = EXERCISES["nn.tape"]
    wanted = {n for n, f in vars(e.solution).items() if inspect.isfunction(f) and (n[0] != "_" or n.endswith("__"))}
    assert {n for n, f in vars(defined_by(stub(e), "Tensor")).items() if inspect.isfunction(f)} == wanted


@every_exercise
def test_three_hints_give_away_more_and_more(e: Exercise) -> None:
    assert len(e.hints) == 3
    assert all(len(hint.strip()) > 20 for hint in e.hints)
    assert len(set(e.hints)) == 3


@every_exercise
def test_statement_folds_its_hints_and_its_solution(e: Exercise) -> None:
    text = show(e.name)._repr_markdown_()
    folds = re.findall(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", text, re.DOTALL)
    assert [title for title, _ in folds] == ["Hint 1", "Hint 2", "Hint 3", "Solution"]
    for (_, folded), hint in zip(folds, e.hints):
        assert folded == hint.strip()
    assert folds[3][1] == f"```python\n{source(e.solution).strip()}\n```"
    visible = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert e.name in visible
    assert source(e.solution).strip() not in visible
    for thing in e.given:
        assert source(thing).strip() in visible


@every_exercise
def test_statement_in_a_terminal_has_the_stub_and_not_the_solution(e: Exercise) -> None:
    text = str(show(e.name))
    assert stub(e) in text
    assert source(e.solution).strip() not in text
    assert e.title in text
    assert e.title in repr(show(e.name))


@pytest.mark.parametrize("e", [e for e in EXERCISES.values() if e.kind == "find the bug"], ids=lambda e: e.name)
def test_bug_that_is_shown_is_itself_a_known_mistake(e: Exercise) -> None:
    assert any(mistake.answer in e.given for mistake in e.mistakes)


def test_function_names_are_unique_over_all_exercises() -> None:
    names = [e.function for e in EXERCISES.values()]
    assert len(set(names)) == len(names)
    assert all(name.split(".")[0] in CHAPTERS for name in EXERCISES)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_equation_to_reread_is_in_the_chapter(chapter: str) -> None:
    notebook = json.loads((BOOK / CHAPTERS[chapter]).read_text(encoding="utf-8"))
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    named = {m.equation for name, e in EXERCISES.items() if name.startswith(f"{chapter}.") for m in e.mistakes}
    assert {name for name in named if f"(eq-{name})" not in text} == set()
