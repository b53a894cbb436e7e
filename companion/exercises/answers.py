"""The answers in a file: run a Python module or a Jupyter notebook, and keep what it defines and what it hands to `check`.

What did not run is told, and what was defined is kept: one broken line does not cost the answers above it. A notebook's code
cells run in order in one namespace, and a cell that raises does not stop the later ones. They run as plain Python: lines
that only IPython understands (`%matplotlib inline`, `!ls`, `softmax?`) do nothing, cells under `%%time` or `%%capture` run,
those under another `%%` do not. `await` outside a function is not supported.

An answer is what bears the name of the exercise's function when the file has run, or what the file handed to `check`. A
chapter needs both: it may use the name of an answer again, and a reader may repair a function without checking it again.
"""

import contextlib
import inspect
import json
import linecache
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from companion import exercises
from companion.exercises import Verdict
from companion.exercises.exercise import Exercise

KINDS = (".py", ".ipynb")

TIMED = re.compile(r"^([ \t]*)%time[ \t]+", re.MULTILINE)  # what it times is run
MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[\w.]+[ \t]*\?\??[ \t]*|\w+[ \t]*=[ \t]*[%!].*)$", re.MULTILINE)
TRANSPARENT = ("time", "capture")  # `%%` magics whose cell is run
DEFINITION = re.compile(r"^(?:(?:def|class)[ \t]+(\w+)|(\w+)[ \t]*(?::[^=\n]+)?=(?!=))", re.MULTILINE)


class Cell(NamedTuple):
    """A piece of a file that runs as a whole."""

    label: str  # "code cell 3", or "" for a module
    filename: str  # as tracebacks call it
    source: str | bytes


class Answers(NamedTuple):
    """What running a file gave."""

    defined: dict[str, Any]  # by name, without the functions and classes that the file only imports
    problems: tuple[str, ...]  # what did not run, as "line 3: NameError: name 'x' is not defined"
    handed: dict[str, Any] = {}  # by exercise, what the file gave `check` last

    def to(self, exercise: Exercise) -> list[Any]:
        """What counts as an answer to this exercise, what was handed to `check` first; empty where there is none."""
        found = [self.handed[exercise.name]] if exercise.name in self.handed else []
        if exercise.function in self.defined:
            value = self.defined[exercise.function]
            # In a file that uses `check`, a number of this name is one of the chapter's own.
            by_chance = self.handed and not found and not callable(value)
            found += [] if by_chance or any(value is other for other in found) else [value]
        return found


def run_file(path: Path) -> Answers:
    """Run a .py or .ipynb file, which may import what lies beside it; raises OSError where it cannot be read."""
    try:
        cells = cells_of(path, path.read_bytes())
    except ValueError as error:
        return Answers({}, (str(error),))
    module = types.ModuleType("__main__" if path.suffix == ".ipynb" else "<answers>")
    namespace = module.__dict__
    namespace["__file__"] = str(path)
    namespace["display"] = print  # what notebooks have, and modules do without
    with _as_a_script(module, path), _handed() as handed:
        problems = [problem for cell in cells if (problem := _run(cell, namespace))]
    return Answers(_own(namespace, module), tuple(problems), _own(handed, module))


def judge_all(name: str, answers: list[Any], judge: Callable[[str, Any], Verdict]) -> Verdict:
    """The verdict on one exercise: "correct" if any of the answers is, otherwise that on the first."""
    first = judge(name, answers[0])
    others = (judge(name, answer) for answer in answers[1:]) if first.status != "correct" else ()
    return next((verdict for verdict in others if verdict.status == "correct"), first)


def cells_of(path: Path, contents: bytes) -> list[Cell]:
    """The pieces of a file that holds these contents; raises ValueError where it is no notebook."""
    if path.suffix != ".ipynb":
        return [Cell("", str(path), contents)]
    try:
        cells = json.loads(contents.decode("utf-8-sig"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is not a notebook of format 4 ({type(error).__name__}: {error!s:.60})") from error
    return [Cell(f"code cell {i}", f"<cell {i}>", source) for i, source in enumerate(sources, start=1)]


def seem_defined(path: Path, contents: bytes) -> set[str]:
    """The names that a file's text seems to define, for a file that cannot be run."""
    try:
        cells = cells_of(path, contents)
    except (ValueError, MemoryError):
        return set()
    texts = [cell.source if isinstance(cell.source, str) else cell.source.decode(errors="replace") for cell in cells]
    return {match[1] or match[2] for text in texts for match in DEFINITION.finditer(text)}


def _plain(source: str) -> str:
    """A cell without IPython's own syntax, line by line; one that is Python as it stands is left alone."""
    try:
        compile(source, "<cell>", "exec", dont_inherit=True)
        return source
    except Exception:  # not Python; running it tells why
        pass
    if not source.startswith("%%"):
        return MAGIC.sub(r"\1pass", TIMED.sub(r"\1", source))
    magic, _, body = source.partition("\n")
    return "\n" + _plain(body) if magic[2:].split()[:1] in ([name] for name in TRANSPARENT) else ""


@contextlib.contextmanager
def _as_a_script(module: types.ModuleType, path: Path) -> Iterator[None]:
    """Let the file find its module, as dataclasses do, and the files beside it, as `python FILE` does."""
    folder, before = str(path.resolve().parent), sys.modules.get(module.__name__)
    sys.path.insert(0, folder)
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the file may have removed it itself
            sys.path.remove(folder)
        sys.modules.pop(module.__name__, None)
        if before is not None:
            sys.modules[module.__name__] = before


@contextlib.contextmanager
def _handed() -> Iterator[dict[str, Any]]:
    """Let `check` only collect: an answer that never ends would end the file there."""
    collected: dict[str, Any] = {}

    def check(name: str, answer: Any) -> None:
        collected[exercises.find(name).name] = answer

    before = exercises.check
    exercises.check = check
    try:
        yield collected
    finally:
        exercises.check = before


def _run(cell: Cell, namespace: dict[str, Any]) -> str:
    """Run a piece; what stopped it, or nothing."""
    source = cell.source
    if isinstance(source, str):
        # No file on the disk has the cell's lines for those who explain an exception.
        linecache.cache[cell.filename] = (len(source), None, source.splitlines(keepends=True), cell.filename)
        source = _plain(source)
    try:
        code = compile(source, cell.filename, "exec", dont_inherit=True)
    except Exception as error:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        return _told(cell, getattr(error, "lineno", None), error, text)
    try:
        exec(code, namespace)
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == cell.filename]
        return _told(cell, lines[-1] if lines else None, error, _text(error))
    return ""


def _told(cell: Cell, line: int | None, error: BaseException, text: str) -> str:
    where = ", ".join(filter(None, [cell.label, f"line {line}" if line else ""]))
    return f"{where}: {type(error).__name__}: {text}" if where else f"{type(error).__name__}: {text}"


def _text(error: BaseException) -> str:
    """The text of an exception, whose class may be the reader's and its text another fault."""
    try:
        return str(error)
    except Exception:
        return "(its text cannot be shown)"


def _own(answers: dict[str, Any], module: types.ModuleType) -> dict[str, Any]:
    """What a file defines itself; a function that it only imports is no answer."""
    return {
        name: answer
        for name, answer in answers.items()
        if not (inspect.isfunction(answer) or inspect.isclass(answer)) or answer.__module__ == module.__name__
    }
