"""What an exercise is: one record, from which the page, the command line and the tests all take what they show or run.

The reference solution is an ordinary function (or class). Its signature and docstring are the stub a reader starts from,
its source is the solution that is shown, and running it gives the values that answers are compared with.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from companion.show import signature, source

Kind = Literal["predict", "derive", "implement", "find the bug", "extend"]


class Mistake(NamedTuple):
    """A wrong answer that readers give, and what to say to it."""

    name: str  # completes "It looks as if you ..."
    effect: str  # what it does to the numbers, in a sentence or two
    equation: str  # the equation of the chapter to reread, "softmax" for the label eq-softmax
    answer: Any  # an answer with this mistake, of the same kind as the solution


class Exercise(NamedTuple):
    """One exercise; `companion/exercises/nn/softmax.py` is a short example."""

    name: str  # chapter.name, as "nn.softmax"
    kind: Kind
    title: str
    statement: str  # Markdown
    solution: Any  # a function, or a class; without arguments when the answer is a value
    outputs: tuple[str, ...]  # names of what the solution returns; () when only `run` knows them
    cases: Callable[[np.random.Generator], Iterable[tuple[Any, ...]]]  # arguments, ordinary cases first
    hints: tuple[str, str, str]  # Markdown, each gives away more
    mistakes: tuple[Mistake, ...]
    numeric: Callable[..., Mapping[str, Any]] | None = None  # case -> gradients by central differences
    run: Callable[..., Mapping[str, Any]] | None = None  # (answer, *case) -> outputs by name
    arguments: tuple[str, ...] = ()  # names of a case's entries, where they are not the solution's arguments
    given: tuple[Any, ...] = ()  # functions printed with the statement, as the code of a bug hunt
    rtol: float = 1e-7  # relative to the largest entry

    @property
    def function(self) -> str:
        """Name of the function, class or value that answers the exercise."""
        return str(self.solution.__name__)


def stub(exercise: Exercise) -> str:
    """The code that a reader starts from: the solution's signature and docstring, and no body."""
    (node,) = ast.parse(source(exercise.solution)).body
    if isinstance(node, ast.FunctionDef) and not inspect.signature(exercise.solution).parameters:
        return f"# {ast.get_docstring(node)}\n{node.name} = ...\n"
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    text = ast.get_docstring(node) or ""
    doc = textwrap.indent(f'"""{text}\n"""' if "\n" in text else f'"""{text}"""', "    ")
    if isinstance(node, ast.FunctionDef):
        return f"{signature(node)}\n{doc}\n    ...\n"
    public = [
        item
        for item in node.body
        if isinstance(item, ast.FunctionDef) and (item.name.endswith("__") or not item.name.startswith("_"))
    ]
    methods = "".join(f"\n    def {item.name}({ast.unparse(item.args)}): ..." for item in public)
    return f"class {node.name}:\n{doc}\n{methods}\n"


class Statement:
    """An exercise as a notebook, a terminal or the book shows it; hints and solution are folded where that is possible."""

    def __init__(self, exercise: Exercise) -> None:
        self.exercise = exercise

    def __str__(self) -> str:
        e = self.exercise
        given = "".join("\n" + textwrap.indent(source(thing), "    ") for thing in e.given)
        return f"{e.name} - {e.title} ({e.kind})\n\n{textwrap.dedent(e.statement).strip()}\n{given}\n{stub(e)}"

    def __repr__(self) -> str:
        return f"Exercise {self.exercise.name} ({self.exercise.kind}): {self.exercise.title}"

    def _repr_markdown_(self) -> str:
        e = self.exercise
        blocks = [f"**{e.kind.capitalize()}** · `{e.name}`", textwrap.dedent(e.statement).strip()]
        blocks += [_fenced(source(thing)) for thing in e.given]
        blocks += [_folded(f"Hint {number}", text) for number, text in enumerate(e.hints, start=1)]
        blocks.append(_folded("Solution", _fenced(source(e.solution))))
        return "\n\n".join(blocks)


def _fenced(code: str) -> str:
    return f"```python\n{code.strip()}\n```"


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{textwrap.dedent(text).strip()}\n\n</details>"
