"""The command line: `python -m companion` lists recipes and exercises, trains, checks answers, and examines the set-up.

python -m companion list [NAME]         all recipes and exercises, or what there is to know of one
python -m companion train NAME          train a recipe; stop it with Ctrl-C, go on with --resume
python -m companion evaluate NAME|DIR   measure a checkpoint on the held-out split
python -m companion check FILE [NAME]   check every answer defined in a Python file, or only this exercise
python -m companion hint NAME [1|2|3]   one hint
python -m companion solution NAME       the reference solution
python -m companion doctor              what a bug report needs: what is installed, what is missing, how to fix it
"""

import argparse
import inspect
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when an answer is wrong or a package missing, 2 for bad input."""
    chosen = vars(_parser().parse_args(arguments))
    command: Callable[..., int] = chosen.pop("run")
    try:
        return command(**chosen)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m companion", description="Recipes, and exercises that answer back.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(run.__name__.strip("_"), help=text, description=text)
        command.set_defaults(run=run)
        return command

    listing = add(_list, "all recipes and exercises, or what there is to know of one")
    listing.add_argument("name", nargs="?")
    check = add(_check, "check the answers in a Python file")
    check.add_argument("file", type=Path)
    check.add_argument("name", nargs="?", help="only this exercise")
    hint = add(_hint, "one hint")
    hint.add_argument("name")
    hint.add_argument("number", type=int, nargs="?", default=1)
    solution = add(_solution, "the reference solution")
    solution.add_argument("name")
    _add_recipes(add)
    add(_doctor, "what is installed, what is missing, how to fix it, and what else a bug report needs")
    return parser


def _add_recipes(add: Callable[[Callable[..., int], str], argparse.ArgumentParser]) -> None:
    train = add(_train, "train a recipe; stop it with Ctrl-C, go on with --resume")
    train.add_argument("name")
    train.add_argument("--seed", type=int, default=0)
    for name in ("steps", "batch"):
        train.add_argument(f"--{name}", help=f"the same as --set {name}={name.upper()}")
    train.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="change a setting"
    )
    train.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    train.add_argument("--precision", default="float32", help="float32 (default), bfloat16 or float16")
    train.add_argument("--out", type=Path, metavar="DIR", help="where to write; runs/NAME-seedN if not given")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in DIR, if there is one")
    evaluate = add(_evaluate, "measure a checkpoint on the held-out split")
    evaluate.add_argument(
        "name", metavar="NAME|DIR", help="a recipe, for the checkpoint that comes with it, or a folder"
    )
    evaluate.add_argument("--device", default="auto", help="auto (default), cpu or cuda")


def _train(steps: str | None, batch: str | None, settings: list[str], **rest: Any) -> int:
    from companion.recipes import commands

    own = [f"{name}={value}" for name, value in (("steps", steps), ("batch", batch)) if value is not None]
    return commands.train(settings=[*settings, *own], **rest)


def _evaluate(name: str, device: str) -> int:
    from companion.recipes import commands

    return commands.evaluate(name, device)


def _doctor() -> int:
    from companion.doctor import doctor

    return doctor()


def _hint(name: str, number: int) -> int:
    from companion import exercises

    exercises.hint(name, number)
    return 0


def _solution(name: str) -> int:
    from companion import exercises

    exercises.solution(name)
    return 0


def _list(name: str | None) -> int:
    from companion import exercises
    from companion.recipes import RECIPES, commands

    if name is not None:
        print(commands.describe(RECIPES[name]) if name in RECIPES else exercises.show(name), end="")
        return 0
    print(f"Recipes\n\n{commands.table()}\nExercises\n")
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


if __name__ == "__main__":
    sys.exit(main())
