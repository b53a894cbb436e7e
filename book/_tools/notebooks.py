"""Execute the book's notebooks and store them in the one form that makes for small, honest diffs.

    python book/_tools/notebooks.py                  # execute and store every chapter
    python book/_tools/notebooks.py neural-networks  # only this one
    python book/_tools/notebooks.py --tidy [NAME]    # store in normal form, execute nothing
    python book/_tools/notebooks.py --check [NAME]   # say which files are not in normal form

Executing a second time leaves every byte as it was.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat

BOOK = Path(__file__).resolve().parents[1]
LEDGER = "claims"
CELL_TIMEOUT = (
    600  # seconds; far above the budget of a whole chapter, so only a hang meets it
)
QUIET_TAG = "nbval-ignore-output"  # on cells with a progress bar or a number that differs between machines
NOTEBOOK_METADATA = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}
CELL_METADATA = (
    "mystnb",
    "tags",
)  # what the book and the tests read; editors leave much else behind

Notebook = dict[str, Any]


class ChapterError(Exception):
    """A chapter did not run as it should; the message says where."""


def normalised(nb: Notebook) -> Notebook:
    """A copy of the notebook with nothing in it that another editor, machine or day would change."""
    nb = copy.deepcopy(nb)
    nb.update(
        nbformat=4, nbformat_minor=5, metadata=copy.deepcopy(NOTEBOOK_METADATA)
    )
    seen: set[str] = set()
    for cell in nb["cells"]:
        cell["source"] = "\n".join(
            line.rstrip() for line in _text(cell["source"]).strip("\n").split("\n")
        )
        cell["metadata"] = {
            key: cell["metadata"][key]
            for key in CELL_METADATA
            if cell["metadata"].get(key)
        }
        cell["id"] = _cell_id(cell, seen)
        if cell["cell_type"] == "code":
            cell["outputs"] = list(_outputs(cell.get("outputs", [])))
            cell.setdefault("execution_count", None)
    return nb


def _cell_id(cell: Notebook, seen: set[str]) -> str:
    """Made from the text, so that the same chapter written by another tool is the same file."""
    for copies in range(len(seen) + 1):
        name = f"{cell['cell_type']} {copies} {cell['source']}"
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        if digest not in seen:
            break
    seen.add(digest)
    return digest


def _outputs(outputs: list[Notebook]) -> Iterator[Notebook]:
    """The outputs without progress bars and empty ones, each stream in one piece."""
    streams: dict[str, Notebook] = {}
    for output in outputs:
        if output["output_type"] != "stream":
            output.get("metadata", {}).pop("needs_background", None)
            yield output
        elif output["name"] == "stdout" and _text(output["text"]):
            if "stdout" in streams:
                streams["stdout"]["text"] += _text(output["text"])
            else:
                streams["stdout"] = output
                output["text"] = _text(output["text"])
                yield output


def _text(value: str | list[str]) -> str:
    """A notebook file may hold a text whole or line by line."""
    return value if isinstance(value, str) else "".join(value)


def parse(text: str) -> Notebook:
    """The notebook in a file's text."""
    try:
        return nbformat.reads(text, as_version=4)
    except nbformat.reader.NotJSONError as error:
        raise ChapterError(f"this is not a notebook ({error.__cause__})") from error


def serialised(nb: Notebook) -> str:
    """The text that is stored."""
    return nbformat.writes(nbformat.from_dict(nb)) + "\n"


def is_normalised(path: Path) -> bool:
    """Whether the file is, byte for byte, what this tool would write."""
    text = path.read_bytes().decode()
    return text == serialised(normalised(parse(text)))


def execute(nb: Notebook, folder: Path) -> Notebook:
    """The notebook with fresh outputs, from a kernel started in `folder`."""
    # Imported here because tests and --check need only the pure functions above.
    from nbclient import NotebookClient
    from nbclient.exceptions import (
        CellExecutionError,
        CellTimeoutError,
        DeadKernelError,
    )
    from traitlets.config import Config

    nb = nbformat.from_dict(normalised(nb))
    running: list[int] = []
    with tempfile.TemporaryDirectory() as sockets:
        client = NotebookClient(
            nb,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            coalesce_streams=True,
            # Sockets in a private folder: TCP ports are open to every user of the machine, and may collide.
            config=Config(
                KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"}
            ),
        )
        client.on_cell_execute = lambda cell, cell_index: running.append(cell_index)
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            where = f"cell {running[-1]}" if running else "the kernel"
            raise ChapterError(f"{where} failed:\n\n{error}") from error
    for index, cell in enumerate(nb["cells"]):
        _refuse_unannounced_stderr(index, cell)
    return normalised(nb)


def _refuse_unannounced_stderr(index: int, cell: Notebook) -> None:
    """A warning must be repaired, not hidden; only a cell that says so may write to stderr."""
    if QUIET_TAG in cell["metadata"].get("tags", []):
        return
    noise = "".join(
        _text(out["text"])
        for out in cell.get("outputs", [])
        if out.get("name") == "stderr"
    )
    if noise:
        raise ChapterError(
            f"cell {index} wrote to stderr and has no tag {QUIET_TAG}:\n\n{noise}"
        )


def store(path: Path, nb: Notebook) -> bool:
    """Write the file in one step, so that an interruption cannot leave half of it; True where it changed."""
    text = serialised(normalised(nb)).encode()
    if path.read_bytes() == text:
        return False
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(text)
    scratch.replace(path)
    return True


def chapters(names: list[str], book: Path = BOOK) -> list[Path]:
    """The notebooks of these names, or all; the ledger comes last because it reads the others' outputs."""
    if not names:
        return sorted(
            book.glob("*.ipynb"), key=lambda path: (path.stem == LEDGER, path.stem)
        )
    paths = [book / f"{Path(name).stem}.ipynb" for name in names]
    for path in paths:
        if not path.is_file():
            raise SystemExit(f"{path.name}: there is no such chapter in {book}")
    return paths


def with_ledger(paths: list[Path]) -> list[Path]:
    """These chapters, and the ledger after them: a fresh chapter makes it stale."""
    ledger = (
        paths[0].with_name(f"{LEDGER}.ipynb") if paths else BOOK / f"{LEDGER}.ipynb"
    )
    return [
        *(path for path in paths if path != ledger),
        *([ledger] if ledger.is_file() else []),
    ]


def run(path: Path) -> bool:
    """Execute and store one chapter, and say how it went."""
    print(f"{path.name} ...", flush=True)
    started = time.perf_counter()
    changed = store(
        path, execute(parse(path.read_text(encoding="utf-8")), path.parent)
    )
    print(
        f"{path.name}: {time.perf_counter() - started:.0f} s, {'changed' if changed else 'unchanged'}",
        flush=True,
    )
    return True


def check(path: Path) -> bool:
    """Say so where the file is not in normal form."""
    if is_normalised(path):
        return True
    print(
        f"{path.name} is not in normal form: run `make tidy` (or `make notebooks` where code changed)"
    )
    return False


def tidy(path: Path) -> bool:
    """Bring the file into normal form."""
    if store(path, parse(path.read_text(encoding="utf-8"))):
        print(f"{path.name}: tidied")
    return True


def attempt(action: Callable[[Path], bool], path: Path) -> bool:
    """Whether it went well; a chapter at fault is reported, not a reason to stop."""
    try:
        return action(path)
    except ChapterError as error:
        print(
            f"{path.name}: {error}\n{path.name} is left as it was.",
            file=sys.stderr,
            flush=True,
        )
        return False


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 1 where a chapter failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="chapters, such as neural-networks; all where none",
    )
    parser.set_defaults(action=run)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--check",
        dest="action",
        action="store_const",
        const=check,
        help="only report",
    )
    mode.add_argument(
        "--tidy",
        dest="action",
        action="store_const",
        const=tidy,
        help="normalise, execute nothing",
    )
    options = parser.parse_args(arguments)
    paths = chapters(options.names)
    good = [
        attempt(options.action, path)
        for path in (with_ledger(paths) if options.action is run else paths)
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
