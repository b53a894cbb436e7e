"""The ledger of claims: what a record holds, how a page shows it, and that no record is lost or counted twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from companion.claims import MIME, VERDICTS, Claim, claim, figures, read_claims, verdicts

FIGURES = {"seconds": [12345.6], "accuracy": [0.97123, 0.9, 0.98456]}  # not in the order of the alphabet


def a_claim(id: str = "C04", **changes: Any) -> Claim:
    fields: dict[str, Any] = {
        "statement": "It learns.",
        "measured": "On digits.",
        "figures": FIGURES,
        "verdict": "holds",
    }
    return claim(id, **fields | changes)


def notebook(path: Path, *claims: Claim, **metadata: Any) -> None:
    """A notebook with text, a cell that prints, one without outputs, and one cell for every claim, as Jupyter saves it."""
    shown = [{"output_type": "execute_result", "data": c._repr_mimebundle_(), "metadata": {}} for c in claims]
    cells = [
        {"cell_type": "markdown", "source": "# Title"},
        {
            "cell_type": "code",
            "source": "print(1)",
            "outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}],
        },
        {"cell_type": "code", "source": "x = 1", "outputs": []},
        *({"cell_type": "code", "source": "claim(...)", "outputs": [output]} for output in shown),
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4}, sort_keys=True), encoding="utf-8")


def test_figures_keep_three_significant_digits() -> None:
    assert a_claim().figures == {"accuracy": [0.971, 0.9, 0.985], "seconds": [12300.0]}
    assert a_claim(figures={"x": (1e-7 / 3, -2 / 3)}).figures == {"x": [3.33e-08, -0.667]}


def test_figures_are_python_numbers_whatever_computed_them() -> None:
    import numpy as np

    record = a_claim(figures={"x": np.array([1.0, 2.5], np.float32), "n": [np.int64(3)]})
    assert json.loads(json.dumps(record._asdict()))["figures"] == {"x": [1.0, 2.5], "n": [3.0]}


def test_claim_does_not_share_its_figures_with_the_caller() -> None:
    row = [1.0, 2.0]
    record = a_claim(figures={"x": row})
    row.append(3.0)
    assert record.figures == {"x": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([3.0, 1.0, 2.0], "2 (1 to 3)"),
        ([4.0, 1.0, 2.0, 3.0], "2.5 (1 to 4)"),
        ([0.97123], "0.971"),
        ([0.5, 0.5], "0.5 (0.5 to 0.5)"),
    ],
)
def test_figure_is_shown_as_median_and_range(values: list[float], shown: str) -> None:
    assert a_claim(figures={"x": values}).figure("x") == shown


def test_shown_claim_carries_its_record() -> None:
    bundle = a_claim()._repr_mimebundle_()
    assert set(bundle) == {"text/markdown", "text/plain", MIME}
    assert bundle["text/plain"] == "Claim C04: holds" == repr(a_claim())
    lines = bundle["text/markdown"].splitlines()
    assert lines[0] == "**Claim C04: holds.** It learns."
    assert "On digits." in lines
    assert "| accuracy | 0.971 (0.9 to 0.985) | 3 |" in lines
    assert "| seconds | 1.23e+04 | 1 |" in lines


@pytest.mark.parametrize("id", ["C4", "4", "c04", "C004", "C04 ", "", "xC04"])
def test_id_is_c_and_two_digits(id: str) -> None:
    with pytest.raises(ValueError, match="expected C and two digits") as caught:
        a_claim(id)
    assert repr(id) in str(caught.value)


@pytest.mark.parametrize("verdict", ["Holds", "true", "", "holds with limits"])
def test_unknown_verdict_is_refused_with_those_there_are(verdict: str) -> None:
    with pytest.raises(ValueError, match="claim: verdict is") as caught:
        a_claim(verdict=verdict)
    assert all(known in str(caught.value) for known in VERDICTS)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_can_be_recorded(verdict: Any) -> None:
    assert a_claim(verdict=verdict).verdict == verdict


@pytest.mark.parametrize("figures", [{}, {"x": []}, {"x": [1.0], "y": []}])
def test_claim_without_numbers_is_refused(figures: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="one finite number or more in every row"):
        a_claim(figures=figures)


def test_claims_of_all_chapters_are_read_in_order(tmp_path: Path) -> None:
    notebook(tmp_path / "b-chapter.ipynb", a_claim("C07", verdict="did not hold here"), a_claim("C02"))
    notebook(tmp_path / "a-chapter.ipynb", a_claim("C05"))
    notebook(tmp_path / "no-claim.ipynb")
    (tmp_path / "notes.md").write_text("C09", encoding="utf-8")
    assert read_claims(tmp_path) == [
        (a_claim("C02"), tmp_path / "b-chapter.ipynb"),
        (a_claim("C05"), tmp_path / "a-chapter.ipynb"),
        (a_claim("C07", verdict="did not hold here"), tmp_path / "b-chapter.ipynb"),
    ]
    assert read_claims(str(tmp_path)) == read_claims(tmp_path)


def test_rows_of_figures_keep_their_order_in_a_saved_notebook(tmp_path: Path) -> None:
    notebook(tmp_path / "a.ipynb", a_claim())  # Jupyter sorts the keys of what it saves
    ((record, _),) = read_claims(tmp_path)
    assert list(record.figures) == ["seconds", "accuracy"]
    assert record._repr_mimebundle_() == a_claim()._repr_mimebundle_()


def test_folder_without_chapters_has_no_claims(tmp_path: Path) -> None:
    assert read_claims(tmp_path) == []


@pytest.mark.parametrize("second", ["a.ipynb", "b.ipynb"])
def test_claim_recorded_twice_is_an_error_that_names_both_chapters(tmp_path: Path, second: str) -> None:
    first = [a_claim("C02")] if second != "a.ipynb" else [a_claim("C02"), a_claim("C02")]
    notebook(tmp_path / "a.ipynb", *first)
    if second != "a.ipynb":
        notebook(tmp_path / second, a_claim("C02", verdict="did not hold here"))
    with pytest.raises(ValueError, match=f"C02 is recorded in a.ipynb and {second}"):
        read_claims(tmp_path)


def test_tables_have_a_row_for_every_claim_and_every_figure(tmp_path: Path) -> None:
    notebook(tmp_path / "lstm.ipynb", a_claim("C04"), a_claim("C05", verdict="did not hold here"))
    found = read_claims(tmp_path)
    assert verdicts(found)._repr_markdown_().splitlines() == [
        "| Claim | Statement | Verdict | Chapter |",
        "| --- | --- | --- | --- |",
        "| C04 | It learns. | holds | [Title](lstm.ipynb) |",
        "| C05 | It learns. | did not hold here | [Title](lstm.ipynb) |",
    ]
    assert figures(found).rows[:2] == [
        ("C04", "seconds", "1.23e+04", "1"),
        ("C04", "accuracy", "0.971 (0.9 to 0.985)", "3"),
    ]
