"""The ledger of claims: a chapter records what it measured for a claim of the review, and the book collects the records.

A record lives in the output of the notebook cell that computed it, as JSON beside what is shown. `read_claims` finds the
records of all chapters again, so that the page of claims is computed from the chapters and never typed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, get_args

MIME = "application/vnd.rnn-review.claim+json"
Verdict = Literal["holds", "holds with a limit", "did not hold here"]
VERDICTS = get_args(Verdict)


class Claim(NamedTuple):
    """One claim of the review, put to the test."""

    id: str  # "C04"
    statement: str  # the claim in one sentence
    measured: str  # what was measured: on what, how often, compared at equal what
    figures: dict[str, list[float]]  # what -> one number for every seed, 3 significant digits
    verdict: Verdict

    def figure(self, name: str) -> str:
        """Median and range of one row of figures, as "0.97 (0.96 to 0.98)"."""
        values = self.figures[name]
        return (
            f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else f"{values[0]:.3g}"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        rows = "\n".join(f"| {name} | {self.figure(name)} | {len(self.figures[name])} |" for name in self.figures)
        text = f"**Claim {self.id}: {self.verdict}.** {self.statement}\n\n{self.measured}\n\n"
        table = f"| figure | median (range) | runs |\n|---|---|---|\n{rows}\n"
        record = self._asdict() | {
            "figures": list(self.figures.items())
        }  # a list, because JSON objects lose their order
        return {"text/markdown": text + table, "text/plain": repr(self), MIME: record}

    def __repr__(self) -> str:
        return f"Claim {self.id}: {self.verdict}"


def claim(
    id: str,
    statement: str,
    measured: str,
    figures: Mapping[str, Sequence[float]],
    verdict: Verdict,
) -> Claim:
    """Record a claim as the last expression of the cell that asserts it; `figures` holds one number for every seed.

    Raises ValueError for an id that is not C and two digits, an unknown verdict or an empty row of figures.
    """
    if not re.fullmatch(r"C\d\d", id):
        raise ValueError(f"claim: id is {id!r}, expected C and two digits, such as 'C04'")
    if verdict not in VERDICTS:
        raise ValueError(f"claim: verdict is {verdict!r}, expected one of: {', '.join(VERDICTS)}")
    if not figures or not all(len(values) and all(map(isfinite, values)) for values in figures.values()):
        raise ValueError(f"claim: figures is {dict(figures)}, expected one finite number or more in every row")
    rounded = {name: [float(f"{value:.3g}") for value in values] for name, values in figures.items()}
    return Claim(id, statement, measured, rounded, verdict)


def read_claims(folder: str | Path) -> list[tuple[Claim, Path]]:
    """All claims recorded in the notebooks of a folder, in order, each with its notebook.

    Raises ValueError when two notebooks record the same claim.
    """
    found: dict[str, tuple[Claim, Path]] = {}
    for path in sorted(Path(folder).glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                record = output.get("data", {}).get(MIME)
                if record is None:
                    continue
                if record["id"] in found:
                    first = found[record["id"]][1].name
                    raise ValueError(f"read_claims: {record['id']} is recorded in {first} and {path.name}")
                found[record["id"]] = Claim(**record | {"figures": dict(record["figures"])}), path
    return [found[key] for key in sorted(found)]


class Table(NamedTuple):
    """A table that a notebook displays."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def _repr_markdown_(self) -> str:
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def verdicts(claims: Sequence[tuple[Claim, Path]]) -> Table:
    """One row for every claim of `read_claims`, with a link to its chapter."""
    rows = [(c.id, c.statement, c.verdict, f"[{_title(path)}]({path.name})") for c, path in claims]
    return Table(("Claim", "Statement", "Verdict", "Chapter"), rows)


def figures(claims: Sequence[tuple[Claim, Path]]) -> Table:
    """One row for every figure of the claims of `read_claims`."""
    rows = [(c.id, name, c.figure(name), str(len(values))) for c, _ in claims for name, values in c.figures.items()]
    return Table(("Claim", "Figure", "Median (range)", "Runs"), rows)


def _title(path: Path) -> str:
    """The first heading of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    heading = re.search(r"^# (.*)", text, flags=re.MULTILINE)
    return heading[1] if heading else path.stem
