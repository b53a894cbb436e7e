"""The examples for other graders do what their README says, run as those graders run them."""

from __future__ import annotations

import doctest
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from companion.exercises import EXERCISES

EXAMPLES = Path(__file__).resolve().parents[2] / "book" / "_examples"
SOLUTION = re.compile(r"### BEGIN SOLUTION.*### END SOLUTION", re.DOTALL)
RIGHT = "e = np.exp(z - z.max(axis=1, keepdims=True))\n    return e / e.sum(axis=1, keepdims=True)"
WRONG = "e = np.exp(z - z.max(axis=0))\n    return e / e.sum(axis=0)"
MESSAGE = "nn.softmax: not right yet. It looks as if you normalised over the batch."


def assignment(body: str | None = None) -> list[str]:
    """The code cells of the assignment, with this body for the answer where there is one."""
    cells = json.loads((EXAMPLES / "nbgrader.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return sources if body is None else [SOLUTION.sub(lambda _: body, source) for source in sources]


def run(sources: list[str]) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    for source in sources:
        exec(source, namespace)
    return namespace


@pytest.mark.parametrize("body", [None, RIGHT])
def test_right_answer_to_the_assignment_earns_its_points(body: str | None) -> None:
    assert run(assignment(body))["verdict"].status == "correct"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (WRONG, MESSAGE),
        ("raise NotImplementedError()", "nn.softmax: not done yet."),
        ("...", "nn.softmax: not done yet."),
    ],
)
def test_other_answer_fails_with_the_message_of_the_check(body: str, message: str) -> None:
    with pytest.raises(AssertionError, match="^" + re.escape(message)):
        run(assignment(body))


def test_cells_of_the_assignment_are_marked_as_nbgrader_reads_them() -> None:
    cells = json.loads((EXAMPLES / "nbgrader.ipynb").read_text(encoding="utf-8"))["cells"]
    marked = [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
    keys = {"grade", "grade_id", "locked", "schema_version", "solution", "task"}
    assert [set(m) - {"points"} for m in marked] == [keys] * 3
    assert {m["schema_version"] for m in marked} == {3}
    assert len({m["grade_id"] for m in marked}) == 3
    assert [(m["grade"], m["solution"], m["locked"]) for m in marked] == [
        (False, False, True),
        (False, True, False),
        (True, False, True),
    ]
    assert [m.get("points") for m in marked] == [None, None, 2]


def test_readme_shows_the_cell_that_gives_the_marks() -> None:
    (shown,) = re.findall(r"```python\n(.*?)\n```", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown == assignment()[-1]


def run_doctest(body: str) -> tuple[doctest.TestResults, str]:
    """The result of otter's test on an answer, and what the student would read."""
    (suite,) = runpy.run_path(str(EXAMPLES / "otter_softmax.py"))["test"]["suites"]
    assert suite["type"] == "doctest"
    namespace = run([f"import numpy as np\ndef softmax(z):\n    {body}"])
    cases = [doctest.DocTestParser().get_doctest(case["code"], namespace, "case", None, 0) for case in suite["cases"]]
    read: list[str] = []
    (result,) = [doctest.DocTestRunner(verbose=False).run(case, out=read.append) for case in cases]
    return result, "".join(read)


def test_test_for_otter_passes_a_right_answer_and_tells_a_wrong_one() -> None:
    assert run_doctest(RIGHT)[0].failed == 0
    result, read = run_doctest(WRONG)
    assert result.failed == 1
    assert MESSAGE in read


def test_examples_name_an_exercise_that_exists() -> None:
    assert "nn.softmax" in EXERCISES
