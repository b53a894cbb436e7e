"""What the files beside the code promise, and what no file may hold."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

import companion
from companion.exercises import judge

ROOT = Path(__file__).resolve().parents[1]
README_LINES = 120

# Written in pieces, so that this file does not hold what it looks for.
REGISTRIES = ["pypi" + ".org", "python" + "hosted.", "download." + "pytorch", "registry." + "npmjs", "deb." + "debian"]
FORBIDDEN = {
    "a package registry's host": re.compile("|".join(map(re.escape, REGISTRIES)), re.IGNORECASE),
    "a path that leads out of the repository": re.compile(r"\.\./" + "shared" + r"\b"),
    "the number of an issue": re.compile(r"\bissue" + r"s? #?\d+", re.IGNORECASE),
}
LOCAL_PATH = re.compile(r"(?<![\w.])(/(home|Users|root|tmp|var/folders)/\w|[A-Z]:\\\\?Users)")


def tracked() -> list[Path]:
    """The files git has or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """The file's text; nothing for a binary one."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def forbidden(text: str) -> list[str]:
    """What a text holds that none may."""
    return [f"{what}: {match[0]}" for what, pattern in FORBIDDEN.items() for match in pattern.finditer(text)]


def local_paths(notebook: str) -> list[str]:
    """Paths of the author's machine in a notebook's outputs."""
    cells = json.loads(notebook)["cells"]
    return [match[0] for cell in cells for match in LOCAL_PATH.finditer(json.dumps(cell.get("outputs", [])))]


def make_targets(readme: str) -> set[str]:
    """The targets that a text tells its reader to make."""
    return set(re.findall(r"(?:`|^\s*(?:\$ )?)make ([a-z]+)", readme, re.MULTILINE))


def relative_links(markdown: str) -> set[str]:
    """The files of the repository that a text links to or shows."""
    links = re.findall(r"\]\(([^)#\s]+)", markdown)
    return {link for link in links if "://" not in link and not link.startswith("mailto:")}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_linked_file_exists(name: str) -> None:
    links = relative_links((ROOT / name).read_text(encoding="utf-8"))
    assert {link for link in links if not (ROOT / link).exists()} == set()


def test_a_link_to_nothing_is_found() -> None:
    assert relative_links("[a](no/such.md) ![b](there.png) [c](https://x.org) [d](#e)") == {"no/such.md", "there.png"}


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


def test_every_target_in_the_readme_exists() -> None:
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = make_targets((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"book", "test"} <= named <= rules


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == str(citation["version"]) == companion.__version__
    assert companion.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_file_holds_what_none_may() -> None:
    found = {str(path.relative_to(ROOT)): forbidden(text_of(path)) for path in tracked()}
    assert {name: what for name, what in found.items() if what} == {}


def test_no_output_shows_the_authors_machine() -> None:
    chapters = [path for path in tracked() if path.suffix == ".ipynb"]
    found = {path.name: local_paths(text_of(path)) for path in chapters}
    assert {name: what for name, what in found.items() if what} == {}


# ---- each check finds the fault it is there for


@pytest.mark.parametrize("text", [f"see https://{REGISTRIES[0]}/x", "../" + "shared/notes", "as in is" + "sue #12"])
def test_forbidden_text_is_found(text: str) -> None:
    assert len(forbidden(text)) == 1


def test_local_path_in_an_output_is_found() -> None:
    cell = {"outputs": [{"output_type": "stream", "text": ["saved to /home/" + "ada/x.npz\n"]}]}
    assert local_paths(json.dumps({"cells": [cell]})) == ["/home/" + "a"]


def test_targets_are_read_from_prose_and_from_blocks() -> None:
    assert make_targets("run `make book`\n```\nmake test\n$ make read\n```\nwe make progress") == {
        "book",
        "test",
        "read",
    }


def test_code_of_the_readme_runs_and_answers_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
        exec(block, {})
    printed = " ".join(capsys.readouterr().out.split())
    (promised,) = re.findall(r"```text\n(.*?)```", readme, re.DOTALL)
    assert " ".join(promised.split()) in printed


def test_answer_shown_in_the_introduction_is_the_one_given() -> None:
    def over_the_batch(z: np.ndarray) -> np.ndarray:
        e = np.exp(z - z.max(axis=0))
        return e / e.sum(axis=0)

    shown = " ".join((ROOT / "book" / "intro.md").read_text(encoding="utf-8").split())
    assert str(judge("nn.softmax", over_the_batch)) in shown
