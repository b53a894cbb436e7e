"""The runs that the chapter on neural Turing machines tells of: all of them, with the settings as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import companion
from companion.recipes import RECIPES, find
from companion.recipes.loading import load_model
from companion.recipes.shipped import folder_of
from tests.benchmarks.machines import Job, jobs, up_to_date, write

FILE = Path(companion.__file__).parents[1] / "book" / "machines.json"
RUNS: list[dict[str, Any]] = json.loads(FILE.read_text())


def job(run: dict[str, Any]) -> Job:
    return Job(run["recipe"], run["changes"], run["seed"])


def test_every_run_is_there_in_order_with_the_settings_as_they_are() -> None:
    assert [job(run) for run in RUNS] == list(jobs())
    for run in RUNS:
        assert up_to_date(job(run), run), job(run)


def test_a_run_with_another_setting_or_none_at_all_is_made_again() -> None:
    run = RUNS[0]
    other = run["settings"] | {"gate_bias": run["settings"]["gate_bias"] + 1}
    assert not up_to_date(job(run), run | {"settings": other})
    assert not up_to_date(job(run), run | {"settings": run["settings"] | {"momentum": 0.9}})
    assert not up_to_date(job(run), None)


@pytest.mark.parametrize("name", sorted({run["recipe"] for run in RUNS}))
def test_shipped_checkpoints_are_of_these_runs(name: str) -> None:
    told = {run["seed"]: run["test"] for run in RUNS if (run["recipe"], run["changes"]) == (name, {})}
    header = load_model(folder_of(find(name))).header
    for run in header["runs"]:
        assert told[run["seed"]] == pytest.approx(run["test"], abs=1e-6)


def test_the_table_is_written_in_the_order_of_the_jobs_and_forgets_others(tmp_path: Path) -> None:
    runs = {str(job(run)): run for run in RUNS[:3]}
    foreign = Job("copy", {"gate_bias": "7"}, 0)
    write(tmp_path / "runs.json", {str(foreign): RUNS[0]} | dict(reversed(runs.items())))
    assert json.loads((tmp_path / "runs.json").read_text()) == RUNS[:3]


def test_every_algorithmic_recipe_is_among_them() -> None:
    assert {run["recipe"] for run in RUNS} == {*RECIPES} - {"letters-to-phonemes", "wikitext-2", "copy-adrift"}
