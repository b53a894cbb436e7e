"""Running a module or a notebook, and what it defines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from companion import exercises
from companion.exercises import EXERCISES, check, judge
from companion.exercises.answers import Answers, cells_of, judge_all, run_file, seem_defined
from tests.grading.students import SOFTMAX


def run_cells(folder: Path, *sources: Any) -> Answers:
    """The answers in a notebook with these code cells."""
    cells = [{"cell_type": "markdown", "source": "x = 1"}]
    cells += [{"cell_type": "code", "source": source} for source in sources]
    (folder / "a.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")
    return run_file(folder / "a.ipynb")


def run_text(folder: Path, text: str) -> Answers:
    """The answers in a module."""
    (folder / "a.py").write_text(text, encoding="utf-8")
    return run_file(folder / "a.py")


def test_cells_share_one_namespace_and_run_in_order(tmp_path: Path) -> None:
    answers = run_cells(tmp_path, "x = 1", ["y = x\n", "y += 1"], "x = 5", "display(y)\nassert __name__ == '__main__'")
    assert answers.problems == ()
    assert (answers.defined["x"], answers.defined["y"]) == (5, 2)


@pytest.mark.parametrize(
    "source",
    [
        "%matplotlib inline\nx = 1",
        "!pip install numpy\nx = 1\nls = !ls\nobj = %who_ls",
        "x = 1\nx?\n?x\nprint??",
        "%time x = 1",
        "%%time\nx = 1",
        "%%capture out\n%matplotlib inline\nx = 1",
        "if True:\n    %time x = 1\n    !ls",
        "x = (7\n% 2)",
        "x = 1\ntext = '''\n%d\n!ls\n'''\nassert text == '\\n%d\\n!ls\\n'",
    ],
)
def test_what_only_ipython_understands_does_nothing(source: str, tmp_path: Path) -> None:
    answers = run_cells(tmp_path, source)
    assert answers.problems == ()
    assert answers.defined["x"] == 1


def test_cell_in_another_language_does_not_run(tmp_path: Path) -> None:
    answers = run_cells(tmp_path, "%%bash\nx = 1", "%%writefile a.py\nx = 2", "%%\nx = 3")
    assert answers.problems == ()
    assert "x" not in answers.defined


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("\nf(\n", "code cell 2, line 2: SyntaxError: '(' was never closed"),
        ("await x", "code cell 2, line 1: SyntaxError: 'await' outside function"),
        ("%time x = (", "code cell 2, line 1: SyntaxError: '(' was never closed"),
        ("f()", "code cell 2, line 1: ZeroDivisionError: division by zero"),
        ("%ls\nimport sys\nsys.exit('bye')", "code cell 2, line 3: SystemExit: bye"),
        (
            "class E(Exception):\n    def __str__(self): return 1\nraise E",
            "code cell 2, line 3: E: (its text cannot be shown)",
        ),
    ],
)
def test_cell_that_fails_is_told_and_later_ones_run(source: str, problem: str, tmp_path: Path) -> None:
    answers = run_cells(tmp_path, "def f():\n    return 1 / 0", source, "after = True")
    assert len(answers.problems) == 1
    assert answers.problems[0].startswith(problem)
    assert answers.defined["after"]


def test_what_a_module_defines_above_its_fault_is_kept(tmp_path: Path) -> None:
    answers = run_text(tmp_path, "x = 1\ndef f(): return y\nf()\nz = 1\n")
    assert answers.problems == ("line 2: NameError: name 'y' is not defined",)
    assert answers.defined["x"] == 1
    assert "z" not in answers.defined


def test_functions_that_are_only_imported_are_not_the_files_own(tmp_path: Path) -> None:
    (tmp_path / "helper_beside.py").write_text("def g(): ...\nCOUNT = 3\n", encoding="utf-8")
    text = "from companion.ops import softmax\nfrom helper_beside import g, COUNT\ndef f(): ...\nclass C: ..."
    for answers in (run_text(tmp_path, text), run_cells(tmp_path, text)):
        assert answers.problems == ()
        assert {"f", "C", "COUNT"} <= set(answers.defined)
        assert not {"softmax", "g"} & set(answers.defined)


def test_dataclass_with_late_annotations_can_be_defined(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n    x: int\n"
    assert run_text(tmp_path, text).problems == run_cells(tmp_path, text).problems == ()


def test_nothing_of_the_file_stays_in_this_process(tmp_path: Path) -> None:
    before = (sys.modules["__main__"], list(sys.path), "<answers>" in sys.modules)
    run_cells(tmp_path, "import sys\nsys.path.pop(0)")
    run_text(tmp_path, "1 / 0")
    assert (sys.modules["__main__"], list(sys.path), "<answers>" in sys.modules) == before


def test_exception_in_an_answer_from_a_notebook_shows_its_line(tmp_path: Path) -> None:
    answers = run_cells(tmp_path, "def softmax(z):\n    y = 2\n    return y + wrong")
    assert "at line 3: return y + wrong" in judge("nn.softmax", answers.defined["softmax"]).message


def status(answers: Answers, name: str) -> str:
    """How an exercise is judged, `` where it is not answered."""
    found = answers.to(EXERCISES[name])
    return judge_all(name, found, judge).status if found else ""


def test_what_is_handed_to_check_is_an_answer_and_is_not_judged_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hand = "from companion import exercises\nfrom companion.exercises import check\n"
    clash = f"{hand}forget_bias = {EXERCISES['lstm.forget_bias'].solution()!r}\ncheck('lstm.forget_bias', forget_bias)"
    answers = run_cells(tmp_path, clash, "forget_bias = 1.0\nreach = 3", "exercises.check('nn.initial_loss', ...)")
    assert answers.problems == ()
    assert capsys.readouterr().out == ""
    assert status(answers, "lstm.forget_bias") == "correct"
    assert status(answers, "nn.initial_loss") == "not done"
    assert status(answers, "bi.reach") == ""  # a number of the chapter, for which `check` was not called
    assert exercises.check is check


def test_answer_repaired_after_its_check_is_right(tmp_path: Path) -> None:
    hand = "import numpy as np\nfrom companion.exercises import check\ndef f(z): return z\ncheck('nn.softmax', f)\n"
    assert status(run_text(tmp_path, hand), "nn.softmax") == "wrong"
    assert status(run_text(tmp_path, f"{hand}def softmax(z): return 2 * z"), "nn.softmax") == "wrong"
    assert status(run_text(tmp_path, hand + SOFTMAX), "nn.softmax") == "correct"
    assert status(run_text(tmp_path, SOFTMAX), "nn.tape") == ""


def test_only_ones_own_function_can_be_handed_to_check(tmp_path: Path) -> None:
    text = "from companion import exercises, ops\nexercises.check('nn.softmax', ops.softmax)\n"
    assert status(run_text(tmp_path, text), "nn.softmax") == ""
    answers = run_text(tmp_path, "from companion.exercises import check\ncheck('softmax', 1)\n")
    assert "line 2: ValueError: companion.exercises: name is 'softmax'" in answers.problems[0]


def test_names_are_found_in_the_text_of_a_file_that_does_not_run() -> None:
    text = "def softmax(z:\nclass Tensor\n: x = (\ncount: int = 3\nrate=1\nif x == y == 1: ...\nx == 2\n  inner = 3\n"
    assert seem_defined(Path("a.py"), text.encode()) == {"softmax", "count", "rate"} | {"Tensor"}
    cells = {"cells": [{"cell_type": "code", "source": text.splitlines(keepends=True)}]}
    assert seem_defined(Path("a.ipynb"), json.dumps(cells).encode()) == {"softmax", "count", "rate", "Tensor"}
    assert seem_defined(Path("a.ipynb"), b"no notebook") == set()


@pytest.mark.parametrize("contents", ["", "[]", "3", '{"cells": 3}', '{"cells": [3]}', '{"cells": [{}]}', "[" * 10**5])
def test_what_is_no_notebook_is_refused(contents: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^it is not a notebook of format 4 \("):
        cells_of(Path("a.ipynb"), contents.encode())
    (tmp_path / "a.ipynb").write_text(contents, encoding="utf-8")
    assert run_file(tmp_path / "a.ipynb").defined == {}
    assert len(run_file(tmp_path / "a.ipynb").problems) == 1


def test_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_file(tmp_path / "a.py")
