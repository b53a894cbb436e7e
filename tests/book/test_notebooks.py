"""What the stored notebooks must hold to, read from the files alone: nothing is executed here."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from book._tools import notebooks

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
MAX_LINES = 20
MIN_ALT = 20  # characters; fewer can name a figure but not say what it shows

Notebook = dict[str, Any]
Check = Callable[[Notebook], list[str]]


def code_cells(nb: Notebook) -> Iterator[tuple[int, Notebook]]:
    """The code cells that hold something, with their place in the file."""
    return ((i, cell) for i, cell in enumerate(nb["cells"]) if cell["cell_type"] == "code" and cell["source"].strip())


def outputs(nb: Notebook) -> Iterator[tuple[int, Notebook, Notebook]]:
    """Every stored output with its cell."""
    return ((i, cell, output) for i, cell in code_cells(nb) for output in cell["outputs"])


def not_run_in_order(nb: Notebook) -> list[str]:
    """A reader must get these outputs from "run all" in a fresh kernel."""
    counts = [(i, cell["execution_count"]) for i, cell in code_cells(nb)]
    return [f"cell {i} has count {count}, not {n}" for n, (i, count) in enumerate(counts, 1) if count != n]


def errors(nb: Notebook) -> list[str]:
    """Cells that ended in an exception."""
    return [f"cell {i} ends in {out['ename']}" for i, _, out in outputs(nb) if out["output_type"] == "error"]


def stderr(nb: Notebook) -> list[str]:
    """Cells that keep a warning or a progress bar."""
    return [f"cell {i} keeps stderr" for i, _, out in outputs(nb) if out.get("name") == "stderr"]


def addresses(nb: Notebook) -> list[str]:
    """Outputs with a memory address, which no two runs share."""
    return [f"cell {i} prints an address" for i, _, out in outputs(nb) if re.search(r"\bat 0x[0-9a-f]{6}", str(out))]


def long_cells(nb: Notebook) -> list[str]:
    """Cells that hold more than one screen can."""
    sizes = [(i, len(cell["source"].splitlines())) for i, cell in code_cells(nb)]
    return [f"cell {i} has {n} lines, the limit is {MAX_LINES}" for i, n in sizes if n > MAX_LINES]


def figures_without_alt_text(nb: Notebook) -> list[str]:
    """Cells with a picture and without words for those who cannot see it."""
    found = {}
    for i, cell, out in outputs(nb):
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "").strip()
        if any(kind.startswith("image/") for kind in out.get("data", {})):
            if len(alt) < MIN_ALT:
                found[i] = f"cell {i}: alt text {alt!r} is shorter than {MIN_ALT} characters"
            elif re.fullmatch(r"\S+\.(png|svg|jpe?g|gif)", alt):
                found[i] = f"cell {i}: alt text {alt!r} is a file name"
    return list(found.values())


def installs(nb: Notebook) -> list[str]:
    """Cells that change the reader's machine."""
    shell = re.compile(r"^\s*(!|%pip|%conda|%%(bash|sh)\b)", re.MULTILINE)
    return [f"cell {i} runs a shell command" for i, cell in code_cells(nb) if shell.search(cell["source"])] + [
        f"cell {i} tells the reader to run !pip"
        for i, cell in enumerate(nb["cells"])
        if cell["cell_type"] != "code" and "!pip" in cell["source"]
    ]


def untested_claims(nb: Notebook) -> list[str]:
    """Cells that record a claim before an assertion about something measured."""
    return [f"cell {i} records a claim without asserting it first" for i, c in code_cells(nb) if _untested(c["source"])]


def _untested(source: str) -> bool:
    code = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())
    nodes = list(ast.walk(ast.parse(code)))
    claims = [node.lineno for node in nodes if isinstance(node, ast.Call) and _called(node) == "claim"]
    asserts = [node.lineno for node in nodes if isinstance(node, ast.Assert) and _mentions_a_value(node.test)]
    return bool(claims) and (not asserts or min(asserts) > min(claims))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _mentions_a_value(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) for node in ast.walk(test))


CHECKS: list[Check] = [
    not_run_in_order,
    errors,
    stderr,
    addresses,
    long_cells,
    figures_without_alt_text,
    installs,
    untested_claims,
]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_is_stored_in_normal_form(path: Path) -> None:
    assert notebooks.is_normalised(path), "run `make tidy`, or `make notebooks` where code changed"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_has_none_of(path: Path, check: Check) -> None:
    assert check(notebooks.parse(path.read_text(encoding="utf-8"))) == []


# ---- the table of contents


def files_in_toc(node: Any) -> list[str]:
    """Every file that the table of contents names."""
    if isinstance(node, list):
        return [name for child in node for name in files_in_toc(child)]
    if not isinstance(node, dict):
        return []
    own = [str(node[key]) for key in ("root", "file") if key in node]
    return own + [name for child in node.values() for name in files_in_toc(child)]


def files_in_book(book: Path) -> list[str]:
    """Every page there is; names that begin with an underscore hold tools and assets."""
    pages = [path.relative_to(book.parent) for path in book.rglob("*") if path.suffix in {".md", ".ipynb"}]
    return [
        path.with_suffix("").as_posix() for path in pages if not any(part.startswith(("_", ".")) for part in path.parts)
    ]


def test_table_of_contents_and_pages_are_the_same_set() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert sorted(files_in_toc(toc)) == sorted(files_in_book(ROOT / "book"))


def test_toc_reader_finds_nested_files() -> None:
    toc = {"root": "a", "parts": [{"caption": "p", "chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]}
    assert files_in_toc(toc) == ["a", "b", "c"]


def test_page_finder_leaves_out_tools_and_hidden_files(tmp_path: Path) -> None:
    for name in ("one.md", "two.ipynb", "_tools/three.md", ".ipynb_checkpoints/two.ipynb", "four.py"):
        path = tmp_path / "book" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert sorted(files_in_book(tmp_path / "book")) == ["book/one", "book/two"]


# ---- each check finds the fault it is there for


def good() -> Notebook:
    """A notebook that no check objects to."""
    figure = {"output_type": "display_data", "data": {"image/png": "iVBO"}, "metadata": {}}
    alt = {"mystnb": {"image": {"alt": "the loss falls from 2.3 to 0.1 in 50 steps"}}}
    cells = [
        {"cell_type": "markdown", "source": "# Title", "metadata": {}},
        {
            "cell_type": "code",
            "source": "error = 1\nassert error < 2\nclaim('C04', error)",
            "metadata": {},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": "1\n"}],
            "execution_count": 1,
        },
        {"cell_type": "code", "source": "plt.show()", "metadata": alt, "outputs": [figure], "execution_count": 2},
    ]
    return notebooks.normalised({"cells": cells, "metadata": {}})


def with_source(source: str) -> Callable[[Notebook], None]:
    """A fault that is a text."""
    return lambda nb: nb["cells"][1].update(source=source)


def with_output(**output: Any) -> Callable[[Notebook], None]:
    """A fault that is an output."""
    return lambda nb: nb["cells"][1].update(outputs=[output])


def with_alt(alt: str) -> Callable[[Notebook], None]:
    """A fault that is an alt text."""
    return lambda nb: nb["cells"][2].update(metadata={"mystnb": {"image": {"alt": alt}}})


FAULTS: list[tuple[Check, Callable[[Notebook], None]]] = [
    (not_run_in_order, lambda nb: nb["cells"][1].update(execution_count=None)),
    (not_run_in_order, lambda nb: nb["cells"][2].update(execution_count=7)),
    (errors, with_output(output_type="error", ename="ValueError", evalue="", traceback=[])),
    (stderr, with_output(output_type="stream", name="stderr", text="warning")),
    (addresses, with_output(output_type="execute_result", data={"text/plain": "<Line2D at 0x7f12ab34cd>"})),
    (long_cells, with_source("x = 1\n" * 21)),
    (figures_without_alt_text, with_alt("")),
    (figures_without_alt_text, with_alt("a figure")),
    (figures_without_alt_text, with_alt("_images/0123456789abcdef.png")),
    (installs, with_source("!pip install numpy")),
    (installs, with_source("%pip install numpy")),
    (installs, lambda nb: nb["cells"][0].update(source="first `!pip install numpy`")),
    (untested_claims, with_source("claim('C04', 1)")),
    (untested_claims, with_source("assert True\nclaims.claim('C04', 1)")),
    (untested_claims, with_source("claim('C04', error)\nassert error < 1")),
]


@pytest.mark.parametrize(("check", "plant"), FAULTS)
def test_check_finds_a_planted_fault(check: Check, plant: Callable[[Notebook], None]) -> None:
    nb = good()
    assert check(nb) == []
    plant(nb)
    assert len(check(nb)) == 1


# ---- the normal form itself


def test_normal_form_is_a_fixed_point_that_keeps_its_argument() -> None:
    nb = good()
    before = copy.deepcopy(nb)
    assert notebooks.normalised(nb) == nb == before


@pytest.mark.parametrize(
    "noise",
    [
        lambda nb: nb["metadata"]["language_info"].update(version="3.13.0"),
        lambda nb: nb["cells"][1]["metadata"].update(execution={"iopub.execute_input": "2026"}),
        lambda nb: nb["cells"][1].update(id="random-id"),
        lambda nb: nb["cells"][1]["outputs"].append({"output_type": "stream", "name": "stderr", "text": "50 %"}),
        lambda nb: nb["cells"][1]["outputs"].append({"output_type": "stream", "name": "stdout", "text": ""}),
    ],
)
def test_normal_form_removes(noise: Callable[[Notebook], None]) -> None:
    nb = good()
    noise(nb)
    assert nb != good()
    assert notebooks.normalised(nb) == good()


def test_equal_cells_get_different_ids() -> None:
    cells = [{"cell_type": "markdown", "source": "---", "metadata": {}} for _ in range(3)]
    assert len({cell["id"] for cell in notebooks.normalised({"cells": cells, "metadata": {}})["cells"]}) == 3


def test_ledger_runs_after_every_chapter_it_reads(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.ipynb" for name in ("attention", "claims", "lstm")}
    for path in paths.values():
        path.touch()
    assert notebooks.chapters([], tmp_path) == [paths["attention"], paths["lstm"], paths["claims"]]
    assert notebooks.with_ledger([paths["lstm"]]) == [paths["lstm"], paths["claims"]]
    assert notebooks.with_ledger([paths["claims"], paths["lstm"]]) == [paths["lstm"], paths["claims"]]
