"""The chapter shows every exercise, and its cells start from the stub that the solution gives."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

from companion.exercises import EXERCISES, stub
from tests.exercises.chapters import CHAPTERS

BOOK = Path(__file__).parents[2] / "book"


def code_cells(prefix: str) -> list[str]:
    notebook = nbformat.read(BOOK / CHAPTERS[prefix], as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("name", EXERCISES)
def test_chapter_shows_the_exercise_and_then_offers_its_stub(name: str) -> None:
    exercise, cells = EXERCISES[name], code_cells(name.split(".")[0])
    shown = [index for index, cell in enumerate(cells) if ast.dump(ast.parse(cell)) == parsed(f"show({name!r})")]
    filled = f"{stub(exercise)}\ncheck({name!r}, {exercise.function})"
    offered = [index for index, cell in enumerate(cells) if ast.dump(ast.parse(cell)) == parsed(filled)]
    assert len(shown) == len(offered) == 1, f"{name}: shown in cells {shown}, stub in cells {offered}"
    assert shown[0] < offered[0] <= shown[0] + 3


def parsed(source: str) -> str:
    return ast.dump(ast.parse(source))


@pytest.mark.parametrize("prefix", CHAPTERS)
def test_exercises_stand_in_the_chapter_in_the_order_of_the_package(prefix: str) -> None:
    cells = "\n".join(code_cells(prefix))
    names = [name for name in EXERCISES if name.split(".")[0] == prefix]
    missing = [name for name in names if f'show("{name}")' not in cells]
    assert missing == []
    positions = [cells.index(f'show("{name}")') for name in names]
    assert positions == sorted(positions)
    assert len(positions) >= 10
