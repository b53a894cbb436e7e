"""The command line: `python -m companion` lists recipes and exercises, trains, checks answers, and examines the set-up.

python -m companion list [NAME]         all recipes and exercises, or what there is to know of one
python -m companion train NAME          train a recipe; stop it with Ctrl-C, go on with --resume
python -m companion evaluate NAME|DIR   measure a checkpoint on the held-out split
python -m companion check FILE [NAME]   check every answer in a Python file or a notebook, or only this exercise
python -m companion grade FILE...       mark students' files, each in a process of its own
python -m companion hint NAME [1|2|3]   one hint
python -m companion solution NAME       the reference solution
python -m companion doctor              what a bug report needs: what is installed, what is missing, how to fix it
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when an answer is wrong or a package missing, 2 for bad input."""
    chosen = vars(_parser().parse_args(arguments))
    command: Callable[..., int] = chosen.pop("run")
    try:
        status = command(**chosen)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads, such as `| head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # as shells have it


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m companion", description="Recipes, and exercises that answer back.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(run.__name__.strip("_"), help=text, description=text)
        command.set_defaults(run=run)
        return command

    listing = add(_list, "all recipes and exercises, or what there is to know of one")
    listing.add_argument("name", nargs="?")
    check = add(_check, "check the answers in a Python file or a notebook")
    check.add_argument("file", type=_path)
    check.add_argument("name", nargs="?", help="only this exercise")
    hint = add(_hint, "one hint")
    hint.add_argument("name")
    hint.add_argument("number", type=int, nargs="?", default=1)
    solution = add(_solution, "the reference solution")
    solution.add_argument("name")
    _add_recipes(add)
    grade = add(_grade, "mark students' files, each in a process of its own with limits")
    grade.add_argument("files", type=_path, nargs="+", metavar="FILE", help="a Python module or a notebook")
    grade.add_argument("--json", action="store_true", dest="as_json", help="print a list of objects instead of text")
    grade.add_argument(
        "--exercise", action="append", default=[], dest="exercises", metavar="NAME", help="ask for this one"
    )
    grade.add_argument("--seconds", type=float, default=10.0, help="for an answer; 10 if not given")
    grade.add_argument("--memory", type=float, default=2.0, help="in GiB; 2 if not given")
    grade.add_argument("--jobs", type=int, help="files at a time; half of the cores if not given")
    add(_doctor, "what is installed, what is missing, how to fix it, and what else a bug report needs")
    return parser


def _path(text: str) -> Path:
    if not text:  # as an unset variable gives; to Path it would be the current folder
        raise argparse.ArgumentTypeError("it is empty, expected a path")
    return Path(text)


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
    train.add_argument("--out", type=_path, metavar="DIR", help="where to write; runs/NAME-seedN if not given")
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


def _grade(**options: Any) -> int:
    from companion.grading import command

    return command(**options)


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
    from companion.validate import require_known

    if name is not None:
        require_known("list", "name", name, {**RECIPES, **exercises.EXERCISES})
        print(commands.describe(RECIPES[name]) if name in RECIPES else exercises.show(name), end="")
        return 0
    print(f"Recipes\n\n{commands.table()}\nExercises\n")
    for exercise in exercises.EXERCISES.values():
        print(f"{exercise.name:<28} {exercise.kind:<13} {exercise.title}")
    return 0


def _check(file: Path, name: str | None) -> int:
    """Judge the answers in a file."""
    from companion import exercises
    from companion.exercises.answers import judge_all, run_file

    chosen = [exercises.find(name)] if name is not None else list(exercises.EXERCISES.values())
    try:
        answers = run_file(file)
    except OSError as error:
        raise ValueError(f"check: cannot read {file}: {error.strerror}") from error
    verdicts = [
        judge_all(exercise.name, found, exercises.judge) for exercise in chosen if (found := answers.to(exercise))
    ]
    if not verdicts and answers.problems:
        raise ValueError(f"check: {file} does not run, {answers.problems[0]}")
    if not verdicts:
        names = ", ".join(exercise.function for exercise in chosen)
        raise ValueError(f"check: {file} defines no answer, expected one or more of: {names}")
    for problem in answers.problems:
        print(f"check: {file} does not run to its end, {problem}", file=sys.stderr)
    for verdict in verdicts:
        print(verdict)
    counts = [(status, sum(v.status == status for v in verdicts)) for status in ("correct", "wrong", "not done")]
    print(", ".join(f"{count} {status}" for status, count in counts))
    return int(bool(answers.problems) or any(verdict.status == "wrong" for verdict in verdicts))
