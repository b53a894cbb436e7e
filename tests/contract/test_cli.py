"""The command line: what it prints, where, and with which exit status."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import companion
from companion.__main__ import main
from companion.exercises import EXERCISES, show, source, stub
from companion.recipes import commands

Capture = pytest.CaptureFixture[str]
Write = Callable[[str], str]
SOFTMAX = source(EXERCISES["nn.softmax"].solution)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Save a text as answers.py and return the file's path."""

    def save(text: str) -> str:
        (tmp_path / "answers.py").write_text(text, encoding="utf-8")
        return str(tmp_path / "answers.py")

    return save


def run(*arguments: str, capsys: Capture) -> tuple[int, str, str]:
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def test_list_has_one_line_for_every_exercise(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "table", lambda: "a line for every recipe\n")
    status, out, err = run("list", capsys=capsys)
    assert (status, err) == (0, "")
    recipes, exercises = out.split("\nExercises\n\n")
    assert recipes == "Recipes\n\na line for every recipe\n"
    for line, e in zip(exercises.splitlines(), EXERCISES.values(), strict=True):
        assert line.split()[0] == e.name
        assert e.kind in line
        assert line.endswith(e.title)


@pytest.mark.parametrize("name", EXERCISES)
def test_list_of_one_shows_statement_and_stub(name: str, capsys: Capture) -> None:
    status, out, _ = run("list", name, capsys=capsys)
    assert status == 0
    assert out == str(show(name))
    assert out.endswith(f"{stub(EXERCISES[name])}")


def test_correct_and_unfinished_answers_give_status_zero(capsys: Capture, write: Write) -> None:
    file = write(f"import numpy as np\n\n{SOFTMAX}\nparameter_count = 2410\ninitial_loss = ...\n")
    status, out, err = run("check", file, capsys=capsys)
    assert (status, err) == (0, "")
    assert "nn.softmax: correct. All 3 cases agree.\n" in out
    assert "nn.parameter_count: correct.\n" in out
    assert "nn.initial_loss: not done yet. Replace the `...`" in out
    assert out.endswith("2 correct, 0 wrong, 1 not done\n")


def test_wrong_answer_gives_status_one_and_names_the_mistake(capsys: Capture, write: Write) -> None:
    status, out, err = run("check", write("parameter_count = 2368\ninitial_loss = 2.3\n"), capsys=capsys)
    assert (status, err) == (1, "")
    assert "nn.parameter_count: not right yet. It looks as if you left out the biases." in out
    assert out.endswith("1 correct, 1 wrong, 0 not done\n")


def test_check_of_one_exercise_leaves_the_others_out(capsys: Capture, write: Write) -> None:
    file = write("parameter_count = 2368\ninitial_loss = 2.3\n")
    status, out, _ = run("check", file, "nn.initial_loss", capsys=capsys)
    assert (status, out) == (0, "nn.initial_loss: correct.\n1 correct, 0 wrong, 0 not done\n")


def test_exception_in_an_answer_shows_the_line_of_the_file(capsys: Capture, write: Write) -> None:
    status, out, _ = run("check", write("def softmax(z):\n    y = 2\n    return y + wrong\n"), capsys=capsys)
    assert status == 1
    assert "at line 3: return y + wrong" in out


def test_untouched_stubs_of_all_exercises_are_not_done(capsys: Capture, write: Write) -> None:
    status, out, _ = run("check", write("\n\n".join(map(stub, EXERCISES.values()))), capsys=capsys)
    assert status == 0
    assert out.endswith(f"0 correct, 0 wrong, {len(EXERCISES)} not done\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\ny = (\n", ["does not run", "SyntaxError", "line 2"]),
        ("x = 1\n\nprint(missing)\n", ["does not run, line 3", "NameError: name 'missing' is not defined"]),
        ("import math\ndef f():\n    return math.sqrt(-1)\n\nf()\n", ["line 3", "ValueError: math domain error"]),
        ("open('no/such/data.csv')\n", ["does not run, line 1", "FileNotFoundError", "no/such/data.csv"]),
        ("import sys\nsys.exit(0)\n", ["does not run, line 2", "SystemExit"]),
        ("import no_such_package_anywhere\n", ["line 1", "No module named 'no_such_package_anywhere'"]),
        ("x = 1\n", ["defines no answer, expected one or more of", "softmax", "Tensor"]),
        ("", ["defines no answer"]),
    ],
)
def test_file_without_answers_gives_status_two_and_the_reason(
    text: str, words: list[str], capsys: Capture, write: Write
) -> None:
    file = write(text)
    status, out, err = run("check", file, capsys=capsys)
    assert (status, out) == (2, "")
    assert err.startswith(f"check: {file} ")
    for word in words:
        assert word in err


def test_answers_above_an_error_are_judged_and_the_error_is_told(capsys: Capture, write: Write) -> None:
    file = write("initial_loss = 2.3\nparameter_count = missing\n")
    status, out, err = run("check", file, capsys=capsys)
    assert status == 1
    assert out == "nn.initial_loss: correct.\n1 correct, 0 wrong, 0 not done\n"
    assert err == f"check: {file} does not run to its end, line 2: NameError: name 'missing' is not defined\n"


def test_file_that_cannot_be_read_gives_status_two(capsys: Capture, tmp_path: Path) -> None:
    status, _, err = run("check", str(tmp_path / "none.py"), capsys=capsys)
    assert status == 2
    assert err == f"check: cannot read {tmp_path / 'none.py'}: No such file or directory\n"
    status, _, err = run("check", str(tmp_path), capsys=capsys)
    assert status == 2
    assert "cannot read" in err


def test_file_without_the_chosen_answer_names_its_function(capsys: Capture, write: Write) -> None:
    status, _, err = run("check", write("parameter_count = 2410\n"), "nn.adam_step", capsys=capsys)
    assert status == 2
    assert err.endswith("expected one or more of: adam_step\n")


@pytest.mark.parametrize("number", ["1", "2", "3"])
def test_hint_is_printed(number: str, capsys: Capture) -> None:
    status, out, _ = run("hint", "nn.softmax", number, capsys=capsys)
    assert (status, out.startswith(f"nn.softmax, hint {number} of 3: ")) == (0, True)


def test_hint_is_the_first_unless_told_otherwise(capsys: Capture) -> None:
    assert run("hint", "nn.tape", capsys=capsys) == run("hint", "nn.tape", "1", capsys=capsys)


def test_hint_that_is_not_there_gives_status_two(capsys: Capture) -> None:
    assert run("hint", "nn.softmax", "4", capsys=capsys) == (2, "", "hint: number is 4, expected 1..3\n")


def test_printed_solutions_saved_to_a_file_are_correct(capsys: Capture, write: Write) -> None:
    printed = ["import numpy as np\n"]
    for name in EXERCISES:
        status, out, _ = run("solution", name, capsys=capsys)
        assert status == 0
        printed.append(out)
    status, out, _ = run("check", write("\n\n".join(printed)), capsys=capsys)
    assert status == 0
    assert out.endswith(f"{len(EXERCISES)} correct, 0 wrong, 0 not done\n")


@pytest.mark.parametrize("command", [["list"], ["hint"], ["solution"], ["check", "answers.py"]])
def test_unknown_exercise_gives_status_two_and_the_names(command: list[str], capsys: Capture) -> None:
    status, out, err = run(*command, "softmax", capsys=capsys)
    assert (status, out) == (2, "")
    assert "'softmax'" in err
    assert all(name in err for name in EXERCISES)


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["hint"], ["hint", "nn.softmax", "one"]])
def test_unusable_arguments_give_status_two(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m companion" in capsys.readouterr().err


def test_command_line_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "companion", "hint", "nn.softmax", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(companion.__file__).parents[1])
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "hint: number is 9, expected 1..3\n")


def test_function_that_is_only_imported_is_not_judged(capsys: Capture, write: Write) -> None:
    status, out, _ = run("check", write("from companion.ops import softmax\nparameter_count = 2410\n"), capsys=capsys)
    assert (status, out) == (0, "nn.parameter_count: correct.\n1 correct, 0 wrong, 0 not done\n")


def test_file_may_import_what_lies_beside_it(capsys: Capture, write: Write, tmp_path: Path) -> None:
    (tmp_path / "helper_of_mine.py").write_text("COUNT = 2410\n", encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text("import helper_of_mine\nparameter_count = helper_of_mine.COUNT\n", encoding="utf-8")
    status, out, _ = run("check", str(file), capsys=capsys)
    assert (status, out.splitlines()[-1]) == (0, "1 correct, 0 wrong, 0 not done")
    assert str(tmp_path) not in sys.path


def test_files_of_the_current_folder_are_not_taken_for_pythons_own(tmp_path: Path) -> None:
    for name in ("random.py", "numpy.py", "argparse.py"):
        (tmp_path / name).write_text("raise SystemExit('a student handed this in')\n")
    (tmp_path / "ada.py").write_text("parameter_count = 2410\n")
    done = subprocess.run(
        [sys.executable, "-m", "companion", "grade", "ada.py"],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(Path(companion.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nn.parameter_count: correct." in done.stdout
