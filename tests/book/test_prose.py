"""Every equation of a chapter has a name and is used; every figure has a name and is referred to; every source is cited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
DISPLAYED = re.compile(r"\$\$.*?\$\$(?: \((eq-[a-z0-9-]+)\))?", re.DOTALL)


def text_of(notebook: Any) -> str:
    return "\n".join(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def equation_faults(text: str) -> list[str]:
    """Displayed equations without a label, and labels that nothing refers to."""
    unnamed = [match[0][:40] for match in DISPLAYED.finditer(text) if not match[1]]
    labels = [match[1] for match in DISPLAYED.finditer(text) if match[1]]
    return unnamed + [label for label in labels if f"(#{label})" not in text or labels.count(label) > 1]


def figure_faults(notebook: Any) -> list[str]:
    """Images without a name or a caption, and names that the text does not refer to."""
    faults, text = [], text_of(notebook)
    for index, cell in enumerate(notebook["cells"]):
        if not any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            continue
        figure = cell["metadata"].get("mystnb", {}).get("figure", {})
        name = figure.get("name", "")
        if not name or not figure.get("caption") or f"{{numref}}`{name}`" not in text:
            faults.append(f"cell {index}: {name or 'no name'}")
    return faults


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_equation_is_named_and_used(path: Path) -> None:
    assert equation_faults(text_of(nbformat.read(path, as_version=4))) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_figure_is_named_and_referred_to(path: Path) -> None:
    assert figure_faults(nbformat.read(path, as_version=4)) == []


def test_every_entry_of_the_bibliography_is_cited() -> None:
    pages = [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md")]
    cited = " ".join(path.read_text(encoding="utf-8") for path in pages)
    entries = re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    assert [entry for entry in entries if entry not in cited] == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("$$ a = b $$", ["$$ a = b $$"]),
        ("$$ a = b $$ (eq-one)", ["eq-one"]),
        ("$$ a $$ (eq-one) see [](#eq-one-more)", ["eq-one"]),
        ("$$ a $$ (eq-one) and $$ b $$ (eq-one), by [](#eq-one)", ["eq-one", "eq-one"]),
        ("$$ a $$ (eq-one), by [](#eq-one)", []),
    ],
)
def test_faults_of_equations_are_found(text: str, faults: list[str]) -> None:
    assert equation_faults(text) == faults


def test_a_figure_that_the_text_does_not_mention_is_found() -> None:
    figure = {"name": "fig-a", "caption": "What it shows."}
    cell = {
        "cell_type": "code",
        "source": "",
        "metadata": {"mystnb": {"figure": figure}},
        "outputs": [{"data": {"image/png": ""}}],
    }
    prose = {"cell_type": "markdown", "source": "See {numref}`fig-a`."}
    assert figure_faults({"cells": [cell]}) == ["cell 0: fig-a"]
    assert figure_faults({"cells": [prose, cell]}) == []
    assert figure_faults({"cells": [prose, cell | {"metadata": {}}]}) == ["cell 1: no name"]
